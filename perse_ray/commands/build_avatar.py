"""Build the avatar of one portrait.

    perse build                                              the sample portrait, into runs/demo
    perse build --portrait me.jpg --workspace runs/me        one's own
    perse build --portrait party.jpg --face 2 --workspace runs/her
    perse build --video me.mp4 --workspace runs/me           the person is learned from the video
    perse build --video me.mp4 --no-edits --workspace runs/plain
    perse build --portrait me.jpg --prompts mine.csv --workspace runs/mine
    perse build --recipe my_recipes:fast --workspace runs/fast
    perse build --recipe paper --plan --gpus 64              what it would run, and what it costs

or, on a cluster (tokens are on: export RAY_AUTH_MODE=token and RAY_AUTH_TOKEN first):

    ray job submit --working-dir . -- perse build --portrait s3://b/me.jpg --workspace s3://b/me

Without --portrait it takes the sample portrait (Eileen Collins, NASA, public domain). Repeat the same command after
any interruption: what is finished is kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perse.errors import InputError
from perse_ray.commands.command_line import parsed, recipe_of, run_command

if TYPE_CHECKING:
    from perse.data.workspace import Workspace
    from perse.recipes import Recipe
    from perse_ray.build.recorded import RecordedPerson
    from perse_ray.build.request import BuildRequest, BuildResult


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Arguments: what to build and where."""

    portrait: str | None = None
    """Photograph (PNG, JPEG or WebP), a path or an address; the sample portrait if left out."""

    video: Path | None = None
    """A video of the person, ten seconds or more, instead of a photograph: its first good frame is the portrait that is
    edited, and the person is learned from the video's own frames, all but the last fifth, which tests them."""

    edits: bool = True
    """Whether attributes are edited; --no-edits, with --video, leaves only the person."""

    recipe: str = "laptop"
    """tiny, laptop, paper, or one's own as module:function."""

    workspace: str = "runs/demo"
    """Folder for everything that is made; also s3://… or gs://…."""

    face: int | None = None
    """Which face, where the photograph or video shows several: 1 is the leftmost."""

    parts: Path | None = None
    """PNG in which wrong parts are painted over; `perse track --portrait me.jpg --parts mask.png` writes one."""

    prompts: Path | None = None
    """CSV file with one's own prompts instead of the recipe's."""

    seed: int | None = None
    """Seed of prompts and training; the recipe's if left out."""

    consent: Path | None = None
    """JSON file that says who consents, to what purpose, since and until when; recipe paper asks for one."""

    plan: bool = False
    """Only say what would run, on how many workers, with which downloads, and for how long."""

    gpus: int | None = None
    """GPUs that --plan reckons with; as many as the recipe's training needs, if left out."""

    node_gpus: int = 8
    """GPUs of one of the plan's nodes."""

    node_cpus: int | None = None
    """Cores of one of the plan's nodes; twelve for each GPU, if left out."""

    commercial_safe: bool = False
    """Refuse a recipe whose weights forbid commercial use, before anything runs."""

    wait: bool = False
    """Wait while another run holds the workspace, instead of refusing."""

    verify: bool = False
    """Read every finished file before it is trusted; otherwise only those that were touched since."""

    retry_failed: bool = False
    """Try prompts again that ended in quarantine."""


def main(arguments: Arguments) -> None:
    """Read what was given, build, and say where everything is."""
    recipe = recipe_of(arguments.recipe, arguments.seed)
    _check(arguments)
    if arguments.plan:
        _print_plan(recipe, arguments)
        return
    if arguments.gpus is not None:
        raise InputError("--gpus says what --plan reckons with; a build uses the cluster that it finds")
    from perse.data.workspace_lock import locked
    from perse.synthesis.production.model_store import require
    from perse_ray.build.build import build
    from perse_ray.runtime.shared_storage import check_location

    check_location(arguments.workspace)
    require(recipe, commercial_safe=arguments.commercial_safe)
    request = _request(recipe, arguments)
    with locked(request.workspace, wait=arguments.wait):
        done = build(request)
    print(_summary(done, request.workspace.location, arguments))


def _request(recipe: Recipe, arguments: Arguments) -> BuildRequest:
    """Everything that was given, read. Of a video, the person is found."""
    from perse.data.consent import read_consent
    from perse.data.photograph import read_photograph
    from perse.data.workspace import Workspace
    from perse.data.workspace_lock import locked
    from perse.synthesis.prompts import read_prompts_csv
    from perse.tracking.part_picture import open_parts
    from perse.tracking.video_file import open_video
    from perse_ray.build.request import BuildRequest

    if arguments.video is None:
        photograph = read_photograph(arguments.portrait)
    else:
        open_video(arguments.video)  # nothing is made for a file that is no video
    prompts = tuple(read_prompts_csv(arguments.prompts)) if arguments.prompts else None
    workspace = Workspace.open(arguments.workspace)
    recorded = None
    if arguments.video is not None:
        with locked(workspace, wait=arguments.wait):
            recorded = _recorded(workspace, arguments.video, arguments.face, recipe)
        photograph = recorded.photograph
    return BuildRequest(
        recipe=recipe,
        photograph=photograph,
        workspace=workspace,
        recorded=recorded,
        face=arguments.face if recorded is None else recorded.face_of_photograph,
        parts=None if arguments.parts is None else open_parts(arguments.parts),
        prompts=prompts if arguments.edits else (),
        verify=arguments.verify,
        consent=None if arguments.consent is None else read_consent(arguments.consent),
        retry_failed=arguments.retry_failed,
    )


