"""Edits of the head, by the head's own procedural editor, carried over to a body.

The editor works on the crop around the face as it does for a head avatar. What it paints goes back into the photograph
and is seen through the points that the photograph colours; what it puts on in 3D goes to the body's head. Hair that
would stick out of a hat, or that gives way to another style, lies down on the scalp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree
from torch import Tensor

from perse.attributes import Category, Part
from perse.avatar.points import sample_triangles, spacing
from perse.body.editing.edited import AddedPoints, EditedPerson, WornPiece, no_points, with_piece
from perse.body.editing.head_frame import HeadFrame, head_frame
from perse.body.fitting.face import TrackedFace
from perse.body.fitting.fill import fill_colors
from perse.body.fitting.hair_detail import read_hair
from perse.body.fitting.person import FittedPerson
from perse.body.fitting.texture import sampled
from perse.body.model import BodyJoint, shaped_body
from perse.body.model.covers import Cover
from perse.body.model.mouth import in_mouth
from perse.body.model.upsampling import INSET, unit_normals
from perse.data import Attachment, AttributePrompt, EditedPortrait
from perse.head.embedded import embedded_head
from perse.shapes import Picture
from perse.synthesis.procedural.attachments.hats import rim_plane
from perse.synthesis.procedural.attachments.skull import Skull
from perse.synthesis.procedural.editing.editor import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.procedural.editing.hair import OWN_STYLE
from perse.synthesis.procedural.editing.head_view import HeadView
from perse.synthesis.procedural.scene import Light

HEAD_CATEGORIES = (Category.HAT, Category.HEADPHONES, Category.HAIR, Category.BEARD, Category.EYEBROWS, Category.MOUTH)

ADDED_POINTS = {Category.HAT: 3000, Category.HEADPHONES: 2000, Category.HAIR: 6000}
"""Gaussians of what is put on; about the density of the head below."""
SCALE_SPACINGS = 0.55
"""First standard deviation of an added Gaussian, in distances to its neighbours: they close the surface."""
CANDIDATES = 6
"""Places on a piece for each point of it, of which the points are chosen."""
PAINTED = 0.05
"""Share of an edit at a pixel from which on it counts as changed."""
DARKEST = 0.6
"""Least light on what is put on: a face says nothing about the light behind it, where a body is seen as well."""
OPAQUE = 0.45
"""A triangle whose texture covers less is left out: strands are thinner than any Gaussian here."""
SAME_DIRECTION = 0.08
"""Radians; on a head, about a centimetre."""
GREATEST_GAP_M = 0.004
"""Hair below a hat is taken for covered from so far under its rim."""


def edit_head(person: FittedPerson, face: TrackedFace, prompt: AttributePrompt) -> EditedPerson:
    """The person with the prompt's attribute on or at the head.

    Raises:
        PromptError: a slot or value that is not in the vocabulary.
    """
    head, dressed = embedded_head(), person.dressed
    edited = ProceduralEditor(ProceduralEditorConfig(), head).edit(face.portrait, prompt)
    ground = edited.image if edited.underlay is None else edited.underlay.image
    below = pasted(person.image, ground, edited.edit_mask, face)
    frame = head_frame(dressed.model, dressed.parameters, head, face.portrait.head)
    skull = Skull.fit(head, face.portrait.head)

    light = HeadView.of(face.portrait, head).light
    pieces = [_piece(one, frame, light, dressed.rest, dressed.skinning) for one in edited.attachments]
    flat = _lying_down(person, prompt, frame, skull)
    if prompt.category is Category.HEADPHONES and pieces:
        flat |= (dressed.covers == Cover.HAIR) & sticks_out(dressed.rest, _joined(pieces), frame.to_body(skull.centre))
    covers = dressed.covers.clone()
    if prompt.category is Category.HAIR and prompt.get("style") != OWN_STYLE:
        covers[flat] = int(Cover.SKIN)
    painted = _painted(person, edited, face)
    changed = flat | painted
    seen = torch.where(flat | (painted & _gone(person, edited, face)), torch.zeros_like(dressed.seen), dressed.seen)
    photographed = sampled(below, dressed.photo_px)
    if prompt.category is Category.HAIR and prompt.get("style") == OWN_STYLE:
        changed |= dressed.covers == Cover.HAIR  # the back takes the new colour from the front
    filled = fill_colors(dressed.rest, covers, photographed, seen, read_hair(face.portrait))
    mouth = dressed.fine.of(in_mouth(dressed.model).float()) > 0.5  # whose colours are no skin's
    fill = torch.where((changed & ~mouth)[:, None], filled, dressed.fill)
    skin = dressed.fine.of(shaped_body(dressed.model, dressed.parameters))
    rest = torch.where(flat[:, None], skin, dressed.rest)
    thickness = torch.where(flat, torch.zeros_like(dressed.thickness_m), dressed.thickness_m)
    looseness = torch.where(flat, torch.zeros_like(dressed.looseness), dressed.looseness)
    changed_person = replace(
        dressed, photograph=below.astype(np.float32) / np.float32(255), rest=rest, thickness_m=thickness,
        looseness=looseness, covers=covers, seen=seen, fill=fill,
    )  # fmt: skip
    colors = seen[:, None] * photographed + (1 - seen[:, None]) * fill
    added = no_points(dressed.skinning.shape[1])
    if pieces:
        piece = _joined(pieces)
        changed_person = with_piece(changed_person, piece, int(Cover.HAIR))
        added = added_points(piece, ADDED_POINTS[prompt.category], prompt.seed)
    picture = pasted(person.image, edited.image, edited.edit_mask, face)
    return EditedPerson(prompt, changed_person, changed, colors, added, picture)


def pasted(
    photograph: Picture,
    crop: UInt8[NDArray[np.uint8], "s s 3"],
    mask: UInt8[NDArray[np.uint8], "s s"],
    face: TrackedFace,
) -> Picture:
    """The photograph with the crop where a mask of the crop says so."""
    height, width = photograph.shape[:2]
    back = np.array([[1 / face.scale, 0, face.left], [0, 1 / face.scale, face.top]], np.float64)
    # Pixel centres stand at index + 0.5, which warpAffine does not know.
    back[:, 2] += 0.5 * (1 / face.scale) - 0.5
    blur = max(0.0, 0.5 * (face.scale - 1))
    soft = mask.astype(np.float32) / np.float32(255)
    both = np.concatenate([crop.astype(np.float32), soft[..., None]], -1)
    if blur > 0.1:  # the crop is finer than the photograph
        both = gaussian_filter(both, (blur, blur, 0))
    placed = np.asarray(cv2.warpAffine(both, back, (width, height), flags=cv2.INTER_LINEAR))
    share = placed[..., 3:]
    return np.round((1 - share) * photograph + share * placed[..., :3]).clip(0, 255).astype(np.uint8)


def _painted(person: FittedPerson, edited: EditedPortrait, face: TrackedFace) -> Tensor:
    """[n] bool: points of the head that show what the editor has painted."""
    dressed = person.dressed
    crop = face.in_crop(dressed.photo_px.numpy())
    mask = edited.edit_mask.astype(np.float32) / 255
    share = map_coordinates(mask, [crop[:, 1] - 0.5, crop[:, 0] - 0.5], order=1, mode="constant")
    head = dressed.skinning[:, [BodyJoint.NECK, BodyJoint.HEAD, BodyJoint.JAW]].sum(1) > 0.5
    return torch.from_numpy(share > PAINTED) & (dressed.seen > 0) & head


def _gone(person: FittedPerson, edited: EditedPortrait, face: TrackedFace) -> Tensor:
    """[n] bool: hair that is still there on the body where the editor has painted what lies behind it."""
    ground = edited.masks if edited.underlay is None else edited.underlay.masks
    dressed = person.dressed
    crop = face.in_crop(dressed.photo_px.numpy())
    there = map_coordinates(ground[Part.HAIR], [crop[:, 1] - 0.5, crop[:, 0] - 0.5], order=1, mode="nearest")
    return (dressed.covers == Cover.HAIR) & torch.from_numpy(there < 0.5)


def _lying_down(person: FittedPerson, prompt: AttributePrompt, frame: HeadFrame, skull: Skull) -> Tensor:
    """[n] bool: hair that a hat presses down, or that gives way to another style."""
    dressed = person.dressed
    hair = dressed.covers == Cover.HAIR
    if prompt.category is Category.HAT:
        height = rim_plane(prompt).height_above(skull, frame.to_head(dressed.rest.numpy()))
        return hair & torch.from_numpy(height > -GREATEST_GAP_M / frame.scale)
    if prompt.category is Category.HAIR and prompt.get("style") != OWN_STYLE:
        return hair
    return torch.zeros_like(hair)


def sticks_out(
    points: Float[Tensor, "n 3"], piece: WornPiece, centre: Float[NDArray[np.float64], "3"]
) -> Bool[Tensor, " n"]:
    """Mask [n] of points that stand further from the head's centre than a piece does in the same direction."""
    away, around = points.numpy() - centre, piece.points[piece.faces.unique()].numpy() - centre
    radius, inner = (np.linalg.norm(one, axis=-1) for one in (away, around))
    tree = cKDTree(around / inner[:, None])
    found = tree.query_ball_point(away / np.maximum(radius, 1e-6)[:, None], SAME_DIRECTION)
    nearest = np.array([inner[one].min() if one else np.inf for one in found])
    return torch.from_numpy(radius > nearest)


