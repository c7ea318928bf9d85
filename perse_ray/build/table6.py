"""Table 6: the avatar of a real video against that of its synthetic twin, both driven by the video's unseen frames.

The twin is made of the portrait alone, which is the video's first good frame, filmed along the video's own motion; so
both have the same poses, numbers, steps and seed, and differ in nothing but their pictures. Neither has edits. The
build's own avatar, which may have some, is measured beside them.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perse.avatar import Avatar
from perse.data import archive
from perse.data.images import decode_image, encode_image
from perse.data.keys import clip_key, content_key
from perse.data.workspace import Workspace
from perse.errors import InputError
from perse.evaluation.measurements import spread
from perse.evaluation.metrics import Metric, MetricTable
from perse.evaluation.protocols import Instruments, UnseenScores, driven, self_driving, table1_row
from perse.recipes import Recipe, WorkerPool
from perse.report.sheets import Tile, contact_sheet
from perse.shapes import Picture
from perse.synthesis.clip_check import check_clip
from perse.synthesis.seams import Shot
from perse.training import avatar_of
from perse_ray.build.components import pool_of, synthesis_config_of
from perse_ray.build.contenders import Contender, train_contender
from perse_ray.build.run import BuildRun
from perse_ray.build.shared_clips import SharedClips
from perse_ray.build.worker_rows import run_once, run_rows
from perse_ray.registry.checkpoints import CheckpointFolder
from perse_ray.rows.fingerprint import fingerprint
from perse_ray.rows.stage import KEY, NAME, Row, RowWork, Value
from perse_ray.training.clips import captured_frames

REAL, TWIN, OWN = "real video", "synthetic twin", "this avatar"
"""Rows of the table."""

SHOWN = 5
"""Frames on the sheet."""


@dataclass(frozen=True, kw_only=True)
class SelfDrivingWork:
    """Work of a row: from avatars to their scores on a video's unseen frames."""

    shared: SharedClips
    """Of the build."""
    captured: str
    """Content key of the clip that the video became."""
    stage: str
    """Whose final checkpoint is the build's own avatar."""
    frames: int
    """Unseen frames at most."""

    def build(self) -> RowWork:
        return _Measure(self)


class _Measure:
    def __init__(self, work: SelfDrivingWork) -> None:
        self._work, self._instruments = work, Instruments.at_hand()

    def __call__(self, row: Mapping[str, Value]) -> Mapping[str, Value]:
        work, recipe = self._work, self._work.shared.recipe
        _, unseen = captured_frames(work.shared.workspace, work.captured, recipe.filming.train_frames)
        avatar = self._avatar(str(row["clip"]))
        scores = self_driving(avatar, unseen, recipe.rasterizer, self._instruments, work.frames)
        strip = np.concatenate(list(driven(avatar, unseen, recipe.rasterizer, spread(len(unseen), SHOWN))), 1)
        values = [{name: None if np.isnan(v) else v for name, v in one.values.items()} for one in scores]
        found = {"frames": values, "strip": base64.b64encode(encode_image(strip)).decode()}
        work.shared.workspace.write_json(_file(row), found)
        return {"measured": True}

    def _avatar(self, clip: str) -> Avatar:
        """The build's own avatar, or one that is trained now on a clip of the reference alone."""
        shared, recipe = self._work.shared, self._work.shared.recipe
        if not clip:
            checkpoint = CheckpointFolder(shared.workspace, self._work.stage).load()
            if checkpoint is None:
                raise InputError(f"the checkpoint of {self._work.stage} is gone; repeat perse build to make it again")
            return avatar_of(checkpoint).eval()
        alone = replace(shared, subjects=shared.subjects[:1], clips=(clip,), features=shared.features[:1])
        contender = Contender(name=clip, avatar=recipe.avatar, start=recipe.start, training=recipe.training)
        return train_contender(alone, contender, recipe.training.steps, recipe.training.seed, lambda _: None).avatar


