"""Sections of the report about the photograph, its edits and its animation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from perse.attributes import CATEGORIES
from perse.data import EditedPortrait, PortraitClip, TrackedPortrait
from perse.head import HeadModel, pose_head
from perse.render.mesh import project_vertices, rasterize_mesh
from perse.report.page import Section
from perse.report.sheets import Tile, contact_sheet, overlay_parts, overlay_points

_DETECTED, _FITTED = (40, 200, 70), (235, 40, 60)


def portrait_section(portrait: TrackedPortrait, model: HeadModel) -> Section:
    """Section with the photograph, its landmarks before and after the fit, the fitted head over it, and its parts."""
    vertices = pose_head(model, portrait.head).vertices
    fitted_px = portrait.camera.project(model.landmarks(vertices))[0].numpy().astype(np.float32)
    points = overlay_points(portrait.image, portrait.landmarks_px, _DETECTED)
    tiles = [
        Tile(portrait.image, "the photograph, cropped"),
        Tile(overlay_points(points, fitted_px, _FITTED, 0.8), "landmarks: found (green), fitted (red)"),
        Tile(_shaded_head(portrait, vertices.numpy(), model.faces.numpy().astype(np.int32)), "the fitted head"),
        Tile(overlay_parts(portrait.image, portrait.masks.labels), "parts"),
    ]
    caption = (
        f"Fitted head and camera: landmarks are met within {portrait.fit_rms_px:.2f} px (rms) "
        f"of a face {portrait.face_width_px:.0f} px wide."
    )
    return Section("portrait", "Portrait and fit", caption, [contact_sheet(tiles, columns=4, tile_px=290)])


def edits_section(
    edits: Sequence[EditedPortrait], acceptance: Mapping[str, Mapping[str, Any]] | None = None
) -> Section:
    """Section with every accepted edit under its prompt, a row a category.

    Args:
        acceptance: of metrics.json, for each category how many were accepted, rejected and put into quarantine.
    """
    ordered = sorted(edits, key=lambda e: (e.prompt.category.index, e.prompt.key))
    columns = max(sum(e.prompt.category is c for e in ordered) for c in CATEGORIES)
    tiles: list[Tile] = []
    titles: list[str] = []
    for category in CATEGORIES:
        row = [Tile(e.image, e.prompt.text) for e in ordered if e.prompt.category is category]
        if row:
            blank = Tile(np.full((8, 8, 3), 255, np.uint8))
            tiles += row + [blank] * (columns - len(row))
            titles.append(category.value)
    sheet = contact_sheet(tiles, columns=columns, tile_px=288, row_titles=titles)
    caption = "One attribute changed; everything else is the photograph, to the pixel."
    return Section("edits", "Edits", f"{caption} {_shares(acceptance or {})}".strip(), [sheet])


def _shares(acceptance: Mapping[str, Mapping[str, Any]]) -> str:
    """How many edits of each category were accepted, where not all were."""
    tried = {
        name: sum(int(one[k]) for k in ("accepted", "rejected", "quarantined")) for name, one in acceptance.items()
    }
    shares = [f"{name} {one['accepted']} of {tried[name]}" for name, one in acceptance.items()]
    complete = all(int(one["accepted"]) == tried[name] for name, one in acceptance.items())
    return "" if complete else f"Accepted: {', '.join(shares)}."


def clip_section(clip: PortraitClip, title: str) -> Section:
    """Section with a training clip as it was filmed."""
    return Section(
        "clip", "A training clip", f"{title}: the animated portrait on white, {len(clip)} frames.",
        list(clip.images), frame_ms=120,
    )  # fmt: skip


def _shaded_head(
    portrait: TrackedPortrait, vertices: NDArray[np.float32], faces: NDArray[np.int32]
) -> NDArray[np.uint8]:
    height, width = portrait.image.shape[:2]
    seen = rasterize_mesh(project_vertices(vertices, portrait.camera), faces, width, height)
    corners = vertices[faces]
    face_normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    normals = np.zeros_like(vertices)
    for corner in range(3):
        np.add.at(normals, faces[:, corner], face_normals)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12
    light = np.clip(normals @ np.array([0.25, 0.35, 0.9], np.float32), 0, 1)
    shade = seen.interpolate(faces, (60 + 195 * light)[:, None].astype(np.float32))
    mesh = np.repeat(shade, 3, 2) * np.array([0.86, 0.93, 1.0], np.float32)
    shown = np.where(seen.face[..., None] >= 0, mesh, portrait.image)
    return (np.clip(shown, 0, 255) + 0.5).astype(np.uint8)
