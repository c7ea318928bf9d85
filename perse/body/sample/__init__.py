"""A standing person who does not exist: the test picture, rendered because no library ships one.

``python -m perse.body.sample`` renders it again. Its face is Eileen Collins's (NASA, public domain).
"""

from __future__ import annotations

from pathlib import Path

from perse.data.images import read_portrait
from perse.shapes import Picture

PICTURE = Path(__file__).with_name("standing.jpg")


def sample_photograph() -> Picture:
    """The committed picture, [1350, 900, 3]."""
    return read_portrait(PICTURE)
