"""Fitting of a dressed person to a photograph: the order of the steps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
import torch
from jaxtyping import Float, Float32, Int, UInt8
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates
from torch import Tensor

from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.visibility import seen_in
from perse.body.fitting.bare_skin import SEEN
from perse.body.fitting.covering import nearest_labels, vertex_covers
from perse.body.fitting.face import TrackedFace, face_size, track_face
from perse.body.fitting.fit import BodyFit, BodyFitConfig, fit_body, tall_px
from perse.body.fitting.found import FoundPerson, find_person
from perse.body.fitting.hair_detail import read_hair
from perse.body.fitting.head_transfer import baked_head
from perse.body.fitting.layer import layer_thickness, read_outline, shape_towards, smooth_normals, within_mask
from perse.body.fitting.skirt import Skirt, carried_by_both, is_skirt, no_skirt, unrolled
from perse.body.fitting.texture import sampled, textured
from perse.body.model import (
    AnnyBody,
    BodyJoint,
    BodyParameters,
    BodyRegion,
    BodySource,
    body_regions,
    pose_body,
    shaped_body,
)
from perse.body.model.covers import Cover
from perse.body.model.mouth import in_mouth
from perse.body.model.shoes import shod
from perse.body.model.skin_diffusion import weights_of_layer
from perse.body.model.upsampling import EdgeLengths, FineMesh, refined
from perse.geometry import Camera
from perse.head import HeadModel, blend_transforms
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.render import project_vertices, rasterize_mesh
from perse.shapes import Picture
from perse.synthesis.procedural.animator.by_example import Example
from perse.tracking.person import person_matte

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

MAX_SIDE_PX = 1400
"""Larger photographs are reduced: no Gaussian is smaller than their pixels."""
LEAST_HAIR = 0.15
"""Share of the scalp's seen vertices that show hair, from which on a person has some: short hair begins far above the
forehead's end, and what lies behind is not seen."""
MATTE_PX = 512
UNSURE_WIDTHS = 0.22
BESIDE_WIDTHS = 0.1
"""So far from the fitted body, in face widths, colours tell the person from what is behind."""
"""Of the matte, face widths: the network's outline of a whole body is coarse."""
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
POORLY_FITTED = 0.02
"""Landmarks that are this far off, in heights of the person, mean another pose than the person's."""


@dataclass(frozen=True, kw_only=True)
class PersonFitConfig:
    """Configuration of fitting a person: everything that decides how."""

    fit: BodyFitConfig = field(default_factory=BodyFitConfig)
    """Weights of the pose fit."""
    longest_edge_m: float = 0.009
    """Of the dressed surface; its vertices are the avatar's Gaussians."""
    head_edges: float = 0.5
    """Longest edges on the head, which is looked at most, relative to the others."""
    hair_edges: float = 0.42
    """The same of hair: a lock is a centimetre wide."""
    mouth_edges: float = 0.3
    """The same within the mouth: a smile is open by a centimetre, and points behind the lips are not photographed."""
    border_edges: float = 0.28
    """The same where one cover ends and another begins."""


@dataclass(frozen=True)
class FittedPerson:
    """A photographed person, ready to be filmed and trained on.

    Attributes:
        dressed: the textured surface.
        image: [h, w, 3] uint8, the photograph.
        mask: [h, w] float32, the person.
        parts: [h, w] uint8, values of `Cover`.
        rms_px: of the body landmarks.
        guessed: what the photograph does not show.
        face: the tracked face; None where it could not be tracked, or where the body's head is not the tracked one.
    """

    dressed: DressedPerson
    image: UInt8[NDArray[np.uint8], "h w 3"]
    mask: Float32[NDArray[np.float32], "h w"]
    parts: UInt8[NDArray[np.uint8], "h w"]
    rms_px: float
    guessed: tuple[str, ...]
    face: TrackedFace | None = None


