"""The sample picture: the anny body with the sample portrait's head (Eileen Collins, NASA), in invented clothes.

It is a rendering, and says so wherever it is shown: it shares the body model and the drawing with what is tested on
it, so numbers on it are kinder than on a photograph. The face is a photograph's, projected on the tracked head.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Part
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.studio_camera import looking_at
from perse.body.animation.visibility import seen_in
from perse.body.fitting.head_transfer import baked_head
from perse.body.fitting.person import BEHIND_LIPS_M, soft_shares
from perse.body.model import AnnyBody, BodyJoint, BodyParameters, BodyRegion, body_regions
from perse.body.model.covers import Cover
from perse.body.model.mouth import in_mouth, mouth_colors
from perse.body.model.skin_diffusion import weights_of_layer
from perse.body.model.stance import Stance, stance_pose
from perse.body.model.upsampling import EdgeLengths, FineMesh, refined, unit_normals
from perse.data import TrackedPortrait
from perse.geometry import Camera
from perse.head import HeadModel, pose_head
from perse.head.embedded import embedded_head
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.tracking import MediapipeTrackerConfig

WIDTH, HEIGHT = 900, 1350
DISTANCE_M, EYE_M, FOCAL_HEIGHTS = 4.0, -0.65, 1.95
EDGE_M = 0.003
"""Longest edge of the drawn surface: stripes need fine vertices."""
HAIR_M = 0.028
STANCE = Stance(
    arm=(0.42, 0.36), swing=(0.05, 0.1), elbow=(0.3, 0.2), spread=(-0.06, -0.03), hip=(0.06, -0.02), knee=(0.1, 0.04),
    head_yaw=0.06, curl=(0.25, 0.3), yaw=0.04,
)  # fmt: skip
TEAL, CREAM, NAVY, RED, BROWN = (38, 110, 118), (232, 224, 200), (44, 52, 84), (176, 60, 52), (92, 58, 38)
IN_MOUTH_LIGHT = 0.85
STRIPE_M = 0.055
COLLAR_M, COLLAR_SLOPE, CUFF_M = 0.016, 0.35, 0.012
"""Where the jumper ends: above the neck's joint, the more so the further back, and before the wrist's."""


@dataclass(frozen=True)
class SamplePerson:
    """The picture, and the truth behind it.

    Attributes:
        image: [h, w, 3] uint8.
        parameters: of the body, a single frame.
        camera: that it was drawn with.
        alpha: [h, w] uint8, the person.
        covers: [h, w] uint8, values of `Cover`.
    """

    image: NDArray[np.uint8]
    parameters: BodyParameters
    camera: Camera
    alpha: NDArray[np.uint8]
    covers: NDArray[np.uint8]


def sample_person() -> SamplePerson:
    """Render it (some seconds). The same every time."""
    import skimage.data

    head, model = embedded_head(), AnnyBody().load()
    portrait = MediapipeTrackerConfig().build(head).track(np.asarray(skimage.data.astronaut()))
    parameters = _parameters(model, head, portrait)
    camera = looking_at((0.0, EYE_M, 0.0), DISTANCE_M, FOCAL_HEIGHTS * HEIGHT, WIDTH, HEIGHT)
    person = _dressed(model, head, portrait, parameters, camera)
    frame = draw_person(person, person.posed(parameters), camera)
    lowest = float(person.posed(parameters)[:, 1].min())
    room = _room(camera, lowest)
    alpha = frame.alpha[..., None] / 255.0
    # The frame lies on white, so what it adds to black is what it holds above the white that shines through.
    image = frame.image / 255.0 - (1 - alpha) + (1 - alpha) * room
    noise = np.random.default_rng(0).normal(0, 0.008, image.shape)
    return SamplePerson(
        np.round(255 * np.clip(image + noise, 0, 1)).astype(np.uint8), parameters, camera, frame.alpha, frame.parts
    )


def _parameters(model: HeadModel, head: HeadModel, portrait: TrackedPortrait) -> BodyParameters:
    betas = torch.zeros(model.n_shape)
    betas[0], betas[1] = -0.8, 0.15
    return BodyParameters(
        betas, baked_head(model, head, portrait.head), torch.zeros(model.n_expression), stance_pose(model, STANCE),
        torch.zeros(3),
    )  # fmt: skip


def _dressed(
    model: HeadModel, head: HeadModel, portrait: TrackedPortrait, parameters: BodyParameters, camera: Camera
) -> DressedPerson:
    skin = model.template + model.shape_basis @ parameters.betas + parameters.vertex_offsets
    skin = _under_clothes(model, skin)
    lengths = EdgeLengths.everywhere(model.n_vertices, EDGE_M)
    fine = refined(skin.numpy().astype(np.float64), model.faces.numpy(), lengths)
    regions = body_regions(model)
    thickness = _thickness(model, regions)
    normals = torch.from_numpy(
        smooth_values(
            unit_normals(skin, model.faces).numpy().astype(np.float64),
            neighbour_average(model.faces.numpy(), len(skin)), 4,
        ).astype(np.float32)
    )  # fmt: skip
    normals = torch.nn.functional.normalize(normals, dim=-1)
    off = fine.of(thickness)
    direction = torch.nn.functional.normalize(fine.of(normals), dim=-1)
    surface = fine.of(skin)
    rest = surface + off[:, None] * direction
    layer = weights_of_layer(
        rest.numpy(), off.numpy(), fine.of(model.skinning_weights).numpy(), skin.numpy(), model.skinning_weights.numpy()
    )
    shares = soft_shares(torch.nn.functional.one_hot(regions, len(BodyRegion)).float(), model.faces)
    drawn_on = fine.of(_under_clothes(model, model.template))
    fine_covers = _covers(model, fine.of(shares).argmax(1), drawn_on)
    photo_px, seen = _in_portrait(model, head, portrait, fine, direction * off[:, None])
    hidden = ~torch.isin(fine_covers, torch.tensor([int(Cover.SKIN), int(Cover.HAIR)]))
    bare = DressedPerson(
        model=model, fine=fine, parameters=parameters, rest=rest, thickness_m=off, looseness=torch.zeros(len(fine)),
        skinning=torch.from_numpy(layer.astype(np.float32)), covers=fine_covers, hands=fine_covers < 0,
        photograph=portrait.image.astype(np.float32) / np.float32(255), photo_px=photo_px, seen=seen * ~hidden,
        fill=torch.zeros(len(fine), 3), camera=camera,
    )  # fmt: skip
    light = _light(bare.posed(parameters), model, fine)
    light[fine.of(in_mouth(model).float()) > 0.5] = IN_MOUTH_LIGHT
    fill = _colors(model, portrait, fine, fine_covers, drawn_on) * light
    return DressedPerson(**{**vars(bare), "fill": fill.clamp(0, 1)})


def _under_clothes(model: HeadModel, skin: Tensor) -> Tensor:
    """The body [v, 3] as cloth and leather lie over it: without its small forms."""
    average = neighbour_average(model.faces.numpy(), model.n_vertices)
    covers = _covers(model, body_regions(model), model.template)
    result = skin.numpy().astype(np.float64)
    for cover, rounds in ((Cover.UPPER, 12), (Cover.LOWER, 5), (Cover.SHOES, 25)):
        chosen = (covers == cover).numpy()[:, None]
        for _ in range(rounds):
            result = np.where(chosen, 0.5 * result + 0.5 * (average @ result), result)
    return torch.from_numpy(result.astype(np.float32))


def _heights(model: HeadModel) -> tuple[float, float, float]:
    """Hip, ankle and the jumper's hem, metres."""
    joints = model.joint_regressor @ model.template
    hip, ankle = float(joints[BodyJoint.LEFT_HIP, 1]), float(joints[BodyJoint.LEFT_ANKLE, 1])
    return hip, ankle, hip - 0.07


