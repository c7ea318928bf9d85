"""Looks of an avatar, and requests for pictures of them. Plain values; names are not checked yet.

::

    Look(edits={Category.HAT: (Named("teal beanie", 0.7), Described("a crown", weight=0.3))},
         expression={"mouthSmileLeft": 0.8}, pose={"neck": (0, 0.3, 0)})
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from perse.attributes import Category
from perse.geometry import Camera

Rotation = tuple[float, float, float]
"""Axis-angle, radians."""


@dataclass(frozen=True)
class Named:
    """A subject that the avatar has learned.

    Attributes:
        words: its key, the start of its key, or words of its prompt that no other subject of the category has.
        weight: 1 is the edit, 0 the person as photographed; between and beyond, Eq. 13.
    """

    words: str
    weight: float = 1.0


@dataclass(frozen=True)
class Described:
    """An attribute that no subject has, in words, as a picture, or both. What comes of it is a guess (Eq. 5).

    Attributes:
        text: one sentence.
        picture: a PNG, JPEG or WebP of somebody who has it; hostile until parsed.
        weight: as of `Named`.
    """

    text: str | None = None
    picture: bytes | None = None
    weight: float = 1.0


Edits = Mapping[Category, tuple[Named | Described, ...]]
"""What differs from the portrait: in each category a sum of terms. What the weights leave belongs to the reference."""


@dataclass(frozen=True)
class Look:
    """Look of an avatar: edits, expression and pose. Empty, it is the person as in the portrait, at rest.

    Attributes:
        edits: by category.
        expression: coefficients by name.
        pose: joint rotations by name.
    """

    edits: Edits = field(default_factory=dict)
    expression: Mapping[str, float] = field(default_factory=dict)
    pose: Mapping[str, Rotation] = field(default_factory=dict)


@dataclass(frozen=True)
class Orbit:
    """The portrait's own camera, moved around the head: yaw to the person's left and pitch upwards in degrees, zoom."""

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0
    zoom: float = 1.0


@dataclass(frozen=True)
class PictureRequest:
    """Request for one picture of a look.

    Attributes:
        look: what is seen.
        camera: from where; a `Camera` of one's own has the size of the picture.
        width, height: pixels.
        background: RGB, 0 to 255; None is transparent.
    """

    look: Look = field(default_factory=Look)
    camera: Orbit | Camera = field(default_factory=Orbit)
    width: int = 256
    height: int = 256
    background: tuple[int, int, int] | None = (255, 255, 255)


def between(start: Look, end: Look, alpha: float) -> Look:
    """Look between two: (1 − α) of one and α of another; edits, expressions and turns change together.

    Codes are linear in the weights, so the edits are the latent interpolation of Eq. 13. Turns are interpolated as
    axis-angle, which is fine for the turns of a face.
    """
    edits = {
        category: (*_scaled(start.edits.get(category, ()), 1 - alpha), *_scaled(end.edits.get(category, ()), alpha))
        for category in {**start.edits, **end.edits}
    }
    expression = {
        name: (1 - alpha) * start.expression.get(name, 0.0) + alpha * end.expression.get(name, 0.0)
        for name in {**start.expression, **end.expression}
    }
    still = (0.0, 0.0, 0.0)
    pose: dict[str, Rotation] = {}
    for name in {**start.pose, **end.pose}:
        (ax, ay, az), (bx, by, bz) = start.pose.get(name, still), end.pose.get(name, still)
        pose[name] = tuple((1 - alpha) * a + alpha * b for a, b in ((ax, bx), (ay, by), (az, bz)))  # type: ignore[assignment]
    return Look(edits, expression, pose)


def _scaled(terms: tuple[Named | Described, ...], factor: float) -> tuple[Named | Described, ...]:
    return tuple(replace(term, weight=factor * term.weight) for term in terms)
