"""Build of a body avatar from one photograph (PERSONA): the order of the stages.

::

    fit ─► film (Ray Data) ─► train (Ray Train) ─► edit (Ray Data) ─► export ─► report ─► register

Every stage commits with a manifest and is skipped when its ingredients are unchanged and its files are whole, so the
same command repeated after any interruption goes on where it was.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from numpy.typing import NDArray
from safetensors.torch import load

from perse.attributes import Category
from perse.avatar import Avatar
from perse.avatar.storage import DESCRIPTION_FILE, TENSORS_FILE, avatar_tensors, describe, restore
from perse.body.animation.clip import BodyClip
from perse.body.avatar import BodyAvatar, start_avatar
from perse.body.avatar.assembly import EditRow, assemble
from perse.body.editing import body_prompts, checked_prompts
from perse.body.fitting.person import FittedPerson, fit_person
from perse.body.fitting.storage import face_from_table, face_to_table, first_colors, person_from_bytes, person_to_bytes
from perse.body.model import AnnyBody
from perse.body.model.covers import PALETTE
from perse.body.showing.edits import edit_numbers, edits_sheet, score_edit
from perse.body.showing.measuring import held_out, score_frames
from perse.body.showing.report import write_report
from perse.body.training import captured_clip, captured_patches, first_checkpoint_of
from perse.body.training.frames import TargetFrame, frame_of
from perse.body.training.trainer import trained_avatar
from perse.data import AttributePrompt
from perse.data.images import decode_image, encode_image
from perse.data.keys import identity_of
from perse.data.on_white import laid_on_white
from perse.data.presence import absent_categories
from perse.data.workspace import PHOTOGRAPH, Workspace
from perse.errors import PromptError
from perse.export.provenance import Provenance
from perse.export.splat_files import ply_bytes
from perse.recipes.body import BodyRecipe
from perse_ray.build.body_edits import EditFiles, edit_all, edit_rows, is_made, read_learned
from perse_ray.build.body_films import FACE, PERSON, clip_file, film, film_rows
from perse_ray.build.inspection import mend_noted
from perse_ray.build.manifests import Result, StageManifests
from perse_ray.build.stages.export import FILES as AVATAR
from perse_ray.build.stages.register import doubt_model, register_avatar, settle_model
from perse_ray.build.values import all_numbers_of, flat_params, versions
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.registry.removal import body_model_name
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.on_ray_data import limit_threads
from perse_ray.runtime.session import LocalRay, ray_session
from perse_ray.training.body_train import CAPTURED, BodyLoop, patch_file
from perse_ray.training.ray_train import TrainTask, WorkerGroup, train

PLY = "avatar/body.ply"
STARTED = "checkpoints/body.json"
TRAINING = "body"
"""Folder of the checkpoints: not that of head avatars, which a viewer follows while they are trained."""
METRICS = "report/metrics.json"
EDITS = "report/edits.png"
EDITS_PX = 384


@dataclass(frozen=True, kw_only=True)
class BodyRequest:
    """Request for one body build."""

    recipe: BodyRecipe
    """Who does each step, and with which numbers."""
    photograph: UInt8[NDArray[np.uint8], "h w 3"]
    """[h, w, 3] RGB, upright."""
    workspace: Workspace
    """Where everything goes."""
    person: int | None = None
    """Which person, where the photograph shows several; from 1, left to right."""
    prompts: tuple[AttributePrompt, ...] | None = None
    """What the avatar can wear besides; the recipe's where nobody says."""
    local: LocalRay = field(default_factory=LocalRay)
    """The private Ray, where no cluster is joined."""
    show: Callable[[str], None] | None = None
    """Where progress lines go; None draws live bars on a terminal."""


@dataclass(frozen=True)
class BodyResult:
    """Result of a body build.

    Attributes:
        metrics: the content of metrics.json.
        guessed: what the photograph does not show.
        model: the registered model and its version.
        skipped: stages that an earlier run had finished.
        seconds: wall time of this run.
    """

    metrics: dict[str, Any]
    guessed: tuple[str, ...]
    model: str
    skipped: tuple[str, ...]
    seconds: float


def build_body(request: BodyRequest) -> BodyResult:
    """Build the body avatar, or what is missing of it.

    Raises:
        PerseError: something the user can act on; what is finished stays finished.
    """
    begin = time.perf_counter()
    workspace = request.workspace
    workspace.claim(identity_of(request.photograph))
    books = BuildLog.open(workspace, f"{request.recipe.name} {workspace.location.rpartition('/')[2]}")
    with ExitStack() as held, _threads(request.recipe.train.threads), books.recorded():
        books.parent.params(flat_params(request.recipe))
        build = _Build(request, held, books)
        for finding in mend_noted(workspace):
            build.tell(f"{finding}; it is made again")
        metrics = build.stages()
        books.parent.metrics(all_numbers_of(metrics))
    guessed = tuple(metrics["guessed"])
    model = settle_model(books) or build.model  # the run's end may have told MLflow of it
    return BodyResult(metrics, guessed, model, tuple(build.manifests.skipped), time.perf_counter() - begin)


