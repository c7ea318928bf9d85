"""Texture of a dressed surface from the photograph: where each point is seen, how well, and what it has elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import map_coordinates
from scipy.spatial import cKDTree
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.animation.visibility import WITHIN, seen_in
from perse.body.fitting.background import background_seen
from perse.body.fitting.fill import BORDER_M, LEAST, WELL_SEEN, alike, away_from, fill_colors
from perse.body.fitting.hidden_cloth import hand_before_cloth, px_per_m
from perse.body.fitting.openings import without_openings
from perse.body.model import BodyRegion, in_regions
from perse.body.model.covers import Cover
from perse.body.model.mouth import in_mouth, mouth_colors
from perse.body.model.upsampling import unit_normals
from perse.shapes import Picture, SoftMask
from perse.synthesis.procedural.animator.by_example import Example

SHOWN = 0.5
"""How well a point of the mouth is seen whose colour its neighbours take."""
NEIGHBOURS, REACH_M = 4, 0.015
"""So many, and so far: a smile shows half of each tooth."""
BESIDE = (BodyRegion.NECK, BodyRegion.SCALP, BodyRegion.TORSO, BodyRegion.UPPER_ARM)
"""Skin that hair and collars hang over."""


def textured(
    person: DressedPerson, image: Picture, mask: SoftMask, regions: Int[Tensor, " v"], hair: Example | None
) -> DressedPerson:
    """Person with the photograph's colours.

    Args:
        mask: the person in the photograph.
        regions: values of `BodyRegion` of the body's vertices.
        hair: the photographed hair, which goes on behind.
    """
    model, fine = person.model, person.fine
    posed, mouth = person.posed(person.parameters), fine.of(in_mouth(model).float()) > 0.5
    photo_px, seen = seen_in(posed, person.faces, person.camera, mask)
    within = seen_in(posed, person.faces, person.camera, mask, WITHIN)[1]
    seen = torch.where(mouth, within, seen)
    photographed = sampled(image, photo_px)
    kinds = fine.of(torch.nn.functional.one_hot(regions, len(BodyRegion)).float()).argmax(1)
    seen = seen * ~other_than_skin(person.rest, photographed, seen, person.covers, kinds)
    seen = seen * ~background_seen(image, mask, photo_px, photographed, seen, person.covers)
    photo_m = photo_px / px_per_m(person.camera, posed)
    seen = seen * ~hand_before_cloth(photo_m, photographed, seen, person.covers, person.hands)
    fill = fill_colors(person.rest, person.covers, photographed, seen * ~mouth, hair)
    fill = _closed_behind(person, kinds, photographed, seen, fill)
    fill[mouth] = _within_mouth(
        person.rest[mouth], photographed[mouth], seen[mouth], fine.of(mouth_colors(model))[mouth]
    )
    return replace(person, photo_px=photo_px, seen=seen, fill=fill)


def _closed_behind(person: DressedPerson, kinds: Tensor, photographed: Tensor, seen: Tensor, fill: Tensor) -> Tensor:
    trunk = in_regions(kinds, BodyRegion.TORSO, BodyRegion.HIP)
    trunk, towards = trunk & (person.covers == Cover.UPPER), unit_normals(person.rest, person.faces)[:, 2]
    return without_openings(person.rest, photographed, fill, trunk & (seen > WELL_SEEN), trunk & (towards < 0))


def _within_mouth(
    rest: Float[Tensor, "m 3"],
    photographed: Float[Tensor, "m 3"],
    seen: Float[Tensor, " m"],
    otherwise: Float[Tensor, "m 3"],
) -> Float[Tensor, "m 3"]:
    """Colours of a mouth's points that the lips hide: those of points beside them that a smile shows."""
    shown = seen > SHOWN
    if int(shown.sum()) < LEAST:
        return otherwise
    distance, closest = cKDTree(rest[shown].numpy()).query(rest.numpy(), k=NEIGHBOURS)
    beside = photographed[shown][torch.from_numpy(closest)].mean(1)
    share = torch.from_numpy(1 - distance.mean(1) / REACH_M).clamp(0, 1).float()[:, None]
    return share * beside + (1 - share) * otherwise


def other_than_skin(
    rest: Float[Tensor, "n 3"],
    colors: Float[Tensor, "n 3"],
    seen: Float[Tensor, " n"],
    covers: Int[Tensor, " n"],
    regions: Int[Tensor, " n"],
) -> Bool[Tensor, " n"]:
    """Places of neck and ears where the photograph shows something else than skin: hair that hangs over them, a collar
    that stands up. They are taken as not seen, and get the colour of skin.

    Where cloth begins is known to a few millimetres only. So near to it the photograph is right, whatever it shows:
    told point by point, a straight collar had teeth.
    """
    skin = (covers == Cover.SKIN) & (seen > 0)
    beside = in_regions(regions, *BESIDE)
    face = skin & (regions == BodyRegion.FACE) & (seen > 0.6)
    if int(face.sum()) < LEAST:
        return torch.zeros_like(skin)
    return away_from(rest, skin & beside & ~alike(colors, face), covers == Cover.UPPER, BORDER_M)


def sampled(image: Picture, pixels: Float[Tensor, "n 2"]) -> Float[Tensor, "n 3"]:
    """Colours in [0, 1] of an image at pixels."""
    places = [pixels[:, 1].numpy() - 0.5, pixels[:, 0].numpy() - 0.5]
    channels = [
        map_coordinates(image[..., c].astype(np.float32) / 255, places, order=1, mode="nearest") for c in range(3)
    ]
    return torch.from_numpy(np.stack(channels, 1).astype(np.float32))