def fit_person(image: Picture, source: BodySource, config: PersonFitConfig, person: int | None = None) -> FittedPerson:
    """Dressed person of a photograph.

    Args:
        image: [h, w, 3] uint8 RGB, upright.
        person: which one, where there are several; from 1, left to right.

    Raises:
        PortraitError: nobody, several persons without a choice, too small.
    """
    image = _reduced(image)
    model = source.load()
    found = find_person(image, person)
    face = track_face(image, found)
    guessed: tuple[str, ...] = ("face shape",)
    offsets, face_px = torch.zeros_like(model.template), None
    if isinstance(face, TrackedFace):
        face_px = face.landmarks_px
        if isinstance(source, AnnyBody):
            guessed = ()
            from perse.head.embedded import embedded_head

            offsets = baked_head(model, embedded_head(), face.portrait.head)
    tracked = face if isinstance(face, TrackedFace) else None
    fit = fit_body(model, found, (image.shape[1], image.shape[0]), face_px, offsets, config.fit)
    body_mask = _drawn_mask(model, fit)
    mask = _matte(image, found, body_mask)
    dressed = _dressed(model, fit, image, mask, body_mask, tracked, config)
    frame = draw_person(dressed, dressed.posed(dressed.parameters), dressed.camera)
    parts = nearest_labels(frame.parts, mask > 0.5)
    if fit.rms_px > POORLY_FITTED * tall_px(found):
        guessed = (*guessed, f"the pose (landmarks are {fit.rms_px:.0f} px off)")
    shared = tracked if isinstance(source, AnnyBody) else None
    return FittedPerson(dressed, image, mask, parts, fit.rms_px, (*fit.guessed, *guessed), shared)


def _reduced(image: Image) -> Image:
    scale = MAX_SIDE_PX / max(image.shape[:2])
    if scale >= 1:
        return image
    size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _drawn_mask(model: HeadModel, fit: BodyFit) -> Floats:
    """[h, w], 1 where the fitted body covers the photograph."""
    pixels = project_vertices(pose_body(model, fit.parameters).vertices.numpy(), fit.camera)
    fragments = rasterize_mesh(pixels, model.faces.numpy().astype(np.int32), fit.camera.width, fit.camera.height)
    return (fragments.face >= 0).astype(np.float32)


def _matte(image: Image, found: FoundPerson, body_mask: Floats) -> Floats:
    """The person's mask [h, w]. The inside of the fitted body is certain, its outline is not, and where the body does
    not reach, colours decide: mediapipe takes the wall between an arm and the trunk, or between two legs, for the
    person."""
    width = face_size(found)
    size = 2 * max(1, round(0.12 * width)) + 1
    core = cv2.erode(body_mask, np.ones((size, size), np.uint8)) * (found.mask > 0.2)
    beside = 2 * max(1, round(BESIDE_WIDTHS * width)) + 1
    doubtful = 1 - cv2.dilate(body_mask, np.ones((beside, beside), np.uint8))
    return person_matte(
        image, width, core.astype(np.float32), probability=found.mask, doubtful=doubtful, work_px=MATTE_PX,
        unsure_widths=UNSURE_WIDTHS,
    )  # fmt: skip


def _dressed(
    model: HeadModel,
    fit: BodyFit,
    image: Image,
    mask: Floats,
    body_mask: Floats,
    face: TrackedFace | None,
    config: PersonFitConfig,
) -> DressedPerson:
    regions = body_regions(model)
    lean = _Posed.of(model, fit.parameters)
    outline = read_outline(lean.vertices, lean.normals, regions, fit.camera, mask, body_mask)
    placed = torch.cat([torch.einsum("jv,vcs->jcs", model.joint_regressor, model.shape_basis), _face_basis(model)])
    change = shape_towards(model.shape_basis, placed, lean.turns, lean.normals, outline)
    fit = replace(fit, parameters=replace(fit.parameters, betas=fit.parameters.betas + change))
    body = _Posed.of(model, fit.parameters)
    outline = read_outline(body.vertices, body.normals, regions, fit.camera, mask, _drawn_mask(model, fit))
    thickness = layer_thickness(outline, regions, model.faces)
    thickness = within_mask(thickness, body.vertices, body.normals, regions, fit.camera, mask)

    dressed_coarse = body.vertices + thickness[:, None] * body.normals
    photo_px, seen = seen_in(dressed_coarse, model.faces, fit.camera, mask)
    colors = sampled(image, photo_px)
    hair = _hair_of(face, photo_px, seen, regions, model)
    joints = model.joint_regressor @ model.template
    covers = vertex_covers(model.template, joints, model.faces, regions, colors, seen, hair)

    skin = shod(model, body.skin, covers == Cover.SHOES)
    layer = _layer(model, fit, skin, body, regions, covers, thickness, mask)
    surface = layer.skin + thickness[:, None] * layer.normals
    shares = soft_shares(torch.nn.functional.one_hot(covers, len(Cover)).float(), model.faces)
    fine = refined(surface.numpy(), model.faces.numpy(), _lengths(model, regions, shares, config))
    example = None if face is None else read_hair(face.portrait)
    return _refined(model, fit, image, mask, fine, skin, layer, body.joints, thickness, shares, regions, example)