def table6(run: BuildRun, shared: SharedClips, stage: str, frames: int) -> tuple[MetricTable, Picture]:
    """Table and a sheet of pictures; what is missing is trained and measured.

    Args:
        stage: the training whose final checkpoint is the build's own avatar.
        frames: unseen frames at most.

    Raises:
        InputError: the avatar was not built from a video.
    """
    workspace, recipe = shared.workspace, shared.recipe
    made = workspace.manifest("capture")
    if made is None:
        raise InputError(
            f"table6 compares an avatar with a video, and {workspace.location} was built without; "
            "perse build --video me.mp4 builds one"
        )
    captured = str(made["result"]["clip"])
    clips = {REAL: captured, TWIN: _twin(run, recipe, captured), OWN: ""}
    rows = {name: _row(shared, name, clip, captured, stage, frames) for name, clip in clips.items()}
    todo = [row for row in rows.values() if not workspace.has(_file(row))]
    if todo:
        pool = WorkerPool(workers=(1, 1), time_limit_s=6 * 3600.0)
        work = SelfDrivingWork(shared=shared, captured=captured, stage=stage, frames=frames)
        run_rows(run, todo, pool_of(pool).stage("drive", work, ("clip",), (("measured", False),)), pool)
    found = {name: workspace.read_json(_file(row)) for name, row in rows.items()}
    _, unseen = captured_frames(workspace, captured, recipe.filming.train_frames)
    count = len(found[REAL]["frames"])
    title = (
        f"Table 6: self-driving ({count} unseen frames of the video; {REAL} and {TWIN}: {recipe.training.steps} steps "
        "each, no edits; intervals over frames)"
    )
    table = MetricTable(title, {name: _scores(one["frames"]) for name, one in found.items()})
    return table, _sheet(np.asarray(unseen.images[spread(len(unseen), SHOWN)]), found)


def _twin(run: BuildRun, recipe: Recipe, captured: str) -> str:
    """Content key of the portrait filmed along the video's motion, which is done now if it was not."""
    workspace, animator = run.request.workspace, run.synthesis_config.animator_of(None)
    key = clip_key(
        archive.load_portrait(workspace).key, (animator, recipe.head), ("along", captured),
        fingerprint(animator, recipe.head),
    )  # fmt: skip
    if not workspace.has(f"clips/{key}.parquet"):
        run_once(run, "film the twin", film_twin, workspace, recipe, captured, key, pool=recipe.cluster.animate)
    return key


def film_twin(workspace: Workspace, recipe: Recipe, captured: str, key: str) -> None:
    """File the portrait's clip along the motion of another clip."""
    portrait, model = archive.load_portrait(workspace), recipe.head.load()
    real = archive.open_clip(workspace, captured)
    shot = Shot(real.frame_numbers, real.parameters, recipe.filming.size_px)
    clip = synthesis_config_of(recipe).animator_of(None).build(model).animate(portrait, None, shot)
    check_clip(clip, shot)
    archive.save_clip(workspace, key, replace(clip, key=portrait.key))


def _row(shared: SharedClips, name: str, clip: str, captured: str, stage: str, frames: int) -> Row:
    recipe = shared.recipe
    made_of: Any = (clip, recipe.avatar, recipe.start, recipe.training)
    if not clip:
        made_of = (shared.workspace.manifest(stage) or {}).get("products")
    missing = sorted(Instruments.at_hand().missing)
    return {
        KEY: content_key("table6", made_of, captured, frames, missing)[:32],
        NAME: f"self-driving {name}",
        "clip": clip,
    }


def _file(row: Mapping[str, Any]) -> str:
    return f"measurements/self-driving-{row[KEY]}.json"


def _scores(frames: list[dict[str, float | None]]) -> dict[str, Metric]:
    pieces = [UnseenScores({name: np.nan if v is None else v for name, v in one.items()}) for one in frames]
    return table1_row(pieces, Instruments.at_hand().missing)


def _sheet(truth: NDArray[np.uint8], found: Mapping[str, Any]) -> NDArray[np.uint8]:
    """The video above, then every avatar."""
    tiles = [Tile(np.ascontiguousarray(picture), "video, unseen") for picture in truth]
    for name, one in found.items():
        strip = decode_image(base64.b64decode(one["strip"]))
        size = strip.shape[0]
        tiles += [Tile(np.ascontiguousarray(strip[:, i * size : (i + 1) * size]), name) for i in range(len(truth))]
    return contact_sheet(tiles, columns=len(truth))
