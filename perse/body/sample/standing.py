"""The sample picture: the anny body in invented clothes under the sample portrait's head (Eileen Collins, NASA).

It is a rendering, and says so wherever it is shown: it shares the body model and the drawing with what is tested on
it, so numbers on it are kinder than on a photograph. Face and hair are the photograph's pixels; the body below holds
its head as the photographed one is held.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Part
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.studio_camera import looking_at
from perse.body.fitting.dressing import soft_shares
from perse.body.fitting.head_transfer import baked_head
from perse.body.model import AnnyBody, BodyJoint, BodyParameters, BodyRegion, body_regions, in_regions, pose_body
from perse.body.model.covers import Cover
from perse.body.model.shoes import shod
from perse.body.model.skin_diffusion import weights_of_layer
from perse.body.model.stance import Stance, matrix_to_axis_angle, stance_pose
from perse.body.model.upsampling import EdgeLengths, FineMesh, refined, unit_normals
from perse.body.sample.photographed_head import HeadPicture, photographed_head
from perse.data import TrackedPortrait
from perse.geometry import Camera
from perse.head import HeadModel, joint_transforms, pose_head
from perse.head.embedded import embedded_head
from perse.head.mesh_tools import neighbour_average, smooth_values
from perse.tracking import MediapipeTrackerConfig

WIDTH, HEIGHT = 900, 1350
DISTANCE_M, EYE_M, FOCAL_HEIGHTS = 4.0, -0.65, 1.95
EDGE_M = 0.003
"""Longest edge of the drawn surface: stripes need fine vertices."""
SHOE_LIGHT = 0.85
SHADOW, SHADOW_DOWN, SHADOW_BLUR = 0.3, 0.12, 0.05
"""Of the head on the neck: how dark, how far down and how soft, in sizes of the head."""
SLIM_NECK = 0.6
"""Share of the neck's points, from below, where it still widens towards the shoulders."""
STANCE = Stance(
    arm=(0.42, 0.36), swing=(0.05, 0.1), elbow=(0.3, 0.2), spread=(-0.06, -0.03), hip=(0.06, -0.02), knee=(0.1, 0.04),
    head_yaw=0.06, curl=(0.25, 0.3), yaw=0.04,
)  # fmt: skip
TEAL, CREAM, NAVY, RED, BROWN = (38, 110, 118), (232, 224, 200), (44, 52, 84), (176, 60, 52), (92, 58, 38)
STRIPE_M = 0.055
COLLAR_M, COLLAR_SLOPE, CUFF_M = 0.016, 0.35, 0.012
"""Where the jumper ends: above the neck's joint, the more so the further back, and before the wrist's."""


def sample_person() -> NDArray[np.uint8]:
    """Rendered picture [h, w, 3] (some seconds). The same every time."""
    import skimage.data

    head, model = embedded_head(), AnnyBody().load()
    portrait = MediapipeTrackerConfig().build(head).track(np.asarray(skimage.data.astronaut()))
    camera = looking_at((0.0, EYE_M, 0.0), DISTANCE_M, FOCAL_HEIGHTS * HEIGHT, WIDTH, HEIGHT)
    parameters = _parameters(model, head, portrait, camera)
    person = _dressed(model, portrait, parameters, camera)
    frame = draw_person(_headless(person), person.posed(parameters), camera)
    cut_out = photographed_head(portrait, *_landmarks(model, portrait, parameters, camera), (WIDTH, HEIGHT))
    alpha = frame.alpha[..., None] / np.float32(255)
    # The frame lies on white, so what it adds to black is what it holds above the white that shines through.
    drawn = frame.image / 255.0 - (1 - alpha)
    body = np.clip(drawn / np.maximum(alpha, 1e-3), 0, 1) * _shadow(cut_out)
    room = _room(camera, float(person.posed(parameters)[:, 1].min()))
    image = alpha * body + (1 - alpha) * room
    image += cut_out.alpha[..., None] * (cut_out.color - image)
    noise = np.random.default_rng(0).normal(0, 0.008, image.shape)
    return np.round(255 * np.clip(image + noise, 0, 1)).astype(np.uint8)


