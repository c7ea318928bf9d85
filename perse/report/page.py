"""Page of the report as a folder: a self-contained page, its pictures as files, and the metrics as JSON."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
from PIL import Image

from perse.data.durable_files import write_file_atomically
from perse.shapes import Picture


@dataclass(frozen=True)
class Section:
    """Section of the page: a heading, a sentence, and a picture that may move.

    Attributes:
        name: file name of its picture, without ending.
        title, caption: what the reader sees, and what to look for.
        frames: one picture [h, w, 3] uint8, or several for an animation.
        frame_ms: how long each frame of an animation stays.
    """

    name: str
    title: str
    caption: str
    frames: Sequence[Picture]
    frame_ms: int = 80


@dataclass(frozen=True)
class Report:
    """Contents of the page.

    Attributes:
        title: the page's heading.
        lead: one sentence under it.
        sections: in reading order.
        metrics: the content of metrics.json, as `metrics_table` understands it.
    """

    title: str
    lead: str
    sections: Sequence[Section]
    metrics: Mapping[str, Any]


def write_report(folder: Path, report: Report) -> Path:
    """Write `report.html` (no other file needed to show it), `metrics.json` and the pictures; returns the page."""
    folder.mkdir(parents=True, exist_ok=True)
    shown = []
    for section in report.sections:
        ending, payload = _encode(section)
        write_file_atomically(folder / f"{section.name}.{ending}", payload)
        uri = f"data:image/webp;base64,{base64.b64encode(_for_page(section, payload)).decode()}"
        shown.append({"title": section.title, "caption": section.caption, "name": section.name, "uri": uri})
    write_file_atomically(
        folder / "metrics.json", (json.dumps(report.metrics, indent=2, sort_keys=True) + "\n").encode()
    )
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(resources.files("perse.report").joinpath("page.html").read_text("utf-8"))
    page = template.render(
        title=report.title, lead=report.lead, sections=shown, headline=headline(report.metrics),
        table=category_table(report.metrics), seconds=_seconds(report.metrics),
        notes=list(report.metrics.get("needs_weights", [])), versions=dict(report.metrics.get("versions", {})),
    )  # fmt: skip
    write_file_atomically(folder / "report.html", page.encode())
    return folder / "report.html"


def headline(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Rows (label, value, explanation) of the numbers a reader looks for first."""
    rows = [
        ("psnr", "PSNR, unseen poses", "dB, on white", "{:.2f}"),
        ("psnr_foreground", "PSNR, foreground", "dB, inside the true alpha", "{:.2f}"),
        ("ssim", "SSIM", "", "{:.4f}"),
        ("identity", "identity distance", "dlib; same person below 0.6", "{:.3f}"),
        ("edit_gain_db", "edit gain", "dB nearer than the reference, in the part", "{:.2f}"),
        ("leakage", "leakage", "mean |difference| outside the part, 0–1", "{:.5f}"),
        ("interp_sum", "interpolation length", "1 = straight", "{:.3f}"),
        ("interp_dev", "interpolation unevenness", "0 = even steps", "{:.4f}"),
    ]
    before = metrics.get("before_finetune", {})
    shown = []
    for key, label, unit, pattern in rows:
        if isinstance(metrics.get(key), int | float):
            note = unit
            if isinstance(before.get(key), int | float):
                note = f"{unit} · {pattern.format(before[key])} before fine-tuning".lstrip(" ·")
            shown.append((label, pattern.format(metrics[key]), note))
    return shown


def category_table(metrics: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """Table with one row a category; the first row names the columns."""
    columns = ["psnr", "psnr_foreground", "ssim", "identity", "edit_gain_db", "leakage", "interp_sum", "interp_dev"]
    by_category: Mapping[str, Mapping[str, Any]] = metrics.get("by_category", {})
    columns = [c for c in columns if any(isinstance(row.get(c), int | float) for row in by_category.values())]
    if not by_category:
        return []
    body = [
        (name, [f"{row[c]:.4g}" if isinstance(row.get(c), int | float) else "–" for c in columns])
        for name, row in by_category.items()
    ]
    return [("category", columns), *body]


def _seconds(metrics: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(name, f"{value:.1f} s") for name, value in dict(metrics.get("seconds", {})).items()]


def _for_page(section: Section, payload: bytes) -> bytes:
    """What the page holds, WebP: of a still a copy that looks the same in a sixth of the bytes; the file beside the
    page has every pixel."""
    if len(section.frames) > 1:
        return payload
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(section.frames[0])).save(buffer, "WEBP", quality=90, method=4)
    return buffer.getvalue()


def _encode(section: Section) -> tuple[str, bytes]:
    buffer = io.BytesIO()
    pictures = [Image.fromarray(np.ascontiguousarray(frame)) for frame in section.frames]
    if len(pictures) == 1:
        pictures[0].save(buffer, "PNG", optimize=False)
        return "png", buffer.getvalue()
    pictures[0].save(
        buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=section.frame_ms, loop=0, quality=80,
        method=2,
    )  # fmt: skip
    return "webp", buffer.getvalue()
