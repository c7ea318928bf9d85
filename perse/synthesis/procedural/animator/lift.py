"""Lifting of a photograph to a `LiftedPortrait`.

::

    portrait ─ own pose ─► bare head in the picture
    masks ─── hair volume ─► displacement ─► lifted head in the picture
    picture ─ projection ─► trust per vertex and texel
      ├─ complexion ─► colours of hidden skin and hair ─► atlas ─┐
      ├─ closed lids, eyes, teeth ───────────────────────────────┼─► texture sheet
      └─ body layer ─────────────────────────────────────────────┘
    what hangs ─ sheets beside the face, a curtain behind the neck
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int32
from numpy.typing import NDArray

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.head import pose_head, rest_vertices
from perse.shapes import Picture
from perse.synthesis.procedural.animator.body import build_body
from perse.synthesis.procedural.animator.closed_mouth import closed_mouth, relaxed_lips
from perse.synthesis.procedural.animator.eyelids import close_lids
from perse.synthesis.procedural.animator.eyes import paint_eye
from perse.synthesis.procedural.animator.front_map import make_front_map
from perse.synthesis.procedural.animator.hair_volume import HairVolumeConfig, lift_hair
from perse.synthesis.procedural.animator.hanging import hang_sheets
from perse.synthesis.procedural.animator.harmonic import extend
from perse.synthesis.procedural.animator.lifted import LiftedPortrait
from perse.synthesis.procedural.animator.mouth import (
    CAVITY_COLOR,
    GUM_COLOR,
    TONGUE_COLOR,
    find_opening,
    inner_shade,
    paint_teeth,
    place_teeth,
)
from perse.synthesis.procedural.animator.own_pose import OwnPose, moved, take_own_pose
from perse.synthesis.procedural.animator.projection import (
    PreparedPhotograph,
    prepare_photograph,
    project_mesh,
    project_texels,
)
from perse.synthesis.procedural.animator.skin_and_hair import paint_atlas, read_complexion
from perse.synthesis.procedural.animator.spectacle_sheets import spectacle_sheets
from perse.synthesis.procedural.animator.surface import HeadSurface, TriangleKind
from perse.synthesis.procedural.animator.texture_sheet import Patch, assemble, flat_patch
from perse.synthesis.procedural.scene import Light, fit_light
from perse.tracking.crop import last_row
from perse.tracking.landmarks import LEFT_IRIS, LEFT_IRIS_CENTER, RIGHT_IRIS, RIGHT_IRIS_CENTER
from perse.tracking.spectacles import Spectacles, find_spectacles, without_spectacles

_EYE_TEXELS_PER_M = 3200.0
_TEETH_TEXELS_PER_M = 2400.0
_SOCKET_COLOR = (96.0, 60.0, 54.0)


@dataclass(frozen=True, kw_only=True)
class LiftConfig:
    """Numbers of the lifting of a portrait."""

    atlas_scale_px: float = 1300.0
    """Texels per unit of the head model's UV square."""
    longest_edge_m: float = 0.010
    """Edges of the outer skin longer than this are split, so that hair has a round outline."""
    hair: HairVolumeConfig = field(default_factory=HairVolumeConfig)
    """How hair and headwear get their volume."""


@dataclass(frozen=True)
class Geometry:
    """Shape of a lifted head.

    Attributes:
        cover: [n] covered by hair or headwear.
        displacement: [n, 3] metres, rest pose.
    """

    cover: Float32[NDArray[np.float32], " n"]
    displacement: Float32[NDArray[np.float32], "n 3"]


def shape_head(
    surface: HeadSurface, portrait: TrackedPortrait, picture: PreparedPhotograph, config: LiftConfig
) -> Geometry:
    """Geometry of the drawn mesh, displaced from the fitted head: ears under hair, hair itself, teeth."""
    nothing = np.zeros_like(surface.rest)
    bare = take_own_pose(surface, portrait.head, portrait.camera, nothing)
    first = lift_hair(surface, bare, picture.masks, config.hair)
    rest_shift = _flatten_covered_ears(surface, portrait, first.cover)
    rest_shift += place_teeth(surface, bare, find_opening(picture, portrait.landmarks_px))
    flattened = moved(surface, bare, bare.vertices + np.einsum("nij,nj->ni", bare.rotations, rest_shift))
    volume = lift_hair(surface, flattened, picture.masks, config.hair)
    inverse = np.linalg.inv(bare.rotations)
    grown = np.einsum("nij,nj->ni", inverse, volume.displacement)
    return Geometry(volume.cover, (rest_shift + grown).astype(np.float32))


def _flatten_covered_ears(
    surface: HeadSurface, portrait: TrackedPortrait, cover: Float32[np.ndarray, " n"]
) -> Float32[np.ndarray, "n 3"]:
    """Ears under hair or a hat would dent it: lay them flat. Rest-pose displacement [n, 3]."""
    rest = (surface.mixture @ rest_vertices(surface.model, portrait.head).numpy()).astype(np.float32)
    shift = np.zeros_like(rest)
    for side in (-1, 1):
        ear = surface.ears & (np.sign(rest[:, 0]) == side)
        ear &= rest[:, 1] > _bare_below(rest[ear, 1], cover[ear])
        if ear.any():
            pinned = np.where(ear, 0.0, 1e6).astype(np.float32)
            shift += np.where(ear[:, None], extend(rest, pinned, surface.average, surface.outer) - rest, 0)
    return shift


