"""Requests to the render service, and how each is checked before anything is computed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from perse.attributes import Category
from perse_ray.serving.schema.json_shape import MAX_ENTRIES

AVATAR_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""An avatar's id in a URL. It is looked up in a table and never becomes a path."""

MAX_SIDE_PX = 1024
MAX_BODY_BYTES = 10_000_000
"""A picture as base64, or a motion; anything else is far smaller."""
MAX_STRENGTH = 10.0
"""Of an expression, as in motion files: FLAME's are standard deviations."""
MAX_DISTANCE_M, MAX_FOCAL_PX = 1e4, 1e6
MAX_IMAGE_BYTES = 7_000_000
"""Of a picture that describes an attribute."""
MAX_TERMS = 8
"""Of a sum of mixes and descriptions in one category."""

Strength = Annotated[float, Field(ge=-MAX_STRENGTH, le=MAX_STRENGTH, allow_inf_nan=False)]
Distance = Annotated[float, Field(ge=-MAX_DISTANCE_M, le=MAX_DISTANCE_M, allow_inf_nan=False)]
Focal = Annotated[float, Field(ge=-MAX_FOCAL_PX, le=MAX_FOCAL_PX, allow_inf_nan=False)]
Weight = Annotated[float, Field(ge=-0.5, le=1.5, allow_inf_nan=False)]
Angle = Annotated[float, Field(ge=-3.2, le=3.2, allow_inf_nan=False)]
Byte = Annotated[int, Field(ge=0, le=255)]
Name = Annotated[str, Field(min_length=1, max_length=100)]


class Strict(BaseModel):
    """Base of models that refuse fields that they do not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class OrbitCamera(Strict):
    """The portrait's own camera, moved around the head."""

    yaw_deg: float = Field(default=0.0, ge=-180, le=180, allow_inf_nan=False, description="to the person's left")
    pitch_deg: float = Field(default=0.0, ge=-89, le=89, allow_inf_nan=False, description="upwards")
    zoom: float = Field(default=1.0, ge=0.25, le=4, allow_inf_nan=False)


class PinholeCamera(Strict):
    """A camera of one's own, OpenCV convention, metres and pixels of the requested size."""

    world_to_camera: Annotated[list[Annotated[list[Distance], Field(min_length=4, max_length=4)]], Field(
        min_length=4, max_length=4)]  # fmt: skip
    intrinsics: Annotated[list[Annotated[list[Focal], Field(min_length=3, max_length=3)]], Field(
        min_length=3, max_length=3)]  # fmt: skip

    @field_validator("world_to_camera")
    @classmethod
    def _rigid(cls, value: list[list[float]]) -> list[list[float]]:
        matrix = np.asarray(value)
        turn = matrix[:3, :3]
        if not np.allclose(turn @ turn.T, np.eye(3), atol=1e-3) or not np.allclose(matrix[3], [0, 0, 0, 1]):
            raise ValueError("must be a rigid transform: a rotation, a translation in metres, last row 0 0 0 1")
        return value

    @field_validator("intrinsics")
    @classmethod
    def _pinhole(cls, value: list[list[float]]) -> list[list[float]]:
        matrix = np.asarray(value)
        if min(matrix[0, 0], matrix[1, 1]) <= 0 or not np.allclose(matrix[2], [0, 0, 1]):
            raise ValueError("must have positive focal lengths and the last row 0 0 1")
        return value


Mix = dict[Name, Weight]
"""Subjects of one category, each named by its id or by words of its prompt that no other subject has."""


