"""Build from one portrait to a registered avatar: the order of the stages.

::

    track ─► synthesize ─► encode ─► set_up ─► train ─► evaluate_before ─► finetune ─► evaluate ─► export ─► report
                                                                                                        └──► register

(`capture` stands behind `track` where the person gave a video; `adapt` before `finetune` where the teacher of the
interpolations has an adapter for each subject.)

Every stage commits with a manifest and is skipped when its ingredients are unchanged and its files are whole, so the
same command repeated after any interruption goes on where it was. Ray is started when the first stage needs it. This
process plans, waits and reports; what takes memory or time runs where the recipe's `ClusterUse` says.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

from perse.data.consent import EXAMPLE, load_consent, save_consent
from perse.data.keys import identity_of
from perse.errors import InputError, RecipeError
from perse.render import check_device
from perse.training import morph_pairs
from perse_ray.build.components import device_of
from perse_ray.build.inspection import mend_noted
from perse_ray.build.quarantine import forget, lost_morphs
from perse_ray.build.request import BuildRequest, BuildResult
from perse_ray.build.run import BuildRun
from perse_ray.build.stages import (
    Adapt,
    CaptureVideo,
    DrawReport,
    Encode,
    Evaluate,
    Export,
    FineTune,
    Register,
    SetUp,
    Synthesize,
    Track,
    Train,
)
from perse_ray.build.stages.register import doubt_model, settle_model
from perse_ray.build.values import all_numbers_of, flat_params, numbers_of, versions
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.runtime.session import is_private
from perse_ray.runtime.shared_storage import check_tracking
from perse_ray.synthesis.acceptance import acceptance


def build(request: BuildRequest) -> BuildResult:
    """Build the avatar, or what is missing of it.

    Raises:
        PerseError: something the user can act on; what is finished stays finished.
    """
    begin = time.perf_counter()
    _check(request)
    request.workspace.claim(identity_of(request.photograph))
    settle_consent(request)
    title = f"{request.recipe.name} {request.workspace.location.rpartition('/')[2]}"
    with ExitStack() as held, BuildLog.open(request.workspace, title).recorded() as log:
        log.parent.params(flat_params(request.recipe))
        run = BuildRun(request, held, log)
        for finding in mend_noted(request.workspace):
            run.tell(f"{finding}; it is made again")
        metrics = _stages(run)
    model = settle_model(log) or str(run.results["register"]["model"])  # the run's end may have told MLflow of it
    return BuildResult(metrics, tuple(run.manifests.skipped), time.perf_counter() - begin, model)


def _check(request: BuildRequest) -> None:
    """What can be known to be impossible before anything is paid for."""
    check_tracking(request.workspace)
    cluster = request.recipe.cluster
    draws = [(cluster.train, cluster.train_workers)]
    draws += [(pool, pool.workers[1]) for pool in (cluster.evaluate, cluster.report)]
    for pool, workers in draws:
        check_device(request.recipe.rasterizer, device_of(pool, workers))
    if request.recipe.finetuning is not None:
        request.recipe.morpher.check()


def settle_consent(request: BuildRequest) -> None:
    """Keep the consent that was given; refuse where one is asked for, or where the one that there is has expired."""
    consent = request.consent or load_consent(request.workspace)
    if consent is None:
        if request.recipe.asks_consent:
            raise RecipeError(
                f"recipe {request.recipe.name} makes a likeness of a person and asks for their consent: --consent "
                f"consent.json, a file like {EXAMPLE} (build-many: of the portrait's name, beside it)"
            )
        return
    if consent.has_expired(datetime.now(UTC).date()):
        raise InputError(f"the consent of {consent.who} expired on {consent.expires}; ask again, or perse forget")
    save_consent(request.workspace, consent)


def _stages(run: BuildRun) -> dict[str, Any]:
    if not is_private():
        run.start_ray()  # a cluster that cannot be joined, or does not share the workspace, is said first
    run.do(Track())
    if run.request.recorded is not None:
        run.do(CaptureVideo(run.request.recorded))
    if run.request.retry_failed:
        forget(run.request.workspace)
    run.do(Synthesize())
    run.do(Encode())
    run.do(SetUp())
    run.do(Train())
    before = after = run.do(Evaluate("evaluate_before", "train"))
    last = "train"
    config = FineTune.wanted(run)
    if config is not None and (without := _without(run)) is not None:
        run.do(FineTune(config, without))
        last = "finetune"
        if lost := lost_morphs(run.request.workspace):
            run.tell(lost)
        after = run.do(Evaluate("evaluate", last))
    run.do(Export(last))
    metrics = _metrics(run, before, after)
    run.do(DrawReport(metrics))
    doubt_model(run.log, run.tell)
    run.do(Register())
    complete = metrics | {"seconds": _seconds(run)}
    run.request.workspace.write_json("report/metrics.json", complete)
    run.log.parent.metrics(numbers_of(complete) | all_numbers_of({"video": complete.get("video") or {}}))
    return complete


def _without(run: BuildRun) -> tuple[int, ...] | None:
    """Rows of subjects that the teacher knows nothing about; None where it knows no two that it could show between."""
    lora = run.recipe.morpher.lora
    without = () if lora is None else tuple(run.do(Adapt(lora))["without"])
    if any(first not in without and second not in without for first, second in morph_pairs(run.subjects)):
        return without
    run.tell("not fine-tuned: no two subjects of a category have adapters; perse quarantine list says why")
    return None


def _metrics(run: BuildRun, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """The content of metrics.json."""
    found = run.synthesis
    return {
        **after,
        "before_finetune": before,
        "recipe": run.recipe.name,
        "subjects_rejected": len(found.rejected),
        "subjects_quarantined": len(found.quarantined),
        "shortfall": {category.value: count for category, count in found.shortfall},
        "acceptance": acceptance(found),
        "seconds": _seconds(run),
        "versions": versions(),
    }


def _seconds(run: BuildRun) -> dict[str, float]:
    seconds = {name: round(value, 2) for name, value in run.manifests.seconds.items()}
    return {**seconds, "total": round(sum(seconds.values()), 2)}
