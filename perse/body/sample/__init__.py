"""A standing person who does not exist: the test picture, rendered because no library ships one.

``python -m perse.body.sample`` renders it again. Its face is Eileen Collins's (NASA, public domain).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from perse.data.images import read_portrait

PICTURE = Path(__file__).with_name("standing.jpg")


def sample_photograph() -> NDArray[np.uint8]:
    """The committed picture, [1350, 900, 3]."""
    return read_portrait(PICTURE)
