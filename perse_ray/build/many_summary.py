"""Summary of many builds: a table for the terminal, a page with thumbnails."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from jaxtyping import UInt8

from perse.data.images import decode_image, encode_image
from perse.data.workspace import Workspace
from perse.errors import PerseError
from perse_ray.build.many import Outcome

THUMBNAIL_PX = 128
PICTURES = ("portrait/crop.png", "report/angles.png", "report/edits.png")
"""Of a workspace, shown small."""
NUMBERS = (("PSNR", "psnr", 2), ("SSIM", "ssim", 4), ("gain dB", "edit_gain_db", 2), ("subjects", "n_subjects", 0))

_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body{{font:15px system-ui;margin:2em}}td,th{{padding:.4em .8em;text-align:left;border-bottom:1px solid #ddd}}
img{{height:{height}px}}td:last-child{{white-space:nowrap}}.bad{{color:#a00}}</style>
<h1>{title}</h1><table><tr>{head}</tr>
{rows}</table></html>
"""


def summary_lines(outcomes: Sequence[Outcome]) -> list[str]:
    """Lines of the table in characters, and a last line with the counts."""
    width = max((len(one.person.name) for one in outcomes), default=4)
    lines = [f"{'':{width}}  " + "".join(f"{title:>9}" for title, _, _ in NUMBERS) + f"{'seconds':>9}"]
    for one in outcomes:
        cells = "".join(f"{_shown(one.metrics, name, digits):>9}" for _, name, digits in NUMBERS)
        lines.append(f"{one.person.name:{width}}  " + (one.error or f"{cells}{one.seconds:9.0f}"))
    failed = sum(bool(one.error) for one in outcomes)
    return [*lines, f"{len(outcomes) - failed} avatars built, {failed} failed"]


def summary_page(outcomes: Sequence[Outcome], recipe: str) -> bytes:
    """Page with the table."""
    title = f"{sum(not one.error for one in outcomes)} of {len(outcomes)} avatars, recipe {recipe}"
    head = "".join(f"<th>{name}</th>" for name in ("", *(t for t, _, _ in NUMBERS), "seconds", "pictures"))
    rows = "\n".join(f"<tr>{_row(one)}</tr>" for one in outcomes)
    return _PAGE.format(title=html.escape(title), height=THUMBNAIL_PX, head=head, rows=rows).encode()


def summary_json(outcomes: Sequence[Outcome]) -> bytes:
    """Table for programs."""
    rows = [
        {**vars(one.person), "error": one.error, "seconds": one.seconds, "metrics": one.metrics} for one in outcomes
    ]
    return json.dumps(rows, indent=1, sort_keys=True).encode()


def _row(one: Outcome) -> str:
    name = f"<td>{html.escape(one.person.name)}</td>"
    pictures = f"<td>{''.join(_thumbnails(one))}</td>"
    if one.error:
        return f'{name}<td class="bad" colspan="{len(NUMBERS) + 1}">{html.escape(one.error)}</td>{pictures}'
    cells = "".join(f"<td>{_shown(one.metrics, key, digits)}</td>" for _, key, digits in NUMBERS)
    return f"{name}{cells}<td>{one.seconds:.0f}</td>{pictures}"


def _thumbnails(one: Outcome) -> list[str]:
    found = []
    workspace = Workspace(one.person.workspace)
    for name in PICTURES:
        try:
            picture = decode_image(workspace.read(name))
        except (PerseError, ValueError, OSError):  # it did not come so far
            continue
        encoded = base64.b64encode(encode_image(_small(picture))).decode()
        found.append(f'<img alt="{name}" src="data:image/png;base64,{encoded}">')
    return found


def _small(picture: UInt8[np.ndarray, "h w *c"]) -> UInt8[np.ndarray, "h2 w2 *c"]:
    """A picture at twice a thumbnail's height, for screens that draw fine: averaged, as rows left out would
    cut captions to pieces."""
    share = 2 * THUMBNAIL_PX / picture.shape[0]
    if share >= 1:
        return picture
    size = max(1, round(share * picture.shape[1])), 2 * THUMBNAIL_PX
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _shown(metrics: dict[str, Any], name: str, digits: int) -> str:
    value = metrics.get(name)
    return f"{value:.{digits}f}" if isinstance(value, int | float) else "–"