def _covers(model: HeadModel, regions: Tensor, place: Tensor) -> Tensor:
    """What covers points [n, 3] of the template in these regions [n]: a jumper, trousers, shoes, hair."""
    _, ankle, hem = _heights(model)
    covers = torch.full((len(place),), int(Cover.SKIN))
    legs = (regions == BodyRegion.UPPER_LEG) | (regions == BodyRegion.LOWER_LEG) | (regions == BodyRegion.HIP)
    trunk = (regions == BodyRegion.TORSO) | legs
    covers[legs] = int(Cover.LOWER)
    covers[trunk & (place[:, 1] > hem)] = int(Cover.UPPER)
    covers[_sleeves(model, regions, place)] = int(Cover.UPPER)
    neck = (model.joint_regressor @ model.template)[BodyJoint.NECK]
    near = torch.isin(regions, torch.tensor([int(BodyRegion.TORSO), int(BodyRegion.NECK)]))
    above = place[:, 1] - neck[1] + COLLAR_SLOPE * (place[:, 2] - neck[2]) > COLLAR_M
    covers[near & (place[:, 1] > neck[1] - 0.1)] = int(Cover.UPPER)
    covers[near & above] = int(Cover.SKIN)
    covers[(regions == BodyRegion.FOOT) | (legs & (place[:, 1] < ankle + 0.03))] = int(Cover.SHOES)
    covers[regions == BodyRegion.SCALP] = int(Cover.HAIR)
    return covers