def _bare_below(heights: Float32[np.ndarray, " n"], cover: Float32[np.ndarray, " n"]) -> float:
    """Up to which height an ear shows below the hair: its lobe, all of it (+inf) or nothing (-inf)."""
    if not len(heights):
        return np.inf
    steps = np.linspace(heights.min(), heights.max(), 7)
    for low, high in pairwise(steps):
        here = (heights >= low) & (heights <= high)
        if here.any() and cover[here].mean() > 0.5:
            return float(low) if low > steps[0] else -np.inf
    return np.inf


def lift_portrait(
    surface: HeadSurface,
    portrait: TrackedPortrait,
    image: Picture,
    masks: PartMasks,
    config: LiftConfig,
    light: Light | None = None,
) -> LiftedPortrait:
    """Lifted picture of the portrait's head: of the portrait itself or of an edit of it, in the same pose and crop."""
    spectacles = find_spectacles(portrait.image, portrait.landmarks_px)
    picture = prepare_photograph(without_spectacles(image, spectacles), masks)
    return dress(surface, portrait, picture, shape_head(surface, portrait, picture, config), light, spectacles)


def dress(
    surface: HeadSurface,
    portrait: TrackedPortrait,
    picture: PreparedPhotograph,
    geometry: Geometry,
    light: Light | None,
    spectacles: Spectacles | None,
) -> LiftedPortrait:
    """Lifted portrait: a head whose shape is known, textured.

    Args:
        picture: without the spectacles that the portrait shows.
    """
    pose = take_own_pose(surface, portrait.head, portrait.camera, geometry.displacement)
    if light is None:
        light = light_of(surface, pose, picture, portrait.image)
    seen = project_mesh(surface, pose, picture)
    complexion = read_complexion(surface, pose, picture, seen, geometry.cover, light)
    texels = project_texels(surface, pose, picture)
    body = build_body(surface, pose, picture, portrait.inside, portrait.face_width_px)
    atlas = paint_atlas(surface, pose, picture, texels, complexion, body.alpha * (body.labels == Part.CLOTHES))
    atlas = closed_mouth(surface, portrait, picture, texels, atlas)
    sheet = assemble(surface, atlas, _patches(surface, portrait, pose, picture, geometry))
    return LiftedPortrait(
        surface=surface,
        head=portrait.head,
        camera=portrait.camera,
        displacement=(geometry.displacement + relaxed_lips(surface, portrait)).astype(np.float32),
        cover=geometry.cover,
        shade=inner_shade(surface),
        corner_uvs=sheet.corner_uvs,
        texture=sheet.texture,
        dressed=sheet.dressed,
        rim=sheet.rim,
        labels=sheet.labels,
        lids=close_lids(surface, portrait, pose, picture, light),
        body=body,
        sheets=hang_sheets(
            surface, pose, picture, _joints(surface, portrait), portrait.face_width_px, last_row(portrait.inside)
        )
        + spectacle_sheets(surface, portrait, spectacles),
        spectacles=spectacles,
        light=light,
    )


def _joints(surface: HeadSurface, portrait: TrackedPortrait) -> Float32[np.ndarray, "j 4 4"]:
    return pose_head(surface.model, portrait.head).transforms.numpy()


def light_of(surface: HeadSurface, pose: OwnPose, picture: PreparedPhotograph, image: Picture) -> Light:
    """The photograph's light, from its skin."""
    return fit_light(image, picture.masks, pose.fragments.interpolate(surface.faces, pose.normals))


def _turned_away(rest: Float32[np.ndarray, "n 3"], faces: Int32[np.ndarray, "t 3"]) -> Bool[np.ndarray, " t"]:
    """Triangles that do not face the front at rest, [t]: the inner sides of teeth, which a front view cannot paint."""
    corners = rest[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(normal[:, 2] < 0.15 * np.linalg.norm(normal, axis=1))


def _patches(
    surface: HeadSurface, portrait: TrackedPortrait, pose: OwnPose, picture: PreparedPhotograph, geometry: Geometry
) -> list[Patch]:
    rest = surface.mixture @ rest_vertices(surface.model, portrait.head).to(torch.float32).numpy()
    rest = (rest + geometry.displacement).astype(np.float32)
    opening = find_opening(picture, portrait.landmarks_px)
    patches = []
    for kind, ids in (
        (TriangleKind.LEFT_EYE, (LEFT_IRIS_CENTER, *LEFT_IRIS)),
        (TriangleKind.RIGHT_EYE, (RIGHT_IRIS_CENTER, *RIGHT_IRIS)),
    ):
        if (surface.kinds == kind).any():
            front = make_front_map(surface, rest, (kind,), _EYE_TEXELS_PER_M)
            rgb = paint_eye(surface, pose, picture, front, portrait.landmarks_px[list(ids), :2])
            patches.append(Patch(rgb, front.chosen, front.corner_uvs, Part.EYES))
    for kind in (TriangleKind.UPPER_TEETH, TriangleKind.LOWER_TEETH):
        if (surface.kinds == kind).any():
            front = make_front_map(surface, rest, (kind,), _TEETH_TEXELS_PER_M)
            rgb = paint_teeth(surface, pose, picture, front, opening, upper=kind is TriangleKind.UPPER_TEETH)
            patches.append(Patch(rgb, front.chosen, front.corner_uvs, Part.MOUTH))
            patches.append(flat_patch(surface, kind, GUM_COLOR, Part.MOUTH, among=_turned_away(rest, surface.faces)))
    patches.append(flat_patch(surface, TriangleKind.TONGUE, TONGUE_COLOR, Part.MOUTH))
    patches.append(flat_patch(surface, TriangleKind.CAVITY, CAVITY_COLOR, Part.MOUTH))
    patches.append(flat_patch(surface, TriangleKind.SOCKET, _SOCKET_COLOR, Part.EYES))
    return patches