def _piece(item: Attachment, frame: HeadFrame, light: Light, body: Tensor, skinning: Tensor) -> WornPiece:
    """An attachment on the body, its texture and light at its vertices."""
    points = frame.to_body(item.vertices)
    texture = item.texture.astype(np.float32) / np.float32(255)
    height, width = texture.shape[:2]
    smooth = gaussian_filter(texture, (height / 60, width / 120, 0), mode=("nearest", "wrap", "nearest"))
    row = np.clip(item.uvs[:, 1], 0, 1) * (height - 1)
    column = np.mod(item.uvs[:, 0], 1.0) * (width - 1)
    rgba = np.stack([map_coordinates(smooth[..., c], [row, column], order=1, mode="nearest") for c in range(4)], -1)
    shade = np.maximum(light.shade(item.normals), DARKEST) * item.occlusion
    lit = rgba[:, :3] * shade[:, None]
    opaque = rgba[item.faces, 3].mean(1) > OPAQUE
    joints = skinning.shape[1]
    rigid = np.zeros((len(points), joints))
    rigid[:, BodyJoint.HEAD] = 1
    near = skinning[torch.from_numpy(cKDTree(body.numpy()).query(points)[1])].numpy()
    share = item.head_weight[:, None]
    return WornPiece(
        points=_tensor(points), faces=torch.from_numpy(item.faces[opaque].astype(np.int64)),
        colors=_tensor(lit.clip(0, 1)), skinning=_tensor(share * rigid + (1 - share) * near),
    )  # fmt: skip


