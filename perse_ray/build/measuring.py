"""Rows of an evaluation: a subject, a mix or a pair each, measured by whoever has room.

What was measured lies in ``measurements/`` under the row's key, so an evaluation that was interrupted goes on where it
was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from perse.attributes import Category
from perse.data import archive
from perse.data.keys import content_key
from perse.data.workspace import Workspace
from perse.evaluation import (
    EvaluationPieces,
    Measured,
    Measurer,
    PairScores,
    PoseDistances,
    SubjectScores,
    unseen_pose_distances,
)
from perse.evaluation.measurements import mean
from perse.evaluation.protocols import Instruments, self_driving
from perse.evaluation.view_sweep import view_sweep
from perse.identity import DlibEmbedder
from perse.morphing import ClipMorphs
from perse.morphing.diffusion.adapters import adapter_file
from perse.recipes import Recipe
from perse.render import check_device
from perse.training import avatar_of
from perse_ray.build.face_distances import face_distances
from perse_ray.build.values import without_nan
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value
from perse_ray.training.clips import captured_frames, load_clips, training_frames, unseen_frames

POSES, FACE, SWEEP, VIDEO = "poses", "face", "sweep", "video"
"""Pieces that there is one of: how new the unseen poses are, the distance to the photograph, a walk around, and the
unseen part of the person's own video, where there is one."""


def measuring_rows(digest: str, pieces: EvaluationPieces, *, video: bool = False) -> list[Row]:
    """Rows of the pieces; `video` tells whether the person gave one."""
    named: list[tuple[str, object]] = [(f"subject {row}", row) for row in pieces.subjects]
    mixes = [{category.value: row for category, row in mix.items()} for mix in pieces.mixes]
    named += [(f"mix {number}", mix) for number, mix in enumerate(mixes)]
    named += [(f"pair {a} {b}", [a, b]) for a, b in pieces.pairs]
    named += [(POSES, None), (FACE, None), (SWEEP, None), *([(VIDEO, None)] if video else [])]
    return [
        {KEY: content_key("measurement", digest, name, piece)[:32], NAME: name, "piece": json.dumps(piece)}
        for name, piece in named
    ]


def measurement_file(key: str) -> str:
    """Name of the file of a row's numbers."""
    return f"measurements/{key}.json"


@dataclass(frozen=True)
class Collected:
    """Results of an evaluation's rows."""

    measured: Measured
    distances: PoseDistances
    face: dict[str, Any]
    sweep: dict[str, Any]
    video: dict[str, float] | None


def collect(workspace: Workspace, rows: Sequence[Row]) -> Collected:
    """Numbers of all rows."""
    found = {str(row[NAME]): _read(workspace.read_json(measurement_file(str(row[KEY])))) for row in rows}

    def of(kind: str) -> Iterator[Any]:
        return (value for name, value in found.items() if name.split()[0] == kind)

    distances = found[POSES]
    return Collected(
        Measured(
            subjects=[SubjectScores(**{**one, "category": _category(one["category"])}) for one in of("subject")],
            mixes=[one["leakage"] for one in of("mix")],
            pairs=[PairScores(**{name: tuple(numbers) for name, numbers in one.items()}) for one in of("pair")],
        ),
        PoseDistances(distances["metric"], tuple(distances["of_frame"]), distances["mean"], distances["largest"]),
        found[FACE],
        found[SWEEP],
        found.get(VIDEO),
    )


def _category(name: str | None) -> Category | None:
    return None if name is None else Category(name)


@dataclass(frozen=True, kw_only=True)
class MeasureWork:
    """Work of a row: from pieces of an avatar's evaluation to their numbers."""

    workspace: Workspace
    """Where clips and checkpoints are."""
    recipe: Recipe
    """What is measured, who draws."""
    clips: tuple[str, ...]
    """Content keys of the clips, the reference's first."""
    stage: str
    """Whose final checkpoint is measured."""
    device: str
    """Where: "cpu" or "cuda"."""
    captured: str | None = None
    """Content key of the clip of the person's own video."""

    def build(self) -> RowWork:
        return _Measure(self)


