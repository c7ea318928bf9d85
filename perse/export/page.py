"""HTML page that shows the avatar: one file that opens by double click, with nothing fetched from anywhere.

The Gaussians are embedded as quantised columns (`perse.export.columns`), deflated and in base64; `splats.js` draws
them, as it does in the live viewer. A still of 15,000 Gaussians makes a page of about 0.3 MB.
"""

from __future__ import annotations

import base64
import html
import json
import re
import zlib
from pathlib import Path

from perse.errors import InputError
from perse.export.columns import quantise, scene_description
from perse.export.provenance import GENERATOR, VERSION, Provenance
from perse.export.scene import SplatScene

MAX_RAW_BYTES = 400 * 1024 * 1024
"""Of embedded columns before compression; a browser holds a few copies of them."""

_HERE = Path(__file__).parent
_GAP = re.compile(r"\{\{(\w+)\}\}")
_MODULE_LINE = re.compile(r"^(?:import|export) \{[^}]*\}.*;$", re.MULTILINE)


def page_bytes(scene: SplatScene, provenance: Provenance) -> bytes:
    """Content of the page.

    Raises:
        InputError: the animation is too long for a page.
    """
    columns = quantise(scene.gaussians)
    if columns.nbytes > MAX_RAW_BYTES:
        raise InputError(
            f"{scene.n_frames} frames of {scene.gaussians.means.shape[1]} Gaussians are {columns.nbytes / 2**20:.0f} "
            "MiB, more than a page should hold: take fewer frames, or export USD"
        )
    filling = {
        "generator": html.escape(f"{GENERATOR} {VERSION}"),
        "statement": html.escape(provenance.statement),
        "provenance": _script_safe(provenance.to_json()),
        "scene": _script_safe(json.dumps(scene_description(scene, columns))),
        "splats": base64.b64encode(zlib.compress(columns.data, 9)).decode("ascii"),
        "viewer": _script(),
    }
    page = (_HERE / "viewer.html").read_text(encoding="utf-8")
    # In one pass: what is filled in is never searched for gaps again.
    return _GAP.sub(lambda gap: filling[gap[1]], page).encode("utf-8")


def _script() -> str:
    """The viewer's modules as one script: what they export and import of each other is simply there."""
    modules = [(_HERE / name).read_text(encoding="utf-8") for name in ("splats.js", "viewer.js")]
    return _MODULE_LINE.sub("", "\n".join(modules))


def _script_safe(text: str) -> str:
    """JSON that cannot end the script element it stands in."""
    return text.replace("<", "\\u003c")