def _joined(pieces: Sequence[WornPiece]) -> WornPiece:
    """Several as one."""
    first = np.cumsum([0, *(len(one.points) for one in pieces[:-1])])
    return WornPiece(
        torch.cat([one.points for one in pieces]),
        torch.cat([one.faces + int(start) for one, start in zip(pieces, first, strict=True)]),
        torch.cat([one.colors for one in pieces]),
        torch.cat([one.skinning for one in pieces]),
    )


def added_points(piece: WornPiece, count: int, seed: int) -> AddedPoints:
    """Points spread evenly over a piece, as far below its surface as a body's own points."""
    corners = piece.points[piece.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=-1)
    triangles, weights = sample_triangles(area, CANDIDATES * count, np.random.default_rng(seed))
    of = piece.faces[triangles]
    chosen = farthest_points((weights[..., None] * piece.points[of]).sum(1), count)
    of, weights = of[chosen], weights[chosen]

    def at(values: Tensor) -> Tensor:
        return (weights[..., None] * values[of]).sum(1)

    points = at(piece.points)
    scales = SCALE_SPACINGS * spacing(points)
    inwards = -torch.nn.functional.normalize(at(unit_normals(piece.points, piece.faces)), dim=-1)
    return AddedPoints(points + INSET * scales[:, None] * inwards, at(piece.colors), at(piece.skinning), scales)


def farthest_points(points: Float[Tensor, "n 3"], count: int) -> Int[Tensor, " m"]:
    """Numbers [count] of points [n, 3], each the one that is farthest from those before it: no clumps and no holes, and
    a rim has its own."""
    places, chosen = points.numpy(), np.zeros(count, np.int64)
    away = np.full(len(places), np.inf, np.float32)
    for number in range(1, count):
        np.minimum(away, np.square(places - places[chosen[number - 1]]).sum(1), out=away)
        chosen[number] = away.argmax()
    return torch.from_numpy(chosen)


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))