def _sleeves(model: HeadModel, regions: Tensor, place: Tensor) -> Tensor:
    """[n] bool: arms as far as the wrist, around which a cuff goes straight."""
    joints = model.joint_regressor @ model.template
    arms = torch.isin(regions, torch.tensor([int(BodyRegion.UPPER_ARM), int(BodyRegion.FOREARM), int(BodyRegion.HAND)]))
    left = place[:, 0] > 0
    wrist, elbow = (
        torch.where(left[:, None], joints[BodyJoint[f"LEFT_{name}"]], joints[BodyJoint[f"RIGHT_{name}"]])
        for name in ("WRIST", "ELBOW")
    )
    along = ((place - wrist) * torch.nn.functional.normalize(elbow - wrist, dim=-1)).sum(-1)
    return arms & (along > CUFF_M)


def _thickness(model: HeadModel, regions: Tensor) -> Tensor:
    """How far the clothes stand off, [v]: a jumper with a wide hem, flared trousers, hair with volume."""
    place = model.template
    hip, ankle, hem = _heights(model)
    covers = _covers(model, regions, place)
    arms = (regions == BodyRegion.UPPER_ARM) | (regions == BodyRegion.FOREARM)
    thickness = torch.zeros(model.n_vertices)
    upper, lower = covers == Cover.UPPER, covers == Cover.LOWER
    low = ((hip + 0.2 - place[:, 1]) / (hip + 0.2 - hem)).clamp(0, 1)
    thickness[upper] = 0.012 + 0.022 * low[upper]
    thickness[arms] = 0.016
    down = ((hip - place[:, 1]) / (hip - ankle)).clamp(0, 1)
    thickness[lower] = 0.008 + 0.034 * down[lower] ** 1.5
    thickness[covers == Cover.SHOES] = 0.012
    thickness[covers == Cover.HAIR] = HAIR_M
    average = neighbour_average(model.faces.numpy(), model.n_vertices)
    soft = smooth_values(thickness.numpy().astype(np.float64), average, 3)
    bare = (regions == BodyRegion.HAND) | (regions == BodyRegion.FACE) | (regions == BodyRegion.EYE)
    return torch.where(bare, torch.zeros(()), torch.from_numpy(soft.astype(np.float32)))


def _in_portrait(
    model: HeadModel, head: HeadModel, portrait: TrackedPortrait, fine: FineMesh, raised: Tensor
) -> tuple[Tensor, Tensor]:
    """Where the portrait shows each point, and how well; nothing below the neck is looked for there."""
    from perse.body.model.anny_body import head_vertices

    pairs = torch.from_numpy(head_vertices())
    posed = pose_head(head, portrait.head)
    of_head = torch.full((model.n_vertices, 3), float("nan"))
    of_head[pairs[:, 1]] = posed.vertices[pairs[:, 0]]
    points = fine.of(of_head)
    turn = posed.transforms[1, :3, :3]
    points = points + raised @ turn.T
    known = ~torch.isnan(points).any(-1)
    faces = torch.from_numpy(fine.faces)
    faces = faces[known[faces].all(1)]
    points = torch.where(known[:, None], points, torch.zeros(()))
    carried = fine.of(model.skinning_weights[:, [BodyJoint.HEAD, BodyJoint.JAW, 23, 24]].sum(1))
    shown = portrait.masks.person / 255 * (portrait.inside > 0) * (portrait.masks[Part.CLOTHES] < 0.3)
    person = np.asarray(shown, np.float32)
    pixels, seen = seen_in(points, faces, portrait.camera, person)
    mouth = fine.of(in_mouth(model).float()) > 0.5
    seen = torch.where(mouth, seen_in(points, faces, portrait.camera, person, BEHIND_LIPS_M)[1], seen)
    return pixels, seen * known * ((carried - 0.5) / 0.3).clamp(0, 1)


