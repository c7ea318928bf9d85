"""What a picture is asked for with: attributes and cameras."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TypedDict


class Description(TypedDict, total=False):
    """Description of an attribute in words, as a picture (base64), or both; see `described`."""

    text: str
    image: str
    weight: float


Term = Mapping[str, float] | Description
Attributes = Mapping[str, Term | Sequence[Term]]
"""By category: subjects, named by id or by words of their prompts, and their weights; or a description; or a list of
these, added up."""


def described(text: str | None = None, *, image: bytes | None = None, weight: float = 1.0) -> Description:
    """Description of an attribute that no subject has, in words, as a PNG, JPEG or WebP, or both. What comes of it is a
    guess."""
    description = Description(weight=weight)
    if text is not None:
        description["text"] = text
    if image is not None:
        description["image"] = base64.b64encode(image).decode("ascii")
    return description


class Orbit(TypedDict, total=False):
    """Camera of the portrait, moved around the head."""

    yaw_deg: float
    pitch_deg: float
    zoom: float


class Pinhole(TypedDict):
    """Camera of one's own, OpenCV convention, metres and pixels."""

    world_to_camera: Sequence[Sequence[float]]
    intrinsics: Sequence[Sequence[float]]