def _headless(person: DressedPerson) -> DressedPerson:
    """The body up to its chin, no wider there than its neck. Beside the photographed head its own one showed: bald,
    with ears, and along the jaw a dark rim of cheek in the head's shadow."""
    shares = torch.nn.functional.one_hot(body_regions(person.model), len(BodyRegion)).float()
    regions, aside = person.fine.of(shares).argmax(1), person.rest[:, 0].abs()
    height = person.rest[:, 1]
    neck = regions == BodyRegion.NECK
    slim = aside[neck & (height > height[neck].quantile(SLIM_NECK))].max()
    head = in_regions(regions, BodyRegion.FACE, BodyRegion.SCALP, BodyRegion.EYE)
    faces = person.fine.faces
    return replace(person, fine=replace(person.fine, faces=faces[~(head & (aside > slim)).numpy()[faces].any(1)]))


def _shadow(head: HeadPicture) -> NDArray[np.float32]:
    """[h, w, 1] brightness of what is below the head."""
    size = float(np.sqrt(head.alpha.sum()))
    moved = np.roll(head.alpha, round(SHADOW_DOWN * size), axis=0)
    soft = np.asarray(cv2.GaussianBlur(moved, (0, 0), SHADOW_BLUR * size), np.float32)
    return (1 - np.float32(SHADOW) * soft)[..., None]


