"""From one portrait to a registered avatar: the whole build, stage by stage.

::

    track ─► synthesize ─► train ─► evaluate ─► finetune ─► evaluate ─► export ─► report ─► register

Every stage commits with a manifest and is skipped when its ingredients are unchanged, so the same command repeated
after any interruption goes on where it was. Ray is started when the first stage needs it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import perse_ray.serving
from perse.avatar import Avatar, Subject, create_avatar
from perse.avatar.storage import avatar_tensors, describe, load_avatar
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait, archive
from perse.data.code_version import code_version
from perse.data.images import encode_image
from perse.data.keys import content_key
from perse.data.presence import absent_categories
from perse.data.workspace import Workspace
from perse.errors import StageError
from perse.evaluation import evaluate
from perse.head import HeadModel
from perse.morphing import ClipMorphs
from perse.recipes import Recipe
from perse.training import Checkpoint, ClipStore, Trainer, TrainingConfig, morph_pairs
from perse_ray.rows import on_ray_data
from perse_ray.synthesis.acceptance import acceptance
from perse_ray.training.prefetch import AheadConfig
from perse_ray.build.values import (
    evaluation_to_json,
    flat_params,
    numbers_of,
    on_white,
    synthesis_from_json,
    synthesis_to_json,
    versions,
)
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.training.clips import load_clips, training_frames, unseen_frames
from perse.tracking.part_picture import corrected
from perse_ray.build.components import encoder_of, resources_of, studio_of, tracker_of
from perse_ray.rows.fingerprint import files_fingerprint, fingerprint
from perse_ray.build.face_distances import likeness
from perse_ray.training.loops import FineTuningLoop, TrainingLoop, avatar_of
from perse_ray.registry.mlflow_log import BuildLog, StageLog
from perse_ray.training.morph_pool import MorphWork
from perse_ray.synthesis.prompt_supply import ListSupply, PromptSupply, StreamSupply
from perse_ray.runtime.local_folders import folder_copy, folder_to_fill
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.build.manifests import Stagebook
from perse_ray.synthesis.synthesize import Synthesis, synthesize
from perse_ray.training.ray_train import LoopConfig, TrainTask, WorkerGroup, train

log = logging.getLogger(__name__)

REGISTERED_ALIAS = "champion"
MODEL_CODE = Path(perse_ray.serving.__file__).with_name("mlflow_model.py")
"""Run by MLflow where the model is loaded, and not imported here: importing it declares a model."""
CURVES = ("loss", "l1", "ssim", "alpha", "steps_per_s", "waited_s")
"""Curves that the report shows, of both trainings."""


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """What one build is asked for."""

    recipe: Recipe
    """Who does each step, and with which numbers."""

    photograph: NDArray[np.uint8]
    """[h, w, 3] RGB, upright."""

    workspace: Workspace
    """Where everything goes."""

    face: int | None = None
    """Which face, where the photograph shows several; from 1, left to right."""

    parts: NDArray[np.uint8] | None = None
    """Painted corrections of the part masks, [h, w, 4] RGBA of the crop's size; see `perse.tracking.part_picture`."""

    prompts: tuple[AttributePrompt, ...] | None = None
    """One's own prompts instead of the recipe's plan."""

    retry_failed: bool = False
    """Whether to try prompts again that ended in quarantine."""

    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""

    show: Callable[[str], None] | None = None
    """Where progress lines go; None draws live bars on a terminal."""


@dataclass(frozen=True)
class BuildResult:
    """Where to look.

    Attributes:
        metrics: the content of metrics.json.
        skipped: stages that an earlier run had finished.
        seconds: wall time of this run.
        model: registered name and version.
    """

    metrics: dict[str, Any]
    skipped: tuple[str, ...]
    seconds: float
    model: str


def build(request: BuildRequest) -> BuildResult:
    """Build the avatar, or what is missing of it.

    Raises:
        PerseError: something the user can act on; what is finished stays finished.
    """
    begin = time.perf_counter()
    with ExitStack() as held:
        return _Build(request, held).run(begin)