def _layer(
    model: HeadModel, fit: BodyFit, skin: Tensor, body: _Posed, regions: Tensor, covers: Tensor, thickness: Tensor,
    mask: Floats,
) -> Skirt:  # fmt: skip
    """What the layer of cloth stands on: the skin, or a skirt's own surface."""
    at_rest = model.joint_regressor @ model.template
    if is_skirt(model.template, at_rest, body.posed_joints, regions, covers, thickness, fit.camera, mask):
        return unrolled(skin, body.rest_normals, body.joints, model.template, at_rest, regions, covers)
    return no_skirt(skin, body.rest_normals)


def _face_basis(model: HeadModel) -> Tensor:
    """[l, 3, s]: how the face's landmarks move with the shape; every few of them, about as many as there are joints."""
    corners = model.faces[model.landmark_faces[::FACE_HELD_EVERY]]
    weights = model.landmark_weights[::FACE_HELD_EVERY]
    return (weights[:, :, None, None] * model.shape_basis[corners]).sum(1)


def _lengths(model: HeadModel, regions: Tensor, shares: Tensor, config: PersonFitConfig) -> EdgeLengths:
    """Finer on the head, which is looked at most, and where one cover ends and another begins."""
    mouth = in_mouth(model).numpy()
    head = torch.isin(regions, torch.tensor([int(one) for one in _HEAD])).numpy()
    hair = (shares[:, Cover.HAIR] > 0.5).numpy()
    relative = np.where(hair, config.hair_edges, np.where(head, config.head_edges, 1.0))
    longest = np.where(mouth, config.mouth_edges, relative) * config.longest_edge_m
    return EdgeLengths(longest, shares.numpy().astype(np.float64), config.border_edges * config.longest_edge_m)


def soft_shares(shares: Float[Tensor, "n k"], faces: Int[Tensor, "t 3"]) -> Float[Tensor, "n k"]:
    """Shares [v, c] that change gradually from vertex to vertex, so that a border cuts through triangles."""
    average = neighbour_average(faces.numpy(), len(shares))
    soft = smooth_values(shares.numpy().astype(np.float64), average, BORDER_ROUNDS)
    return torch.from_numpy(soft.astype(np.float32))


@dataclass(frozen=True)
class _Posed:
    """A fitted body with smooth normals.

    Attributes:
        skin: [v, 3] in rest pose; vertices: [v, 3] posed.
        rest_normals, normals: [v, 3], in rest pose and posed.
        turns: [v, 3, 3], rest pose to posed.
        joints: [55, 3] in rest pose; posed_joints: [55, 3] posed.
    """

    skin: Float[Tensor, "v 3"]
    vertices: Float[Tensor, "v 3"]
    rest_normals: Float[Tensor, "v 3"]
    normals: Float[Tensor, "v 3"]
    turns: Float[Tensor, "v 3 3"]
    joints: Float[Tensor, "55 3"]
    posed_joints: Float[Tensor, "55 3"]

    @classmethod
    def of(cls, model: HeadModel, parameters: BodyParameters) -> _Posed:
        skin, posed = shaped_body(model, parameters), pose_body(model, parameters)
        normals = smooth_normals(skin, model.faces)
        turns = blend_transforms(posed.transforms, model.skinning_weights)[:, :3, :3]
        turned = torch.nn.functional.normalize((turns @ normals[..., None])[..., 0], dim=-1)
        return cls(skin, posed.vertices, normals, turned, turns, posed.joints, posed.posed_joints)