def _colors(model: HeadModel, portrait: TrackedPortrait, fine: FineMesh, covers: Tensor, place: Tensor) -> Tensor:
    """[n, 3] of what the portrait does not show: invented clothes, hair and skin of its median colours.

    Args:
        place: [n, 3], the template as cloth lies over it, on which stripes are straight.
    """
    image = portrait.image.astype(np.float32) / 255
    skin = torch.from_numpy(np.median(image[portrait.masks[Part.SKIN] > 0.9], axis=0))
    hair = torch.from_numpy(np.median(image[portrait.masks[Part.HAIR] > 0.9], axis=0))
    color = skin.expand(len(fine), 3).clone()
    strands = torch.sin(place[:, 0] * 310) * torch.sin(place[:, 1] * 270 + place[:, 2] * 330)
    color = torch.where((covers == Cover.HAIR)[:, None], hair * (1 + 0.25 * strands[:, None]), color)
    color = torch.where((fine.of(in_mouth(model).float()) > 0.5)[:, None], fine.of(mouth_colors(model)), color)
    neck = float((model.joint_regressor @ model.template)[BodyJoint.NECK, 1])
    band = (torch.remainder(torch.floor(place[:, 1] / STRIPE_M), 3) == 0) & (place[:, 1] < neck - STRIPE_M)
    jumper = torch.where(band[:, None], _rgb(CREAM), _rgb(TEAL))
    color = torch.where((covers == Cover.UPPER)[:, None], jumper, color)
    weave = 1 + 0.06 * torch.sin(place[:, 0] * 900) * torch.sin(place[:, 1] * 900)
    color = torch.where((covers == Cover.LOWER)[:, None], _rgb(NAVY) * weave[:, None], color)
    low = (covers == Cover.LOWER) & (torch.remainder(place[:, 1] + 1.36, 10.0) < 0.03)
    color = torch.where(low[:, None], _rgb(RED), color)
    return torch.where((covers == Cover.SHOES)[:, None], _rgb(BROWN), color)


def _rgb(color: tuple[int, int, int]) -> Tensor:
    return torch.tensor(color, dtype=torch.float32) / 255


def _light(points: Tensor, model: HeadModel, fine: FineMesh) -> Tensor:
    """[n, 1] brightness under a soft light from the upper left, darker where the surface faces the floor."""
    # Between the model's vertices normals turn gradually: those of the finer mesh would show its flat triangles.
    coarse = unit_normals(points[: model.n_vertices], model.faces)
    normals = torch.nn.functional.normalize(fine.of(coarse), dim=-1)
    key = torch.nn.functional.normalize(torch.tensor([0.5, 0.7, 0.8]), dim=0)
    return (0.62 + 0.42 * (normals @ key).clamp(min=0) + 0.08 * normals[:, 1])[:, None]


def _room(camera: Camera, floor_m: float) -> NDArray[np.float64]:
    """[h, w, 3]: a wall, a floor, and a soft shadow where the person stands."""
    row = np.linspace(0, 1, camera.height)[:, None, None]
    wall = np.array([0.78, 0.76, 0.72]) * (1.02 - 0.12 * row) * np.ones((1, camera.width, 1))
    foot = camera.project(torch.tensor([[0.0, floor_m, 0.0]]))[0][0].tolist()
    horizon = int(foot[1] - 0.075 * camera.height)
    picture = wall.copy()
    picture[horizon:] = np.array([0.55, 0.5, 0.45]) * (0.9 + 0.2 * row[horizon:])
    picture = np.asarray(cv2.GaussianBlur(picture, (0, 0), 2.0))
    shadow = np.zeros(picture.shape[:2], np.float32)
    cv2.ellipse(
        shadow, (int(foot[0]), int(foot[1])), (int(0.2 * camera.height), int(0.028 * camera.height)), 0, 0, 360, 1.0, -1
    )
    return np.asarray(picture * (1 - 0.4 * cv2.GaussianBlur(shadow, (0, 0), 14.0)[..., None]))