def _summary(done: BuildResult, place: str, arguments: Arguments) -> str:
    """What a person should know at the end, several lines."""
    from perse_ray.runtime.progress import readable_s
    from perse_ray.synthesis.acceptance import outcome_line, summarise

    acceptance = done.metrics.get("acceptance", {})
    lost = summarise(acceptance)
    return (
        f"\ndone in {readable_s(done.seconds)}"
        + (f" ({len(done.skipped)} stages were finished before)" if done.skipped else "")
        + _poses_line(done.metrics)
        + _edits_line(done.metrics)
        + (f"\n  not used      {lost}" if lost else "")
        + f"\n  report        {place}/report/report.html"
        f"\n  avatar        {place}/avatar, in MLflow {done.model}"
        f"\n  serve it      perse serve --workspace {arguments.workspace}"
        f"\n{outcome_line(acceptance)}"
    )


def _check(arguments: Arguments) -> None:
    """Refuse what cannot go together before anything is computed."""
    if arguments.video is not None and (arguments.portrait is not None or arguments.parts is not None):
        raise InputError("--video brings its own portrait: give it without --portrait and --parts")
    if not arguments.edits and (arguments.video is None or arguments.prompts is not None):
        raise InputError("--no-edits needs a --video to learn from, and no --prompts")


def _recorded(workspace: Workspace, path: Path, face: int | None, recipe: Recipe) -> RecordedPerson:
    from perse_ray.build.recorded import find_recorded
    from perse_ray.runtime.progress import progress_of_steps

    with progress_of_steps() as started:
        found = find_recorded(workspace, path, recipe, face=face, started=started)
    print(f"portrait: the frame at {found.number / found.video.fps:.2f} s of {path.name}")
    return found


def _poses_line(metrics: dict[str, Any]) -> str:
    """How well poses are met that were never trained: of the video, where there is one."""
    video = metrics.get("video")
    if video is None:
        return (
            f"\n  unseen poses  PSNR {_shown(metrics, 'psnr', 2)} dB (foreground "
            f"{_shown(metrics, 'psnr_foreground', 2)}), SSIM {_shown(metrics, 'ssim', 4)}"
        )
    return (
        f"\n  unseen video  PSNR {_shown(video, 'PSNR', 2)} dB (foreground "
        f"{_shown(video, 'PSNR, person', 2)}), SSIM {_shown(video, 'SSIM', 4)}"
    )


def _edits_line(metrics: dict[str, Any]) -> str:
    """How visible the edits are, and how much else they change; nothing where there are none."""
    if not metrics.get("acceptance"):
        return ""
    return f"\n  edits         gain {_shown(metrics, 'edit_gain_db', 2)} dB, leakage {_shown(metrics, 'leakage', 5)}"


def _print_plan(recipe: Recipe, arguments: Arguments) -> None:
    """Needs no Ray and no MLflow, which `build` would import."""
    from perse.tracking.video_file import open_video
    from perse_ray.build.plan import PlannedVideo, describe_plan, without_edits
    from perse_ray.build.room import equal_nodes, gpus_for_training

    gpus, each = arguments.gpus, arguments.node_gpus
    if min(each, 1 if gpus is None else gpus, arguments.node_cpus or 1) < 1:
        raise InputError("--gpus, --node-gpus and --node-cpus must be 1 or more")
    wanted = gpus_for_training(recipe.cluster) if gpus is None else gpus
    nodes = equal_nodes(-(-wanted // each), min(each, wanted), arguments.node_cpus)
    if arguments.video is None:
        print(describe_plan(recipe, nodes=nodes))
        return
    video = PlannedVideo(open_video(arguments.video).expected)
    print(describe_plan(recipe if arguments.edits else without_edits(recipe), nodes=nodes, video=video))


def _shown(metrics: dict[str, Any], name: str, digits: int) -> str:
    value = metrics.get(name)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"


def run(words: Sequence[str] | None = None) -> int:
    """Run the command with words of a command line, the process's by default; returns the exit code."""
    arguments = parsed("build", Arguments, __doc__, words)
    return run_command(lambda: main(arguments))
