"""A small world with exact answers: a painted head with hair, hats, beards and clothes, filmed along the shared motion.

Not a portrait, but everything that training, initialisation and evaluation assume about clips holds here exactly:
one motion, one static camera, pixel-exact part maps, subjects that differ from the reference in one category only.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
import torch

from perse.attributes import Category, Part
from perse.avatar.points import vertex_normals
from perse.data import PortraitClip
from perse.geometry import Camera
from perse.head import HeadModel, HeadParameters, Region, pose_head
from perse.render.mesh import project_vertices, rasterize_mesh


@dataclass(frozen=True)
class Piece:
    """A mesh painted per vertex, moving rigidly with the neck joint (1) or staying with the body (0)."""

    vertices: np.ndarray
    faces: np.ndarray
    colors: np.ndarray
    part: Part
    follows_head: bool


@dataclass(frozen=True)
class Look:
    """One subject: what differs from the bare reference."""

    category: Category | None = None
    skin: tuple[float, float, float] = (0.85, 0.65, 0.55)
    lips: tuple[float, float, float] = (0.70, 0.30, 0.32)
    hair: tuple[float, float, float] = (0.25, 0.16, 0.10)
    hair_m: float = 0.015
    shirt: tuple[float, float, float] = (0.3, 0.35, 0.5)
    hat: tuple[float, float, float] | None = None
    hat_m: float = 0.03
    beard: tuple[float, float, float] | None = None


def looks(per_category: int) -> list[Look]:
    """The reference and some subjects of each of five categories."""
    rng = np.random.default_rng(5)

    def color() -> tuple[float, float, float]:
        r, g, b = rng.uniform(0.1, 0.9, 3)
        return float(r), float(g), float(b)

    result = [Look()]
    for _ in range(per_category):
        result += [
            Look(Category.HAIR, hair=color(), hair_m=float(rng.uniform(0.005, 0.035))),
            Look(Category.HAT, hat=color(), hat_m=float(rng.uniform(0.02, 0.05))),
            Look(Category.CLOTHES, shirt=color()),
            Look(Category.BEARD, beard=color()),
            Look(Category.MOUTH, lips=color()),
        ]
    return result


def film(model: HeadModel, look: Look, motion: HeadParameters, frame_numbers: np.ndarray, size_px: int) -> PortraitClip:
    """Render one subject along frames of the motion."""
    camera = portrait_camera(size_px)
    doubled = camera.resized(2 * size_px, 2 * size_px)
    parameters = motion.frame(torch.from_numpy(frame_numbers).long())
    posed = pose_head(model, parameters)
    neck = posed.transforms[:, 1].numpy()
    pieces = worn(model, look)
    base_colors, base_parts = painted_head(model, look)
    images = np.empty((len(frame_numbers), size_px, size_px, 3), np.uint8)
    alphas = np.empty((len(frame_numbers), size_px, size_px), np.uint8)
    parts = np.empty_like(alphas)
    for f in range(len(frame_numbers)):
        vertices, faces, colors = [posed.vertices[f].numpy()], [model.faces.numpy()], [base_colors]
        labels = [base_parts[model.faces[:, 0].numpy()]]
        count = model.n_vertices
        for piece in pieces:
            moved = piece.vertices @ neck[f][:3, :3].T + neck[f][:3, 3] if piece.follows_head else piece.vertices
            vertices.append(moved)
            faces.append(piece.faces + count)
            colors.append(piece.colors)
            labels.append(np.full(len(piece.faces), piece.part))
            count += len(moved)
        all_faces = np.concatenate(faces).astype(np.int32)
        all_vertices = np.concatenate(vertices).astype(np.float32)
        drawn = rasterize_mesh(
            project_vertices(all_vertices, doubled), all_faces, doubled.width, doubled.height, cull_backfaces=False
        )
        normals = vertex_normals(torch.from_numpy(all_vertices), torch.from_numpy(all_faces).long()).numpy()
        light = 0.75 + 0.25 * np.abs(normals @ np.array([0.3, 0.4, 0.86], np.float32))
        rgb = drawn.interpolate(all_faces, np.concatenate(colors).astype(np.float32) * light[:, None])
        alpha = (drawn.face >= 0).astype(np.float32)
        over_white = rgb + (1 - alpha[..., None])
        images[f] = _halved(over_white).clip(0, 1) * 255 + 0.5
        alphas[f] = _halved(alpha[..., None])[..., 0] * 255 + 0.5
        label = np.where(drawn.face >= 0, np.concatenate(labels)[drawn.face], Part.BACKGROUND)
        parts[f] = label[::2, ::2]
    key = "reference" if look.category is None else f"{look.category.value}-{zlib.crc32(repr(look).encode()):08x}"
    return PortraitClip(key, frame_numbers.astype(np.int32), images, alphas, parts, parameters, camera)


def portrait_camera(size_px: int) -> Camera:
    """Like a tracked portrait's: 3.2 face widths across, axes aligned with the photograph."""
    focal = 4.0 * size_px
    intrinsics = torch.tensor([[focal, 0, size_px / 2], [0, focal, 0.46 * size_px], [0, 0, 1]])
    world_to_camera = torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0]))
    world_to_camera[2, 3] = 1.9
    return Camera(world_to_camera, intrinsics, size_px, size_px)