def _refined(
    model: HeadModel, fit: BodyFit, image: Image, mask: Floats, fine: FineMesh, skin: Tensor, layer: Skirt,
    joints: Tensor, thickness: Tensor, coarse_shares: Tensor, regions: Tensor, hair: Example | None,
) -> DressedPerson:  # fmt: skip
    off = fine.of(thickness)
    rest = fine.of(layer.skin) + off[:, None] * torch.nn.functional.normalize(fine.of(layer.normals), dim=-1)
    below, weights = fine.of(model.skinning_weights).numpy(), model.skinning_weights.numpy()
    skinning = weights_of_layer(rest.numpy(), off.abs().numpy(), below, skin.numpy(), weights)
    carried = carried_by_both(torch.from_numpy(skinning.astype(np.float32)), rest, joints, fine.of(layer.share))
    shares = fine.of(coarse_shares)
    fine_covers = shares.argmax(1)
    hands = fine.of((regions == BodyRegion.HAND).float()) > 0.5
    empty = torch.zeros(len(fine), 3)
    person = DressedPerson(
        model=model, fine=fine, parameters=fit.parameters, rest=rest, thickness_m=off.clamp(min=0),
        looseness=_looseness(off, shares), skinning=carried, covers=fine_covers,
        hands=hands, photograph=image.astype(np.float32) / np.float32(255), photo_px=empty[:, :2],
        seen=empty[:, 0], fill=empty, camera=fit.camera,
    )  # fmt: skip
    return textured(person, image, mask, regions, hair)


def _looseness(thickness: Tensor, shares: Tensor) -> Tensor:
    """[n]: cloth by its thickness, hair a little, skin and shoes not at all."""
    cloth = shares[:, Cover.UPPER] + shares[:, Cover.LOWER] + HAIR_LOOSENESS * shares[:, Cover.HAIR]
    return loose_by_thickness(thickness) * cloth


def loose_by_thickness(thickness: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Looseness [n] in [0, 1] of cloth that stands so far off the skin, metres."""
    return ((thickness - LOOSE_FROM_M) / LOOSE_OVER_M).clamp(0, 1)


def _hair_of(
    face: TrackedFace | None, photo_px: Tensor, seen: Tensor, regions: Tensor, model: HeadModel
) -> Tensor | None:
    """[v] in [0, 1]: the tracked portrait's hair where vertices are seen; on the head, hair goes on behind it. Below
    an ear it does not: there, hair is what the picture shows, and otherwise a jaw."""
    if face is None:
        return None
    crop = face.in_crop(photo_px.numpy())
    hair = map_coordinates(face.hair, [crop[:, 1] - 0.5, crop[:, 0] - 0.5], order=1, mode="constant")
    scalp = regions == BodyRegion.SCALP
    found = torch.from_numpy(hair.astype(np.float32))
    shown = scalp & (seen > SEEN)
    bald = float((found[shown] > 0.5).float().mean()) < LEAST_HAIR if bool(shown.any()) else True
    eyes = (model.joint_regressor @ model.template)[[BodyJoint.LEFT_EYE, BodyJoint.RIGHT_EYE]].mean(0)
    down, back = (model.template - eyes)[:, 1] < -BELOW_EARS_M, (model.template - eyes)[:, 2] < -BEHIND_EARS_M
    grown = scalp & (back | ~down)
    return torch.where(grown, torch.full_like(found, 0.0 if bald else 1.0), found)


def person_camera(person: FittedPerson, size_px: int) -> tuple[Camera, tuple[int, int, int, int]]:
    """A square window of the photograph around the person, as a camera of that size, and its box (x0, y0, x1, y1)."""
    rows, columns = np.nonzero(person.mask > 0.5)
    top, bottom, left, right = rows.min(), rows.max() + 1, columns.min(), columns.max() + 1
    side = int(1.08 * max(bottom - top, right - left))
    x0, y0 = int((left + right - side) // 2), int((top + bottom - side) // 2)
    cropped = person.dressed.camera.cropped(x0, y0, side, side).resized(size_px, size_px)
    return cropped, (x0, y0, x0 + side, y0 + side)
