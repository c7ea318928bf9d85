"""An attribute of somebody else's photograph into a finished avatar (P A.4): the order of the steps.

::

    picture ─ track ─► stranger ─ put on ─► edited portrait ─ film ─► clip ─ learn ─► avatar with one more subject

Everything runs in this process: it is a matter of a minute or two. The avatar is written at the very end; whatever goes
wrong before leaves the workspace with the one it had.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.typing import NDArray

from perse.attributes import Category
from perse.avatar import Avatar, Subject
from perse.avatar.storage import avatar_tensors, describe
from perse.avatar.whole_body import WholeBody
from perse.data import EditedPortrait, PortraitClip, TrackedPortrait, archive
from perse.data.images import encode_image
from perse.data.keys import clip_key
from perse.data.on_white import laid_on_white
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.evaluation.transfer_scores import PartOfPicture, TransferPictures, TransferScores, score_transfer
from perse.export.opening import open_avatar, rasterizer_for
from perse.recipes import Recipe
from perse.report.sheets import Tile, contact_sheet
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.procedural.transfer import TRANSFERABLE, AttributeSource, put_on_attribute
from perse.tracking.part_picture import corrected
from perse.training import ClipStore
from perse.training.transfer import NewAttribute, TransferConfig, learn_attribute
from perse_ray.build.components import tracker_of
from perse_ray.build.stages.export import FILES
from perse_ray.build.stages.register import register_avatar
from perse_ray.build.values import numbers_of, without_nan
from perse_ray.registry.mlflow_log import BuildLog
from perse_ray.registry.removal import head_model_name
from perse_ray.rows.fingerprint import fingerprint

OLD_SUBJECTS = 12
"""Old subjects that are looked at for changes; spread over the table."""


@dataclass(frozen=True, kw_only=True)
class TransferRequest:
    """Request for a transfer.

    Attributes:
        workspace: with a finished avatar.
        recipe: that it was built with.
        picture: [h, w, 3] uint8 of the stranger.
        category, name: the attribute, and what it will be called.
        face: which face of the picture, counted from 1 at the left.
        parts: painted parts of the stranger's crop, where the parser errs.
        config: how it is learned.
        tell: told a line of progress.
    """

    workspace: Workspace
    recipe: Recipe
    picture: UInt8[NDArray[np.uint8], "h w 3"]
    category: Category
    name: str
    face: int | None = None
    parts: UInt8[NDArray[np.uint8], "a b 4"] | None = None
    config: TransferConfig = field(default_factory=TransferConfig)
    tell: Callable[[str], None] = print


@dataclass(frozen=True)
class TransferResult:
    """Result of a transfer.

    Attributes:
        subject: the new row of the table; scores: see there; seconds: by step.
        report: files in the workspace: a sheet to look at, and the numbers.
        model: the avatar with it, "NAME version N" of MLflow's registered models.
    """

    subject: Subject
    scores: TransferScores
    seconds: Mapping[str, float]
    report: tuple[str, str]
    model: str


def transfer(request: TransferRequest) -> TransferResult:
    """Transfer an attribute.

    Raises:
        PerseError: the picture, its part or the avatar cannot be used; nothing has changed then.
    """
    watch = _Watch(request.tell)
    workspace, recipe = request.workspace, request.recipe
    avatar = open_avatar(workspace.location)
    if isinstance(avatar.decoder, WholeBody):
        raise InputError(
            "this is a whole body, which takes attributes in words: perse build-body --edits category=words"
        )
    clips = _known_clips(workspace)
    watch("looking for the part in the picture")
    head = recipe.head.load()
    person = archive.load_portrait(workspace)
    stranger = tracker_of(recipe, head).track(request.picture, face=request.face)
    if request.parts is not None:
        stranger = corrected(stranger, request.parts)
    source = AttributeSource(stranger, request.category, request.name)
    watch("putting it on the person")
    lifting = ProceduralAnimatorConfig().build(head)
    edited = put_on_attribute(person, source, lifting, head)
    if any(subject.key == edited.key for subject in avatar.subjects):
        raise InputError(f"this avatar has {edited.prompt.text!r} already; nothing was changed")
    watch("filming")
    clip = recipe.animator.build(head).animate(person, edited, recipe.filming.shot(head))
    reference = archive.load_clip(workspace, clips[person.key])
    watch("learning")
    new, test = _lesson(edited, reference, clip, recipe)
    before = open_avatar(workspace.location)
    rasterizer = rasterizer_for(avatar)
    learn_attribute(avatar, new, head, request.config, rasterizer=rasterizer)
    watch("measuring")
    old = [_unseen(archive.load_clip(workspace, clips[key]), recipe) for key in _some(avatar, clips)]
    part = TRANSFERABLE[request.category]
    shown = PartOfPicture(stranger.image, stranger.masks[part] > 0.5, part)
    scores, pictures = score_transfer(before, avatar, test.clip(0), test.clip(1), old, shown, rasterizer)
    watch("writing")
    archive.save_edit(workspace, edited)
    animator = (recipe.animator, recipe.head)
    archive.save_clip(workspace, clip_key(edited.key, animator, recipe.filming, fingerprint(*animator)), clip)
    report = _write_report(workspace, stranger, edited, scores, pictures)
    _write_avatar(workspace, avatar)
    watch("registering the avatar in MLflow")
    model = _publish(workspace, person.key, edited.key, scores, report)
    return TransferResult(new.subject, scores, watch.stop(), report, model)


def _lesson(
    edited: EditedPortrait, reference: PortraitClip, clip: PortraitClip, recipe: Recipe
) -> tuple[NewAttribute, ClipStore]:
    """What is to be learned from the training frames, and the test frames."""
    store = ClipStore([reference, clip])
    trained = np.isin(store.frame_numbers, np.asarray(recipe.filming.train_frames))
    training = store.frames(trained)
    features = recipe.encoder.build().encode(
        laid_on_white(edited.image, edited.masks.person.astype(np.float32) / 255)[None], [edited.prompt.text]
    )  # fmt: skip
    new = NewAttribute(
        subject=Subject(edited.key, edited.prompt.category, edited.prompt.text),
        image=features.image[0],
        text=features.text[0],
        reference=training.clip(0),
        clip=training.clip(1),
    )
    return new, store.frames(~trained)


def _known_clips(workspace: Workspace) -> dict[str, str]:
    """Clip of every subject that the build filmed, by the subject's key.

    Raises:
        InputError: the workspace has an avatar, but not what it was made of.
    """
    found = workspace.manifest("synthesize")
    if found is None:
        raise InputError(
            f"{workspace.location} lacks the clips that its avatar was trained on; an attribute is transferred in the "
            "workspace of a finished build"
        )
    result = found["result"]
    person = archive.load_portrait(workspace).key
    return {person: result["reference"], **{one["edit"]: one["clip"] for one in result["subjects"]}}


def _some(avatar: Avatar, clips: Mapping[str, str]) -> list[str]:
    """Keys of old subjects whose clips are there, the reference first, spread over the table."""
    known = [subject.key for subject in avatar.subjects if subject.key in clips]
    chosen = np.unique(np.linspace(0, len(known) - 1, min(OLD_SUBJECTS, len(known))).round().astype(int))
    return [known[i] for i in chosen]


def _unseen(clip: PortraitClip, recipe: Recipe) -> PortraitClip:
    store = ClipStore([clip])
    return store.frames(~np.isin(store.frame_numbers, np.asarray(recipe.filming.train_frames))).clip(0)


def _write_report(
    workspace: Workspace, stranger: TrackedPortrait, edited: EditedPortrait, scores: TransferScores,
    pictures: TransferPictures,
) -> tuple[str, str]:  # fmt: skip
    """A sheet and the numbers, under the edit's key."""

    def tile(picture: Any, caption: str = "") -> Tile:
        return Tile((picture.numpy() * 255 + 0.5).astype(np.uint8), caption)

    frames = np.linspace(0, len(pictures.shown) - 1, 3).round().astype(int)
    steps = len(pictures.strip)
    rows = [Tile(stranger.image, "the picture"), Tile(edited.image, "put on the person")]
    rows += [tile(pictures.filmed[i], "filmed") for i in frames] + [tile(pictures.shown[i], "avatar") for i in frames]
    rows += [tile(pictures.filmed[0])] * (steps - len(rows)) if steps > len(rows) else []
    strip = [tile(picture, f"{number / (steps - 1):.2f}") for number, picture in enumerate(pictures.strip)]
    sheet = contact_sheet([*rows[:steps], *strip], columns=steps)
    names = f"report/transfer-{edited.key[:8]}.png", f"report/transfer-{edited.key[:8]}.json"
    workspace.write(names[0], encode_image(sheet))
    workspace.write_json(
        names[1],
        {
            "key": edited.key,
            "category": edited.prompt.category.value,
            "text": edited.prompt.text,
            "scores": without_nan(asdict(scores)),
        },
    )
    return names