@contextmanager
def _threads(count: int) -> Iterator[None]:
    """Numerical libraries of this process with that many threads. More than one costs more than it gives: the tensors
    of a step are small, and threads that wait for each other spin."""
    before = torch.get_num_threads()
    limit_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Build:
    def __init__(self, request: BodyRequest, held: ExitStack, books: BuildLog) -> None:
        self.request, self.recipe, self.workspace = request, request.recipe, request.workspace
        self.manifests = StageManifests(request.workspace, self.tell)
        self._held, self._books, self._ray_started, self._patches = held, books, False, 0
        wanted = request.prompts
        self.prompts = body_prompts(self.recipe.edits) if wanted is None else checked_prompts(wanted)
        self.model = ""

    def tell(self, line: str) -> None:
        """A line of progress."""
        if self.request.show:
            self.request.show(line)
        else:
            print(line, flush=True)

    def stages(self) -> dict[str, Any]:
        recipe, manifests = self.recipe, self.manifests

        def run(
            stage: str, after: tuple[str, ...], ingredients: tuple[object, ...], work: Callable[[], dict[str, Any]]
        ) -> Result:
            digest = manifests.digest(stage, after, *ingredients)
            return manifests.run(stage, digest, work, lambda result: result["files"], after)

        makers = (recipe.body, recipe.fit)
        fitted = run("fit", (), (self.request.photograph, makers, fingerprint(*makers), self.request.person), self._fit)
        self._check_edits()
        filming = (recipe.animator, fingerprint(recipe.animator), recipe.motions, recipe.unseen, recipe.size_px)
        filmed = run("film", ("fit",), (*filming, recipe.captured_px, recipe.patch_px), self._film)
        self._patches = int(filmed["patches"])
        trained = run("train", ("film",), (recipe.offsets, recipe.training, recipe.held_out_every), self._train)
        edits = (self.prompts, fingerprint(recipe.editing), recipe.editing)
        edited = run("edit", ("train",), edits, self._edit)
        run("export", ("edit",), (recipe.encoder,), self._export)
        shown = run("report", ("export",), (recipe.shown_px, recipe.shown_frames), self._report)
        doubt_model(self._books, self.tell)
        self.model = str(run("register", ("export",), (), self._register)["model"])
        seconds = {name: round(value, 2) for name, value in manifests.seconds.items()}
        metrics = {
            **shown["metrics"], "fit_rms_px": fitted["rms_px"], "guessed": fitted["guessed"],
            "gaussians": trained["gaussians"], "edits_quarantined": edited["quarantined"], "recipe": recipe.name,
            "seconds": {**seconds, "total": round(sum(seconds.values()), 2)}, "versions": versions(),
        }  # fmt: skip
        self.workspace.write_json(METRICS, metrics)
        return metrics

    # What the stages share

    def _person(self) -> FittedPerson:
        return person_from_bytes(self.workspace.read(PERSON), self.recipe.body.load())

    def _rows(self) -> list[dict[str, Any]]:
        return list(film_rows(self.recipe, self.manifests.digests["fit"]))

    def _clips(self) -> tuple[str, ...]:
        return tuple(clip_file(str(row["key"])) for row in self._rows())

    def _read(self, name: str) -> BodyClip:
        return BodyClip.from_bytes(self.workspace.read(name))

    def _tests(self) -> tuple[list[TargetFrame], list[TargetFrame]]:
        """Held-out frames of the trained motions, and all frames of motions that nobody trained on."""
        files, trained = self._clips(), len(self.recipe.motions)
        of_trained = [
            frame for name in files[:trained] for frame in held_out(self._read(name), self.recipe.held_out_every)
        ]
        others = [self._read(name) for name in files[trained:]]
        return of_trained, [frame_of(clip, n, generated=True) for clip in others for n in range(len(clip))]

    def _edit_rows(self) -> list[dict[str, Any]]:
        return list(edit_rows(self.recipe, self.prompts, self.manifests.digests["train"]))

    def _check_edits(self) -> None:
        """
        Raises:
            PromptError: an edit of a head whose face is not tracked.
        """
        for prompt in self.prompts:
            if prompt.category is not Category.CLOTHES and not self.workspace.has(FACE):
                if self.request.prompts is None:
                    self.tell(f"edit: the face is not tracked, so {prompt.text!r} is left out")
                else:
                    raise PromptError(self._refused(prompt.category.value))
        if not self.workspace.has(FACE):
            self.prompts = tuple(prompt for prompt in self.prompts if prompt.category is Category.CLOTHES)

    def _refused(self, category: str) -> str:
        """Why an edit of the head is."""
        if not isinstance(self.recipe.body, AnnyBody):
            return f"{category} is made for the head of the anny body; leave {category} out, or leave out --body-model"
        return (
            f"the face is too small or turned away, so {category} cannot be changed; leave {category} out, or give a "
            "larger picture"
        )

    def _avatar(self) -> BodyAvatar:
        checkpoint = CheckpointFolder(self.workspace, TRAINING).load()
        assert checkpoint is not None, "train is finished, and its manifest was checked"
        return trained_avatar(checkpoint)

    def _start_ray(self) -> None:
        if not self._ray_started:
            self._held.enter_context(ray_session(self.request.local))
            self._ray_started = True

    # The stages

    def _fit(self) -> dict[str, Any]:
        self.tell("fit: looking for the person")
        recipe, workspace = self.recipe, self.workspace
        person = fit_person(self.request.photograph, recipe.body, recipe.fit, self.request.person)
        if person.guessed:
            self.tell(f"fit: the photograph does not show, and this is guessed: {', '.join(person.guessed)}")
        workspace.write(PERSON, person_to_bytes(person))
        workspace.write(PHOTOGRAPH, encode_image(self.request.photograph))
        parts = np.array(PALETTE, np.uint8)[person.parts]
        matte = laid_on_white(person.image, person.mask)
        workspace.write("report/fit.png", encode_image(np.concatenate([person.image, matte, parts], 1)))
        with self._books.stage("fit") as stage:
            stage.metrics({"fit_rms_px": person.rms_px, "guessed": len(person.guessed)})
        files = [PERSON, PHOTOGRAPH, "report/fit.png"]
        workspace.remove(FACE)
        if person.face is not None:
            workspace.write_table(FACE, face_to_table(person.face))
            files.append(FACE)
        return {"rms_px": person.rms_px, "guessed": list(person.guessed), "files": files}

    def _film(self) -> dict[str, Any]:
        if self.recipe.animate.workers[1]:
            self._start_ray()
        person = self._person()
        close = {patch_file(number): clip for number, clip in enumerate(captured_patches(person, self.recipe.patch_px))}
        for name, clip in {CAPTURED: captured_clip(person, self.recipe.captured_px), **close}.items():
            self.workspace.write(name, clip.to_bytes())
        film(self.workspace, self.recipe, self._rows(), self.request.show)
        return {"files": [CAPTURED, *close, *self._clips()], "patches": len(close)}

    def _train(self) -> dict[str, Any]:
        recipe, workspace = self.recipe, self.workspace
        self._start_ray()
        folder, version = CheckpointFolder(workspace, TRAINING), self.manifests.version("train", ("film",))
        begun = workspace.has(STARTED) and workspace.read_json(STARTED).get("inputs") == version
        if not begun or folder.load() is None:
            folder.clear()
            person = self._person()
            avatar = start_avatar(person.dressed, first_colors(person), recipe.offsets, recipe.training.seed)
            folder.save(first_checkpoint_of(avatar, recipe.training))
            workspace.write_json(STARTED, {"inputs": version})
        loop = BodyLoop(
            workspace=workspace, recipe=recipe, clips=self._clips()[: len(recipe.motions)], patches=self._patches
        )
        group = WorkerGroup(
            workers=recipe.train_workers, threads=recipe.train.threads, num_cpus=recipe.train.cpus,
            num_gpus=recipe.train.gpus, memory_gib=recipe.train.memory_gib,
            checkpoint_every_s=recipe.checkpoint_every_s,
        )  # fmt: skip
        with self._books.stage("train") as child:
            child.params(flat_params(recipe.training))
            final = train(
                TrainTask(workspace=workspace, stage=TRAINING, loop=loop, log=child), group, show=self.request.show
            )
        files = folder.file_names(final.step)
        return {"step": final.step, "gaussians": len(trained_avatar(final)), "files": files}

    def _edit(self) -> dict[str, Any]:
        recipe, workspace = self.recipe, self.workspace
        if recipe.animate.workers[1] and self.prompts:
            self._start_ray()
        rows = self._edit_rows()
        for failed in edit_all(workspace, recipe, self.prompts, rows, TRAINING, self.request.show):
            self.tell(
                f"edit: {failed.name!r} failed and is left out ({failed.error.splitlines()[0]}); perse quarantine show "
                f"{failed.key[:8]} says where, perse quarantine retry lets the next run try again"
            )
        made = [row for row in rows if is_made(workspace, row)]
        return {
            "files": [name for row in made for name in EditFiles.of(str(row["key"])).all],
            "quarantined": len(rows) - len(made),
        }

    def _made(self) -> list[tuple[AttributePrompt, str]]:
        """Prompts of the edits that did not fail, and the keys of their files."""
        rows = zip(self.prompts, self._edit_rows(), strict=True)
        return [(prompt, str(row["key"])) for prompt, row in rows if is_made(self.workspace, row)]

    def _export(self) -> dict[str, Any]:
        self.tell("export: putting the avatar together")
        avatar = self._assembled()
        # The description goes first and comes last: whoever finds both may load them, at any moment of this.
        for name in (f"avatar/{DESCRIPTION_FILE}", "avatar/body.safetensors", "avatar/body.json"):
            self.workspace.remove(name)
        self.workspace.write(f"avatar/{TENSORS_FILE}", avatar_tensors(avatar))
        about = json.dumps(describe(avatar), indent=1, sort_keys=True)
        self.workspace.write(f"avatar/{DESCRIPTION_FILE}", about.encode())
        person = self._person().dressed
        gaussians = self._avatar().posed(person.parameters.pose, person.parameters.translation)
        self.workspace.write(PLY, ply_bytes(gaussians, Provenance(identity_of(self.request.photograph))))
        return {"files": [*AVATAR, PLY]}

    def _assembled(self) -> Avatar:
        """The trained body and its edits as one avatar."""
        workspace, encoder = self.workspace, self.recipe.encoder
        made = self._made()
        pictures = [decode_image(workspace.read(EditFiles.of(key).picture)) for _, key in made]
        texts = [prompt.text for prompt, _ in made]
        found = encoder.build().encode(np.stack(pictures), texts) if pictures else None
        rows = [
            EditRow(prompt, read_learned(workspace, key), found.image[number], found.text[number])
            for number, (prompt, key) in enumerate(made)
            if found is not None
        ]
        absent = absent_categories(face_from_table(workspace.read_table(FACE)).portrait) if workspace.has(FACE) else ()
        return assemble(
            self._avatar(), self._person().dressed, rows, key=identity_of(self.request.photograph), absent=absent,
            encoder=encoder.name, seed=self.recipe.training.seed,
        )  # fmt: skip

    def _exported(self) -> Avatar:
        """The avatar as whoever opens the workspace gets it."""
        tensors, description = AVATAR
        return restore(self.workspace.read_json(description), load(self.workspace.read(tensors))).eval()

    def _register(self) -> dict[str, Any]:
        self.tell("register: the avatar goes to MLflow")
        name = body_model_name(identity_of(self.request.photograph))
        return {"model": register_avatar(self._books, name), "files": []}

    def _report(self) -> dict[str, Any]:
        self.tell("report: drawing and measuring")
        recipe, person = self.recipe, self._person()
        avatar = self._avatar()
        before = start_avatar(person.dressed, first_colors(person), recipe.offsets, recipe.training.seed)
        captured = frame_of(self._read(CAPTURED), 0, generated=False)
        seen, unseen = self._tests()
        files, metrics = write_report(self.workspace, avatar, person, captured, seen, unseen, recipe)
        untrained = asdict(score_frames(before, unseen, recipe.rasterizer))
        metrics["before_training"] = {"unseen_motion": untrained}
        metrics["edits"] = self._shown_edits(files)
        with self._books.stage("report") as child:
            child.metrics(all_numbers_of(metrics))
            for name in files:
                if self.workspace.is_local:
                    child.artifact(self.workspace.local_path(name), "report")
        return {"metrics": metrics, "files": files}

    def _shown_edits(self, files: list[str]) -> dict[str, dict[str, float]]:
        """Measure the edits, and add a picture of them to the report's files."""
        made = self._made()
        if not made:
            return {}
        recipe, avatar = self.recipe, self._exported()
        self.workspace.write(EDITS, encode_image(edits_sheet(avatar, recipe.rasterizer, EDITS_PX)))
        files.append(EDITS)
        scores = {}
        for (_, key), subject in zip(made, avatar.subjects[1:], strict=True):
            place = EditFiles.of(key)
            edited, plain = (
                [frame_of(clip, number, generated=True) for number in range(len(clip))]
                for clip in (self._read(place.edited), self._read(place.plain))
            )
            scores[subject.text] = score_edit(avatar, subject, edited, plain, recipe.rasterizer)
        return edit_numbers(scores)
