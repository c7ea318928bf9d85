"""Stage of tracking the head in the photograph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from perse.data import archive
from perse.data.images import encode_image
from perse.data.workspace import PHOTOGRAPH
from perse.tracking.part_picture import corrected
from perse_ray.build.components import tracker_of
from perse_ray.build.manifests import Result
from perse_ray.build.run import BuildRun
from perse_ray.rows.fingerprint import fingerprint


class Track:
    """Stage from the photograph to portrait/: crop, landmarks, fitted head, camera, part masks."""

    name = "track"
    after: tuple[str, ...] = ()

    def ingredients(self, run: BuildRun) -> Sequence[object]:
        makers = (run.recipe.tracker, run.recipe.head)
        painted = () if run.request.parts is None else (run.request.parts,)
        return run.request.photograph, makers, fingerprint(*makers), run.request.face, *painted

    def work(self, run: BuildRun) -> Mapping[str, Any]:
        photograph, workspace = run.request.photograph, run.request.workspace
        run.tell("track: looking for the head")
        portrait = tracker_of(run.recipe, run.head).track(photograph, face=run.request.face)
        if run.request.parts is not None:
            portrait = corrected(portrait, run.request.parts)
        archive.save_portrait(workspace, portrait)
        workspace.write(PHOTOGRAPH, encode_image(photograph))
        workspace.write("portrait/crop.png", encode_image(portrait.image))
        with run.log.stage("track") as stage:
            stage.metrics({"fit_rms_px": portrait.fit_rms_px, "face_width_px": portrait.face_width_px})
        return {"identity": portrait.key}

    def products(self, run: BuildRun, result: Result) -> Sequence[str]:
        return "portrait/tracked.parquet", PHOTOGRAPH, "portrait/crop.png"