def _landmarks(
    model: HeadModel, portrait: TrackedPortrait, parameters: BodyParameters, camera: Camera
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels [l, 2] of the face's landmarks in the portrait and on the posed body."""
    vertices = pose_body(model, parameters).vertices[model.faces[model.landmark_faces]]
    points = (vertices * model.landmark_weights[..., None]).sum(1)
    return portrait.landmarks_px[model.landmark_ids.numpy(), :2], camera.project(points)[0].numpy()


def _parameters(model: HeadModel, head: HeadModel, portrait: TrackedPortrait, camera: Camera) -> BodyParameters:
    betas = torch.zeros(model.n_shape)
    betas[0], betas[1] = -0.8, 0.15
    offsets, pose = baked_head(model, head, portrait.head), stance_pose(model, STANCE)
    joints = model.joint_regressor @ (model.template + model.shape_basis @ betas + offsets)
    neck = joint_transforms(joints, pose, model.parents.tolist())[BodyJoint.NECK, :3, :3]
    held = portrait.camera.world_to_camera[:3, :3] @ pose_head(head, portrait.head).transforms[1, :3, :3]
    pose[BodyJoint.HEAD] = matrix_to_axis_angle(neck.T @ camera.world_to_camera[:3, :3].T @ held)
    return BodyParameters(betas, offsets, torch.zeros(model.n_expression), pose, torch.zeros(3))


def _dressed(
    model: HeadModel, portrait: TrackedPortrait, parameters: BodyParameters, camera: Camera
) -> DressedPerson:  # fmt: skip
    skin = model.template + model.shape_basis @ parameters.betas + parameters.vertex_offsets
    skin = _under_clothes(model, skin)
    lengths = EdgeLengths.everywhere(model.n_vertices, EDGE_M)
    fine = refined(skin.numpy().astype(np.float64), model.faces.numpy(), lengths)
    regions = body_regions(model)
    off, direction = fine.of(_thickness(model, regions)), _smooth_directions(model, skin, fine)
    rest = fine.of(skin) + off[:, None] * direction
    layer = weights_of_layer(
        rest.numpy(), off.numpy(), fine.of(model.skinning_weights).numpy(), skin.numpy(), model.skinning_weights.numpy()
    )
    shares = soft_shares(torch.nn.functional.one_hot(regions, len(BodyRegion)).float(), model.faces)
    drawn_on = fine.of(_under_clothes(model, model.template))
    covers = _covers(model, fine.of(shares).argmax(1), drawn_on)
    n = len(fine)
    bare = DressedPerson(
        model=model, fine=fine, parameters=parameters, rest=rest, thickness_m=off, looseness=torch.zeros(n),
        skinning=torch.from_numpy(layer.astype(np.float32)), covers=covers, hands=covers < 0,
        photograph=np.zeros((1, 1, 3), np.float32), photo_px=torch.zeros(n, 2), seen=torch.zeros(n),
        fill=torch.zeros(n, 3), camera=camera,
    )  # fmt: skip
    light = _light(bare.posed(parameters), model, fine)
    light[covers == Cover.SHOES] = SHOE_LIGHT  # the sides of toes lie in its surface and face anywhere
    fill = _colors(model, portrait, fine, covers, drawn_on) * light
    return replace(bare, fill=fill.clamp(0, 1))


def _smooth_directions(model: HeadModel, skin: Tensor, fine: FineMesh) -> Tensor:
    """[n, 3] unit vectors along which cloth stands off the skin."""
    rough = unit_normals(skin, model.faces).numpy().astype(np.float64)
    soft = smooth_values(rough, neighbour_average(model.faces.numpy(), len(skin)), 4).astype(np.float32)
    return torch.nn.functional.normalize(fine.of(torch.nn.functional.normalize(torch.from_numpy(soft), dim=-1)), dim=-1)


def _under_clothes(model: HeadModel, skin: Tensor) -> Tensor:
    """The body [v, 3] as cloth and leather lie over it: without its small forms."""
    average = neighbour_average(model.faces.numpy(), model.n_vertices)
    covers = _covers(model, body_regions(model), model.template)
    result = skin.numpy().astype(np.float64)
    for cover, rounds in ((Cover.UPPER, 12), (Cover.LOWER, 5)):
        chosen = (covers == cover).numpy()[:, None]
        for _ in range(rounds):
            result = np.where(chosen, 0.5 * result + 0.5 * (average @ result), result)
    return shod(model, torch.from_numpy(result.astype(np.float32)), covers == Cover.SHOES)


def _heights(model: HeadModel) -> tuple[float, float, float]:
    """Hip, ankle and the jumper's hem, metres."""
    joints = model.joint_regressor @ model.template
    hip, ankle = float(joints[BodyJoint.LEFT_HIP, 1]), float(joints[BodyJoint.LEFT_ANKLE, 1])
    return hip, ankle, hip - 0.07


def _covers(model: HeadModel, regions: Tensor, place: Tensor) -> Tensor:
    """What covers points [n, 3] of the template in these regions [n]: a jumper, trousers, shoes."""
    _, ankle, hem = _heights(model)
    covers = torch.full((len(place),), int(Cover.SKIN))
    legs = (regions == BodyRegion.UPPER_LEG) | (regions == BodyRegion.LOWER_LEG) | (regions == BodyRegion.HIP)
    trunk = (regions == BodyRegion.TORSO) | legs
    covers[legs] = int(Cover.LOWER)
    covers[trunk & (place[:, 1] > hem)] = int(Cover.UPPER)
    covers[_sleeves(model, regions, place)] = int(Cover.UPPER)
    neck = (model.joint_regressor @ model.template)[BodyJoint.NECK]
    near = in_regions(regions, BodyRegion.TORSO, BodyRegion.NECK)
    above = place[:, 1] - neck[1] + COLLAR_SLOPE * (place[:, 2] - neck[2]) > COLLAR_M
    covers[near & (place[:, 1] > neck[1] - 0.1)] = int(Cover.UPPER)
    covers[near & above] = int(Cover.SKIN)
    covers[(regions == BodyRegion.FOOT) | (legs & (place[:, 1] < ankle + 0.03))] = int(Cover.SHOES)
    covers[regions == BodyRegion.SCALP] = int(Cover.HAIR)
    return covers


def _sleeves(model: HeadModel, regions: Tensor, place: Tensor) -> Tensor:
    """[n] bool: arms as far as the wrist, around which a cuff goes straight."""
    joints = model.joint_regressor @ model.template
    arms = in_regions(regions, BodyRegion.UPPER_ARM, BodyRegion.FOREARM, BodyRegion.HAND)
    left = place[:, 0] > 0
    wrist, elbow = (
        torch.where(left[:, None], joints[BodyJoint[f"LEFT_{name}"]], joints[BodyJoint[f"RIGHT_{name}"]])
        for name in ("WRIST", "ELBOW")
    )
    along = ((place - wrist) * torch.nn.functional.normalize(elbow - wrist, dim=-1)).sum(-1)
    return arms & (along > CUFF_M)


def _thickness(model: HeadModel, regions: Tensor) -> Tensor:
    """How far the clothes stand off, [v]: a jumper with a wide hem, flared trousers."""
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
    average = neighbour_average(model.faces.numpy(), model.n_vertices)
    soft = smooth_values(thickness.numpy().astype(np.float64), average, 3)
    return torch.where(
        (covers == Cover.SKIN) | (covers == Cover.HAIR), torch.zeros(()), torch.from_numpy(soft.astype(np.float32))
    )


def _colors(model: HeadModel, portrait: TrackedPortrait, fine: FineMesh, covers: Tensor, place: Tensor) -> Tensor:
    """[n, 3]: invented clothes, and skin of the portrait's median colour.

    Args:
        place: [n, 3], the template as cloth lies over it, on which stripes are straight.
    """
    image = portrait.image.astype(np.float32) / 255
    skin = torch.from_numpy(np.median(image[portrait.masks[Part.SKIN] > 0.9], axis=0))
    color = skin.expand(len(fine), 3).clone()
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
