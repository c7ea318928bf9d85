"""Procedural animator: lifts a picture of a head to three dimensions and films it along a motion."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.head import HeadModel, rest_vertices
from perse.synthesis.procedural.animator.canvas import vertex_normals
from perse.synthesis.procedural.animator.edits import EditedPicture, lift_edit
from perse.synthesis.procedural.animator.frames import ClipSetting, clip_setting, draw_frames
from perse.synthesis.procedural.animator.lift import LiftConfig, lift_portrait
from perse.synthesis.procedural.animator.lifted import LiftedPortrait
from perse.synthesis.procedural.animator.press import press_hair
from perse.synthesis.procedural.animator.surface import build_surface
from perse.synthesis.procedural.scene import shadows_on
from perse.synthesis.seams import Shot

_RESHAPING = (Category.MOUTH, Category.NOSE)
"""Edits that move features; the others leave the face's shape alone, and landmarks found through a beard mislead."""


@dataclass(frozen=True, kw_only=True)
class ProceduralAnimatorConfig:
    """Configuration of lifting and drawing portraits."""

    lift: LiftConfig = field(default_factory=LiftConfig)
    """How a picture becomes a textured head and a body layer."""
    supersampling: int = 2
    """Frames are drawn this many times wider and higher, then averaged; small frames more."""
    kept_references: int = 2
    """Lifted portraits that are remembered, since all edits of a person build on the same one."""

    def __post_init__(self) -> None:
        if self.supersampling < 1 or self.kept_references < 1:
            raise ValueError("supersampling and kept_references must be at least 1")

    def build(self, head: HeadModel) -> ProceduralAnimator:
        return ProceduralAnimator(self, head)


class ProceduralAnimator:
    """Animator without weights; see `PortraitAnimator`.

    An edit with attachments is filmed as its underlay with the attachments drawn onto it; an edit without, from its
    image and masks alone, as a diffusion model would deliver it. Either way the parts that the edit does not touch are
    those of the reference.

    Raises:
        RecipeError: the head model has no texture coordinates.
    """

    def __init__(self, config: ProceduralAnimatorConfig, head_model: HeadModel) -> None:
        self._config = config
        self._surface = build_surface(head_model, config.lift.atlas_scale_px, config.lift.longest_edge_m)
        self._references: OrderedDict[str, LiftedPortrait] = OrderedDict()

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """See `PortraitAnimator.animate`.

        Raises:
            ValueError: the shot's frame numbers and motion differ in length.
        """
        if len(shot.frame_numbers) != len(shot.motion):
            raise ValueError(f"{len(shot.frame_numbers)} frame numbers, but a motion of {len(shot.motion)} frames")
        if edited is None or not edited.attachments:
            setting = clip_setting(self.lift(portrait, edited), shot.size_px, self._config.supersampling)
        else:
            setting = self.underlay(portrait, edited, shot.size_px).wearing(edited.attachments)
        frames = list(draw_frames(setting, shot.motion))
        return PortraitClip(
            key=edited.key if edited is not None else portrait.key,
            frame_numbers=np.asarray(shot.frame_numbers, np.int32),
            images=np.stack([frame.image for frame in frames]),
            alphas=np.stack([frame.alpha for frame in frames]),
            parts=np.stack([frame.parts for frame in frames]),
            parameters=shot.motion.with_identity(portrait.head),
            camera=portrait.camera.resized(shot.size_px, shot.size_px),
        )

    def lift(self, portrait: TrackedPortrait, edited: EditedPortrait | None = None) -> LiftedPortrait:
        """Lifted portrait, of the person or of an edit; attachments are not part of it."""
        reference = self._reference(portrait)
        if edited is None:
            return reference
        below = edited.underlay if edited.underlay is not None else edited
        reshaped = edited.prompt.category in _RESHAPING
        picture = EditedPicture(below.image, below.masks, edited.edit_mask, reshaped)
        return press_hair(lift_edit(portrait, reference, picture, self._config.lift), edited.attachments)

    def underlay(self, portrait: TrackedPortrait, edited: EditedPortrait, size_px: int) -> ClipSetting:
        """Setting of the picture that an edit's attachments are drawn onto, with their shadows but without
        themselves."""
        lifted = self.lift(portrait, edited)
        shadows = shadows_on(*_at_rest(lifted), edited.attachments, lifted.light)
        return clip_setting(lifted, size_px, self._config.supersampling, shadows=shadows)

    def _reference(self, portrait: TrackedPortrait) -> LiftedPortrait:
        if portrait.key not in self._references:
            lifted = lift_portrait(self._surface, portrait, portrait.image, portrait.masks, self._config.lift)
            self._references[portrait.key] = lifted
            while len(self._references) > self._config.kept_references:
                self._references.popitem(last=False)
        self._references.move_to_end(portrait.key)
        return self._references[portrait.key]


def _at_rest(lifted: LiftedPortrait) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The lifted head in rest pose, where attachments live: vertices and normals, [n, 3] each."""
    surface = lifted.surface
    rest = surface.mixture @ rest_vertices(surface.model, lifted.head).numpy() + lifted.displacement
    rest = rest.astype(np.float32)
    return rest, vertex_normals(rest, surface.faces)