def painted_head(model: HeadModel, look: Look) -> tuple[np.ndarray, np.ndarray]:
    """Colours [v, 3] and parts [v] of the head mesh."""
    rest = model.template.numpy()
    x, y, z = rest.T
    grain = 1 + 0.06 * np.sin(240 * x) * np.sin(210 * y + 90 * z)
    colors = np.asarray(look.skin, np.float32)[None] * grain[:, None]
    parts = np.full(len(rest), Part.SKIN)
    parts[y < -0.13] = Part.NECK
    mouth = ((x / 0.026) ** 2 + ((y + 0.066) / 0.012) ** 2 < 1) & (z > 0.07)
    colors[mouth], parts[mouth] = look.lips, Part.MOUTH
    # Metres: places on the head, no tolerance.
    brow = (np.abs(y - 0.022) < 0.005) & (np.abs(np.abs(x) - 0.03) < 0.02) & (z > 0.05)
    colors[brow], parts[brow] = (0.25, 0.16, 0.1), Part.BROWS
    regions = model.regions.numpy()
    eyes = (regions == Region.LEFT_EYE) | (regions == Region.RIGHT_EYE)
    iris = eyes & (z > 0.083)
    colors[eyes], parts[eyes] = (0.95, 0.95, 0.95), Part.EYES
    colors[iris] = (0.2, 0.35, 0.4)
    colors[np.isin(regions, (Region.UPPER_TEETH, Region.LOWER_TEETH))] = (0.9, 0.9, 0.85)
    parts[regions == Region.EARS] = Part.EARS
    return colors.astype(np.float32), parts


def worn(model: HeadModel, look: Look) -> list[Piece]:
    """Hair always, clothes always, hat and beard if the look has them."""
    rest, normals = model.template, vertex_normals(model.template, model.faces)
    y, z = rest[:, 1], rest[:, 2]
    skin = model.regions == Region.SKIN
    scalp = skin & ((y > 0.055) | ((z < 0.02) & (y > -0.05)))
    pieces = [_grown(model, rest + look.hair_m * normals, scalp, look.hair, Part.HAIR), _shirt(look)]
    if look.hat is not None:
        cap = skin & (y > 0.045)
        pieces.append(_grown(model, rest + (look.hair_m + look.hat_m) * normals, cap, look.hat, Part.HEADWEAR))
    if look.beard is not None:
        chin = skin & (y < -0.05) & (y > -0.115) & (z > 0.03)
        chin &= ~((rest[:, 0].abs() < 0.03) & (y > -0.08))
        pieces.append(_grown(model, rest + 0.006 * normals, chin, look.beard, Part.BEARD))
    return pieces


def _grown(
    model: HeadModel, vertices: torch.Tensor, chosen: torch.Tensor, color: tuple[float, float, float], part: Part
) -> Piece:
    faces = model.faces[chosen[model.faces].all(1)].numpy()
    position = vertices.numpy().astype(np.float32)
    strands = 1 + 0.25 * np.sin(300 * position[:, 0]) * np.cos(120 * position[:, 1])
    colors = np.clip(np.asarray(color)[None] * strands[:, None], 0, 1).astype(np.float32)
    return Piece(position, faces, colors, part, True)


def _shirt(look: Look) -> Piece:
    u, v = np.meshgrid(np.linspace(-1, 1, 49), np.linspace(0, 1, 25), indexing="ij")
    slope = 0.05 * np.abs(u) ** 1.5
    vertices = np.stack([0.22 * u, -0.17 - slope - 0.15 * v, 0.06 * np.sqrt(1 - 0.9 * u * u) * (0.4 + v)], -1)
    index = np.arange(49 * 25).reshape(49, 25)
    a, b, c, d = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    stripes = 0.85 + 0.3 * (np.sin(40 * v) > 0)
    colors = np.clip(np.asarray(look.shirt) * stripes[..., None], 0, 1)
    return Piece(vertices.reshape(-1, 3).astype(np.float32), faces, colors.reshape(-1, 3), Part.CLOTHES, False)


def _halved(image: np.ndarray) -> np.ndarray:
    h, w, c = image.shape
    return image.reshape(h // 2, 2, w // 2, 2, c).mean((1, 3))


def thinned(motion: HeadParameters, every: int) -> HeadParameters:
    """Every n-th frame."""
    return replace(motion, expression=motion.expression[::every], pose=motion.pose[::every])
