"""File formats of exports: their names, endings and writers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, get_args

from perse.data.durable_files import write_file_atomically
from perse.errors import InputError
from perse.export.gltf import glb_bytes
from perse.export.page import page_bytes
from perse.export.provenance import Provenance
from perse.export.scene import SplatScene
from perse.export.sequence import frame_paths
from perse.export.sog import sog_bytes
from perse.export.splat_files import compressed_ply_bytes, ply_bytes, splat_bytes
from perse.export.spz import spz_bytes
from perse.export.usd import usd_bytes
from perse.export.verification import sidecar

ExportFormat = Literal["ply", "compressed-ply", "splat", "spz", "sog", "glb", "usd", "html"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)

SUFFIXES: dict[ExportFormat, str] = {
    "ply": ".ply",
    "compressed-ply": ".compressed.ply",
    "splat": ".splat",
    "spz": ".spz",
    "sog": ".sog",
    "glb": ".glb",
    "usd": ".usdc",
    "html": ".html",
}
ANIMATED: frozenset[ExportFormat] = frozenset({"usd", "html"})
"""Formats that hold a whole animation; the others hold its first frame."""

MEDIA_TYPES: dict[ExportFormat, str] = {
    "ply": "application/octet-stream",
    "compressed-ply": "application/octet-stream",
    "splat": "application/octet-stream",
    "spz": "application/octet-stream",
    "sog": "application/octet-stream",
    "glb": "model/gltf-binary",
    "usd": "model/vnd.usd",
    "html": "text/html; charset=utf-8",
}


def export_bytes(scene: SplatScene, format: ExportFormat, provenance: Provenance) -> bytes:
    """Content of the exported file.

    Raises:
        InputError: a format that does not exist, or a scene that it cannot hold.
        MissingWeightsError: the package that writes this format is not installed.
    """
    if format == "usd":
        return usd_bytes(scene, provenance)
    if format == "html":
        return page_bytes(scene, provenance)
    still = scene.still()
    if format == "ply":
        return ply_bytes(still, provenance)
    if format == "compressed-ply":
        return compressed_ply_bytes(still, provenance)
    if format == "splat":
        return splat_bytes(still)
    if format == "spz":
        return spz_bytes(still, provenance)
    if format == "sog":
        return sog_bytes(still, provenance)
    if format == "glb":
        return glb_bytes(still, provenance)
    raise InputError(f"unknown export format {format!r}; known are {', '.join(FORMATS)}")


def export_file(scene: SplatScene, path: Path, format: ExportFormat, provenance: Provenance) -> list[Path]:
    """Write the file, and what belongs beside it; returns all that was written."""
    write_file_atomically(path, export_bytes(scene, format, provenance))
    if format != "splat":
        return [path]
    write_file_atomically(sidecar(path), provenance.to_json().encode() + b"\n")
    return [path, sidecar(path)]


def export_sequence(scene: SplatScene, path: Path, format: ExportFormat, provenance: Provenance) -> list[Path]:
    """Write each frame of a motion into a file of its own; returns all that was written.

    Args:
        path: with # for the digits of the frame's number, as in ``me_####.ply``.
        format: one that holds a single frame.

    Raises:
        InputError: the numbers have no room in the name, or another sequence lies there.
    """
    written: list[Path] = []
    for frame, place in enumerate(frame_paths(path, scene.n_frames)):
        one = replace(scene, gaussians=scene.gaussians[frame : frame + 1])
        written += export_file(one, place, format, provenance)
    return written


def format_of(path: Path) -> ExportFormat:
    """The format that a file name asks for.

    Raises:
        InputError: none has this ending.
    """
    name = path.name.lower()
    for format, suffix in sorted(SUFFIXES.items(), key=lambda item: -len(item[1])):
        if name.endswith(suffix):
            return format
    if name.endswith((".usd", ".usda")):
        raise InputError("a USD export is binary and ends in .usdc; name it so")
    raise InputError(f"no export format ends like {path.name!r}; use one of {', '.join(SUFFIXES.values())}")