def _write_avatar(workspace: Workspace, avatar: Avatar) -> None:
    """The avatar's files, and their new digests in the manifest: a build that is repeated keeps them."""
    tensors, description = FILES
    content = {
        tensors: avatar_tensors(avatar),
        description: json.dumps(describe(avatar), indent=1, sort_keys=True).encode(),
    }
    manifest = workspace.manifest("export")
    if manifest is not None:
        products = {name: {"size": len(c), "sha256": hashlib.sha256(c).hexdigest()} for name, c in content.items()}
        workspace.remove("manifests/export.json")  # if this process dies now, a build exports again
        manifest = {**manifest, "products": {**manifest.get("products", {}), **products}}
    for name, written in content.items():
        workspace.write(name, written)
    if manifest is not None:
        workspace.commit("export", manifest)


def _publish(
    workspace: Workspace, person: str, edit: str, scores: TransferScores, report: tuple[str, str]
) -> str:  # fmt: skip
    """The numbers and the sheet as a run of the build's, and the avatar as a new version of the person's model."""
    name = f"transfer {edit[:8]}"
    with BuildLog.open(workspace, name).recorded() as log:
        with log.stage(name) as child, TemporaryDirectory() as folder:
            child.metrics(numbers_of(without_nan(asdict(scores))))
            for path in report:
                local = Path(folder) / path.rpartition("/")[2]
                local.write_bytes(workspace.read(path))
                child.artifact(local, "report")
        return register_avatar(log, head_model_name(person))


class _Watch:
    """Tells what is done, and how long it took."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._seconds = tell, {}  # type: tuple[Callable[[str], None], dict[str, float]]
        self._now, self._since = "opening", time.perf_counter()

    def __call__(self, what: str) -> None:
        self.stop()
        self._now, self._since = what, time.perf_counter()
        self._tell(f"transfer: {what}")

    def stop(self) -> Mapping[str, float]:
        self._seconds[self._now] = round(time.perf_counter() - self._since, 2)
        return dict(self._seconds)