class _Build:
    """One call of `build`."""

    def __init__(self, request: BuildRequest, held: ExitStack) -> None:
        self.request, self.held = request, held
        self.recipe, self.workspace = request.recipe, request.workspace
        self.book = Stagebook(request.workspace)

    def run(self, begin: float) -> BuildResult:
        self.workspace.claim(content_key("photograph", self.request.photograph)[:16])
        self.log = BuildLog.open(self.workspace, f"{self.recipe.name} {self.workspace.location.rpartition('/')[2]}")
        with self.log.recorded():
            self.log.parent.params(flat_params(self.recipe))
            self.track()
            self.synthesis = self.synthesize()
            trained = self.train()
            before = self.evaluate("evaluate_before", trained, after="train")
            final = self.finetune(trained)
            after = self.evaluate("evaluate", final, after="finetune") if final is not trained else before
            self.export(final)
            metrics = self.metrics(before, after)
            self.report(metrics)
            model = self.register()
            metrics = self.finish(metrics)
        return BuildResult(metrics, tuple(self.book.skipped), time.perf_counter() - begin, model)

    # Stages

    def track(self) -> None:
        recipe, photograph = self.recipe, self.request.photograph
        makers = (recipe.tracker, recipe.head)
        digest = self.book.digest("track", (), photograph, makers, fingerprint(*makers), self.request.face,
                                  *(() if self.request.parts is None else (self.request.parts,)))  # fmt: skip

        def work() -> dict[str, Any]:
            self.tell("track: looking for the head")
            portrait = tracker_of(recipe, self.head).track(photograph, face=self.request.face)
            if self.request.parts is not None:
                portrait = corrected(portrait, self.request.parts)
            archive.save_portrait(self.workspace, portrait)
            self.workspace.write("portrait/photograph.png", encode_image(photograph))
            self.workspace.write("portrait/crop.png", encode_image(portrait.image))
            with self.log.stage("track") as stage:
                stage.metrics({"fit_rms_px": portrait.fit_rms_px, "face_width_px": portrait.face_width_px})
            return {"identity": portrait.key}

        self.book.run("track", digest, work)

    def synthesize(self) -> Synthesis:
        studio = studio_of(self.recipe)
        makers = (studio.head, studio.editor, studio.screen, studio.animator, studio.filming)
        digest = self.book.digest("synthesize", ("track",), self.supply, makers, fingerprint(*makers))

        if self.request.retry_failed:
            for name in self.workspace.names("quarantine", ".parquet"):
                self.workspace.remove(f"quarantine/{name}.parquet")
                self.workspace.remove("manifests/synthesize.json")

        def work() -> dict[str, Any]:
            self.start_ray()
            with self.log.stage("synthesize") as stage:
                found = synthesize(
                    self.workspace, studio, self.supply, execute=on_ray_data.run, show=self.request.show
                )  # fmt: skip
                stage.metrics(
                    {
                        "subjects": len(found.subjects),
                        "rejected": len(found.rejected),
                        "quarantined": len(found.quarantined),
                        "shortfall": sum(count for _, count in found.shortfall),
                    }
                )
            return synthesis_to_json(found)

        return synthesis_from_json(self.book.run("synthesize", digest, work))

    def train(self) -> Checkpoint:
        recipe = self.recipe
        digest = self.book.digest(
            "train", ("synthesize",), self.clip_keys, recipe.encoder, recipe.avatar, recipe.start, recipe.training,
            recipe.rasterizer, fingerprint(recipe.encoder), files_fingerprint(recipe.training),
        )  # fmt: skip
        loop = TrainingLoop(
            workspace=self.workspace,
            clips=self.clip_keys,
            frames=recipe.filming.train_frames,
            training=recipe.training,
            rasterizer=recipe.rasterizer,
            clips_mib=recipe.cluster.clips_mib,
        )
        return self.trained("train", digest, loop, self.new_avatar)

    def finetune(self, trained: Checkpoint) -> Checkpoint:
        recipe = self.recipe
        config = recipe.finetuning
        if config is None or not morph_pairs(self.subjects):
            self.book.digests["finetune"] = self.book.digests["train"]
            return trained
        digest = self.book.digest("finetune", ("train",), config, recipe.morpher, fingerprint(recipe.morpher))
        pool = recipe.cluster.morph
        loop = FineTuningLoop(
            workspace=self.workspace,
            clips=self.clip_keys,
            frames=recipe.filming.train_frames,
            fine_tuning=config,
            rasterizer=recipe.rasterizer,
            clips_mib=recipe.cluster.clips_mib,
            morphs=MorphWork(workspace=self.workspace, head=recipe.head, morpher=recipe.morpher),
            ahead=AheadConfig(actors=pool.workers[1], resources=resources_of(pool)),
        )
        return self.trained("finetune", digest, loop, lambda: avatar_of(trained), config.training)

    def trained(
        self,
        stage: str,
        digest: str,
        loop: LoopConfig,
        first: Callable[[], Avatar],
        config: TrainingConfig | None = None,
    ) -> Checkpoint:
        """A training stage: its first checkpoint, if it has none of these ingredients yet, and the loop."""
        folder = CheckpointFolder(self.workspace, stage)
        note = f"checkpoints/{stage}.json"
        numbers = config or self.recipe.training

        def work() -> dict[str, Any]:
            self.start_ray()
            if not self.workspace.has(note) or self.workspace.read_json(note).get("inputs") != digest:
                folder.clear()
                self.tell(f"{stage}: setting up")
                trainer = Trainer(first(), self.training_clips, numbers, rasterizer=self.recipe.rasterizer)
                folder.save(trainer.checkpoint())
                self.workspace.write_json(note, {"inputs": digest})
            with self.log.stage(stage) as child:
                child.params(flat_params(numbers))
                task = TrainTask(workspace=self.workspace, stage=stage, loop=loop, log=child)
                final = train(task, self.group, show=self.request.show)
            return {"step": final.step, "run": child.run}

        self.book.run(stage, digest, work)
        final = folder.load()
        if final is None or final.step < loop.steps:
            self.workspace.remove(f"manifests/{stage}.json")
            raise StageError(
                f"the checkpoint of {stage} is gone or damaged; run the same command again to make it anew"
            )
        return final

    def evaluate(self, stage: str, checkpoint: Checkpoint, *, after: str) -> dict[str, Any]:
        recipe = self.recipe
        digest = self.book.digest(stage, (after,), recipe.evaluation, fingerprint(recipe.evaluation), recipe.morpher)

        def work() -> dict[str, Any]:
            from perse.identity import DlibEmbedder

            self.tell(f"{stage}: measuring")
            unseen = unseen_frames(self.clips, recipe.filming.train_frames)
            avatar = avatar_of(checkpoint).eval()
            measured = evaluate(
                avatar,
                [unseen.clip(row) for row in range(unseen.n_subjects)],
                recipe.evaluation,
                rasterizer=recipe.rasterizer,
                embedder=DlibEmbedder(),
                training_motion=self.training_clips.parameters,
                teacher=ClipMorphs(recipe.morpher.build(), self.head),
            )
            found = evaluation_to_json(measured)
            found["likeness"] = likeness(avatar, self.portrait, self.clips.clip(0), recipe.rasterizer)
            with self.log.stage(stage) as child:
                child.metrics(numbers_of(found))
            return found

        return self.book.run(stage, digest, work)

    def export(self, final: Checkpoint) -> None:
        def work() -> dict[str, Any]:
            avatar = avatar_of(final)
            self.workspace.write("avatar/avatar.safetensors", avatar_tensors(avatar))
            description = json.dumps(describe(avatar), indent=1, sort_keys=True)
            self.workspace.write("avatar/avatar.json", description.encode())
            return {"gaussians": avatar.n_gaussians}

        self.book.run("export", self.book.digest("export", ("finetune",)), work)

    def metrics(self, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
        """The content of metrics.json."""
        return {
            **after,
            "before_finetune": before,
            "recipe": self.recipe.name,
            "subjects_rejected": len(self.synthesis.rejected),
            "subjects_quarantined": len(self.synthesis.quarantined),
            "shortfall": {category.value: count for category, count in self.synthesis.shortfall},
            "acceptance": acceptance(self.synthesis),
            "seconds": self.timed(),
            "versions": versions(),
        }

    def report(self, metrics: dict[str, Any]) -> None:
        digest = self.book.digest("report", ("export", "evaluate_before"), code_version("perse.report.assemble"))

        def work() -> dict[str, Any]:
            from perse.report import write_report
            from perse.report.assemble import ReportInputs, assemble_report

            self.tell("report: drawing")
            inputs = ReportInputs(
                portrait=self.portrait,
                model=self.head,
                edits=[self.edit(subject.edit) for subject in self.synthesis.subjects],
                clips=[self.clips.clip(row) for row in range(self.clips.n_subjects)],
                unseen=frozenset(self.recipe.filming.test_frames),
                avatar=self.final_avatar,
                rasterizer=self.recipe.rasterizer,
                curves=self.curves(),
                metrics=metrics,
            )
            with folder_to_fill(self.workspace, "report") as folder:
                write_report(folder, assemble_report(inputs))
                with self.log.stage("report") as child:
                    for path in sorted(folder.iterdir()):
                        child.artifact(path, "report")
            return {}

        self.book.run("report", digest, work)

    def register(self) -> str:
        digest = self.book.digest("register", ("export",))

        def work() -> dict[str, Any]:
            self.tell("register: the avatar goes to MLflow")
            name = f"perse-{self.portrait.key[:12]}"
            with folder_copy(self.workspace, "avatar") as folder:
                version = self.log.register(folder, name, REGISTERED_ALIAS, MODEL_CODE)
            return {"model": f"{name} version {version}"}

        return str(self.book.run("register", digest, work)["model"])

    def finish(self, metrics: dict[str, Any]) -> dict[str, Any]:
        """The metrics with the seconds of every stage, where people and MLflow look for them."""
        complete = metrics | {"seconds": self.timed()}
        self.workspace.write_json("report/metrics.json", complete)
        self.log.parent.metrics(numbers_of(complete))
        return complete

    # What stages share

    @cached_property
    def head(self) -> HeadModel:
        return self.recipe.head.load()

    @cached_property
    def portrait(self) -> TrackedPortrait:
        return archive.load_portrait(self.workspace)

    @cached_property
    def supply(self) -> PromptSupply:
        if self.request.prompts is not None:
            return ListSupply(self.request.prompts)
        return StreamSupply(counts=self.recipe.prompts.counts, seed=self.recipe.prompts.seed)

    @cached_property
    def clip_keys(self) -> tuple[str, ...]:
        return (self.synthesis.reference, *(subject.clip for subject in self.synthesis.subjects))

    @property
    def clips(self) -> ClipStore:
        return load_clips(self.workspace, self.clip_keys, self.recipe.cluster.clips_mib)

    @property
    def training_clips(self) -> ClipStore:
        return training_frames(self.clips, self.recipe.filming.train_frames)

    @cached_property
    def subjects(self) -> tuple[Subject, ...]:
        edited = (Subject(s.edit, s.prompt.category, s.prompt.text) for s in self.synthesis.subjects)
        return (Subject(self.portrait.key, None, ""), *edited)

    @property
    def final_avatar(self) -> Avatar:
        with folder_copy(self.workspace, "avatar") as folder:
            return load_avatar(folder).eval()

    @property
    def group(self) -> WorkerGroup:
        pool = self.recipe.cluster.train
        return WorkerGroup(
            workers=self.recipe.cluster.train_workers,
            threads=pool.threads if self.recipe.cluster.train_workers else 0,
            num_cpus=pool.cpus,
            num_gpus=pool.gpus,
        )

    def edit(self, key: str) -> EditedPortrait:
        return archive.load_edit(self.workspace, key)

    def new_avatar(self) -> Avatar:
        """An untrained avatar of this identity and its subjects."""
        edits = (self.edit(subject.edit) for subject in self.synthesis.subjects)
        pictures = [on_white(self.portrait.image, self.portrait.masks.person)]
        pictures += [on_white(edited.image, edited.masks.person) for edited in edits]
        features = encoder_of(self.recipe).encode(np.stack(pictures), [subject.text for subject in self.subjects])
        clips = self.training_clips
        return create_avatar(
            self.head,
            [clips.clip(row) for row in range(clips.n_subjects)],
            self.subjects,
            features.image,
            features.text,
            absent_categories(self.portrait),
            self.recipe.avatar,
            self.recipe.start,
            seed=self.recipe.training.seed,
            encoder=getattr(self.recipe.encoder, "name", type(self.recipe.encoder).__name__),
        )

    def curves(self) -> dict[str, list[tuple[int, float]]]:
        """Training curves from MLflow, named by stage."""
        found: dict[str, list[tuple[int, float]]] = {}
        for stage in ("train", "finetune"):
            manifest = self.workspace.manifest(stage)
            run = manifest and manifest["result"].get("run")
            if run:
                for name, points in StageLog(self.log.parent.store, run).curves().items():
                    if name in CURVES and len(points) > 1:
                        found[f"{stage} {name}"] = points
        return found

    def timed(self) -> dict[str, float]:
        seconds = {name: round(value, 2) for name, value in self.book.seconds.items()}
        return {**seconds, "total": round(sum(seconds.values()), 2)}

    def start_ray(self) -> None:
        if not hasattr(self, "_ray"):
            self._ray = self.held.enter_context(ray_session(self.request.local))

    def tell(self, line: str) -> None:
        if self.request.show:
            self.request.show(line)
        else:
            print(line, flush=True)