class Description(Strict):
    """An attribute in words, as a picture of somebody who has it, or both: zero-shot, through the feature encoder.

    What comes out is made of what the avatar has learned. Naming subjects is exact; this is a guess.
    """

    text: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    image: Annotated[str, Field(max_length=MAX_IMAGE_BYTES * 4 // 3 + 4)] | None = Field(
        default=None, description="PNG, JPEG or WebP, base64"
    )
    weight: Weight = 1.0

    @model_validator(mode="after")
    def _says_something(self) -> Description:
        if self.text is None and self.image is None:
            raise ValueError("give a text, an image, or both")
        self.picture()
        return self

    def picture(self) -> bytes | None:
        """The bytes of `image`, as they came: hostile until parsed."""
        try:
            return None if self.image is None else base64.b64decode(self.image, validate=True)
        except binascii.Error:
            raise ValueError("image is not base64") from None


def _kind(value: Any) -> str:
    """Which of the forms of an attribute this is; a mix has numbers where a description has words."""
    if isinstance(value, list):
        return "sum"
    if isinstance(value, Description):
        return "description"
    words = isinstance(value, Mapping) and any(isinstance(value.get(key), str) for key in ("text", "image"))
    return "description" if words else "mix"


Term = Annotated[
    Annotated[Mix, Tag("mix")] | Annotated[Description, Tag("description")], Discriminator(_kind)
]  # fmt: skip
Attribute = Annotated[
    Annotated[Mix, Tag("mix")]
    | Annotated[Description, Tag("description")]
    | Annotated[list[Term], Field(max_length=MAX_TERMS), Tag("sum")],
    Discriminator(_kind),
]
Attributes = dict[Category, Attribute]
"""What is worn, by category: a mix, a description, or a sum of several."""


def terms(attribute: Attribute) -> list[Mix | Description]:
    """Terms of an attribute as a sum, whatever its form."""
    return list(attribute) if isinstance(attribute, list) else [attribute]


class Appearance(Strict):
    """Edits, expression and pose. Empty, it is the person as in the portrait, at rest."""

    attributes: Attributes = Field(
        default_factory=dict,
        description="by category: subjects, named by id or by words of their prompts, and their weights. One subject "
        "with weight 1 wears that edit, weights between interpolate: towards the person as in the portrait, or between "
        "several subjects. Or a description in words or as a picture. Or a list of these, added up.",
    )
    expression: dict[Name, Strength] = Field(default_factory=dict, description="expression coefficients by name")
    pose: dict[Name, tuple[Angle, Angle, Angle]] = Field(
        default_factory=dict, description="joint rotations by name, axis-angle in radians"
    )

    @field_validator("attributes", "expression", "pose")
    @classmethod
    def _not_endless(cls, value: dict[str, object]) -> dict[str, object]:
        entries = sum(len(inner) if isinstance(inner, (dict, list)) else 1 for inner in value.values())
        if entries > MAX_ENTRIES:
            raise ValueError(f"has {entries} entries; {MAX_ENTRIES} are allowed")
        return value

    @property
    def describes(self) -> bool:
        """Whether an attribute is described; it has to go through an encoder then."""
        return any(isinstance(term, Description) for value in self.attributes.values() for term in terms(value))


class RenderRequest(Appearance):
    """One picture of one avatar. An empty request shows the person as in the portrait, from the front, at rest."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {},
                {
                    "attributes": {"hair": {"curly grey": 0.7, "white afro": 0.3}, "hat": {"text": "a red cap"}},
                    "expression": {"mouthSmileLeft": 0.8, "mouthSmileRight": 0.8},
                    "pose": {"neck": [0, 0.3, 0]},
                    "camera": {"yaw_deg": 20},
                    "format": "webp",
                    "background": None,
                },
            ]
        }
    )

    camera: OrbitCamera | PinholeCamera = OrbitCamera()
    width: int = Field(default=256, ge=16, le=MAX_SIDE_PX)
    height: int = Field(default=256, ge=16, le=MAX_SIDE_PX)
    background: tuple[Byte, Byte, Byte] | None = Field(
        default=(255, 255, 255), description="RGB, 0 to 255; null is transparent, for PNG and WebP"
    )
    format: Literal["png", "jpeg", "webp"] = "png"
    quality: int = Field(default=90, ge=1, le=100, description="of JPEG and WebP; 100 makes WebP lossless")
    provenance: Literal["xmp", "c2pa"] = Field(
        default="xmp", description="how the picture says that it is synthetic: metadata, or a signed manifest as well"
    )

    @model_validator(mode="after")
    def _possible(self) -> RenderRequest:
        if self.background is None and self.format == "jpeg":
            raise ValueError("JPEG cannot be transparent; ask for png or webp")
        return self


class SubjectInfo(BaseModel):
    """One edit that an avatar has learned."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "8c00708e0566", "category": "hat", "text": "A person in a teal beanie"}]}
    )

    id: str
    category: Category
    text: str


class ConsentInfo(BaseModel):
    """The person's consent to an avatar."""

    who: str
    purpose: str
    date: str = Field(description="ISO 8601")
    expires: str = Field(default="", description="the last day that it holds, ISO 8601; empty if it has none")


class AvatarInfo(BaseModel):
    """Description of an avatar: what can be asked of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "me",
                    "identity": "d1e79ff6870b",
                    "subjects": [{"id": "8c00708e0566", "category": "hat", "text": "A person in a teal beanie"}],
                    "expressions": ["mouthSmileLeft", "mouthSmileRight"],
                    "joints": ["global", "neck", "jaw", "left_eye", "right_eye"],
                    "gaussians": 15000,
                    "version": "7",
                }
            ]
        }
    )

    id: str
    identity: str
    subjects: list[SubjectInfo]
    expressions: list[str]
    joints: list[str]
    gaussians: int
    consent: ConsentInfo | None = Field(default=None, description="of the person, where a record of it was kept")
    version: str = Field(default="", description="which state of it: a training step, a registered version")


_FORMS = frozenset({"body", "mix", "description", "sum"})
"""Steps of an error's location that are the schema's and not the client's."""


def explained(problem: Mapping[str, Any]) -> str:
    """One problem that pydantic found, as one readable line; nothing of the request is echoed but names of fields."""
    place = ".".join(str(step) for step in problem["loc"] if step not in _FORMS)
    return f"{place[:100] or 'body'}: {problem['msg']}"[:300]