def _teacher(work: MeasureWork, subjects: Sequence[str]) -> ClipMorphs | None:
    """Who says what lies between two subjects; nobody where an adapter that it needs has not been trained yet."""
    recipe = work.recipe
    lora = recipe.morpher.lora
    if lora is not None and not all(work.workspace.has(adapter_file(lora.key(clip))) for clip in work.clips[1:]):
        return None
    files = dict(zip(subjects, work.clips, strict=True))
    return ClipMorphs(recipe.morpher.build(), recipe.head.load(), work.workspace, files)


class _Measure:
    def __init__(self, work: MeasureWork) -> None:
        recipe, device = work.recipe, torch.device(work.device)
        check_device(recipe.rasterizer, device)
        checkpoint = CheckpointFolder(work.workspace, work.stage).load()
        assert checkpoint is not None, "the training is finished"
        clips = load_clips(work.workspace, work.clips, recipe.cluster.clips_mib)
        unseen = unseen_frames(clips, recipe.filming.train_frames)
        unseen_clips = [unseen.clip(row) for row in range(unseen.n_subjects)]
        self._workspace, self._recipe, self._clips, self._captured = work.workspace, recipe, clips, work.captured
        self._measurer = Measurer(
            avatar=avatar_of(checkpoint).eval().to(device),
            clips=unseen_clips,
            config=recipe.evaluation,
            rasterizer=recipe.rasterizer,
            embedder=DlibEmbedder(),
            teacher=_teacher(work, [clip.key for clip in unseen_clips]),
        )

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        place = measurement_file(str(row[KEY]))
        if not self._workspace.has(place):
            kind = str(row[NAME]).split()[0]
            self._workspace.write_json(place, without_nan(self._measured(kind, json.loads(str(row["piece"])))))
        return {"measured": True}

    def _measured(self, kind: str, piece: Any) -> dict[str, Any]:
        measurer = self._measurer
        if kind == "subject":
            scores = measurer.subject(piece)
            return {**asdict(scores), "category": scores.category.value if scores.category else None}
        if kind == "mix":
            return {"leakage": measurer.mix({Category(name): row for name, row in piece.items()})}
        if kind == "pair":
            return asdict(measurer.pair(*piece))
        if kind == POSES:
            training = training_frames(self._clips, self._recipe.filming.train_frames)
            test = measurer.clips[0].parameters
            return asdict(unseen_pose_distances(measurer.avatar, test, training.parameters, measurer.config))
        if kind == SWEEP:
            training = training_frames(self._clips, self._recipe.filming.train_frames)
            return asdict(view_sweep(measurer.avatar, training.clip(0), self._recipe.rasterizer))
        if kind == VIDEO:
            return self._in_video(measurer)
        portrait = archive.load_portrait(self._workspace)
        return face_distances(measurer.avatar, portrait, self._clips.clip(0), self._recipe.rasterizer)

    def _in_video(self, measurer: Measurer) -> dict[str, float]:
        """Means over the video's unseen frames."""
        assert self._captured is not None, "the row is there only with a video"
        _, unseen = captured_frames(self._workspace, self._captured, self._recipe.filming.train_frames)
        scores = self_driving(
            measurer.avatar, unseen, self._recipe.rasterizer, Instruments.at_hand(), measurer.config.frames
        )
        return {name: mean([one.values[name] for one in scores]) for name in scores[0].values}


_MAY_BE_ABSENT = ("category", "identity")


def _read(value: dict[str, Any]) -> dict[str, Any]:
    """The inverse, for numbers: null is nan, but where None has a meaning of its own."""
    return {name: inner if name in _MAY_BE_ABSENT else _number(inner) for name, inner in value.items()}


def _number(value: Any) -> Any:
    """A value of JSON, or a list of them, with nan where JSON has null."""
    if isinstance(value, list):
        return [_number(inner) for inner in value]
    return math.nan if value is None else value
