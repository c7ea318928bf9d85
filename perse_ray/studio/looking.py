"""First look at a photograph: its faces, the parts of the chosen one, and how well the head fits.

One picture at a time, in a thread of its own: the tracker's networks are not made for several at once.
"""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.data.images import encode_image, read_portrait
from perse.errors import PerseError
from perse.recipes import recipe_named
from perse_ray.studio.project import CROP, FOUND, PARTS, PHOTOGRAPH, PREVIEW, PREVIEW_PX, Face, Found, Phase, Projects

log = logging.getLogger(__name__)

SMALLEST_PART = 0.005
"""Squared face widths; less is not worth a word."""


class Looker:
    """Worker that looks at photographs, one after the other."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._thread = ThreadPoolExecutor(1, "look")
        for project in projects.all():  # one that a server did not live to finish
            if project.phase is Phase.LOOKING:
                self.look(project.id)

    def look(self, name: str) -> None:
        """Begin to look at a project's photograph; the project is in phase "looking" until that is done."""
        self._thread.submit(self._look, name)

    def close(self) -> None:
        self._thread.shutdown(wait=True, cancel_futures=True)

    @cached_property
    def _head(self):  # type: ignore[no-untyped-def]
        return recipe_named("laptop").head.load()

    def _look(self, name: str) -> None:
        try:
            face = self._projects.get(name).face
            found = self._found(name, face)
            self._projects.change(name, lambda one: replace(one, phase=Phase.DRAFT, found=found))
        except PerseError as error:  # removed in the meantime, or the disk is full
            log.warning("%s cannot be looked at: %s", name, error)
        except Exception:
            log.exception("looking at %s", name)
            problem = Found(error="the photograph cannot be understood; try another one")
            self._projects.change(name, lambda one: replace(one, phase=Phase.DRAFT, found=problem))

    def _found(self, name: str, face: int | None) -> Found:
        from perse.tracking.orientation import upright
        from perse.tracking.selection import faces_to_choose

        recipe = recipe_named("laptop")
        picture = upright(read_portrait(self._projects.file(name, PHOTOGRAPH)))
        self._projects.keep(name, PREVIEW, encode_image(_small(picture), "webp", quality=82))
        for file in (CROP, FOUND, PARTS):  # of another face
            self._projects.remove(name, file)
        height, width = picture.shape[:2]
        faces = tuple(
            Face(box.left / width, box.top / height, box.width / width, box.height / height)
            for box in faces_to_choose(picture, recipe.tracker.selection)
        )
        if len(faces) > 1 and face is None:
            return Found(faces, "the picture shows several faces; choose one")
        try:
            portrait = recipe.tracker.build(self._head).track(picture, face=face)
        except PerseError as error:
            return Found(faces, str(error))
        return self._kept(name, faces, portrait)

    def _kept(self, name: str, faces: tuple[Face, ...], portrait: TrackedPortrait) -> Found:
        from perse.tracking.part_picture import draw_parts

        self._projects.keep(name, CROP, encode_image(portrait.image))
        self._projects.keep(name, FOUND, encode_image(draw_parts(portrait.masks)))
        unit = portrait.face_width_px**2
        areas = {part: float(portrait.masks[part].sum()) / unit for part in Part if part is not Part.BACKGROUND}
        return Found(
            faces=faces,
            size_px=int(portrait.image.shape[0]),
            fit_rms_px=round(portrait.fit_rms_px, 2),
            face_width_px=round(portrait.face_width_px, 1),
            parts={part.name.lower(): round(area, 3) for part, area in areas.items() if area >= SMALLEST_PART},
        )


def _small(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture for a page."""
    image = Pillow.fromarray(picture)
    image.thumbnail((PREVIEW_PX, PREVIEW_PX))
    return np.asarray(image)
