"""What a client may ask for. Everything from outside is parsed here, and nowhere else."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator

from perse.attributes import Category

AvatarId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
"""Letters, digits, dash and underscore: an identifier, never a path."""

Weight = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Degrees = Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=128)]

MAX_SIZE_PX = 1024
"""Side of the largest picture that is rendered for a client."""

MAX_NAMES = 64
"""Names in one mapping of a request."""


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class HeadPose(_Request):
    """Rotations in degrees. The neck turns the head relative to the camera; 0, 0, 0 looks into it."""

    yaw_deg: Degrees = 0.0
    """Positive: towards the person's left."""
    pitch_deg: Degrees = 0.0
    """Positive: downwards."""
    roll_deg: Degrees = 0.0
    """Positive: the crown moves towards the person's right."""
    jaw_deg: Annotated[float, Field(ge=0, le=35, allow_inf_nan=False)] = 0.0
    """Opening of the mouth."""


class View(_Request):
    """Where the camera stands, relative to the one the avatar was made with."""

    azimuth_deg: Degrees = 0.0
    """Orbit around the head."""
    elevation_deg: Annotated[float, Field(ge=-60, le=60, allow_inf_nan=False)] = 0.0
    zoom: Annotated[float, Field(ge=0.25, le=4, allow_inf_nan=False)] = 1.0
    """Focal length, as a multiple."""


class RenderRequest(_Request):
    """One picture."""

    attributes: dict[Category, dict[Name, Weight]] = Field(
        default_factory=dict,
        examples=[{"hair": {"hair-0001": 0.7, "hair-0002": 0.3}, "hat": {"hat-0000": 1.0}}],
        description=(
            "Per category a mix of named subjects: a subject's key, its prompt's key or its prompt. What the weights "
            "leave short of 1 stays the person's own."
        ),
    )
    expression: dict[Name, Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]] = Field(
        default_factory=dict, examples=[{"mouthSmileLeft": 0.6, "mouthSmileRight": 0.6}], max_length=MAX_NAMES
    )
    pose: HeadPose = Field(default_factory=HeadPose)
    view: View = Field(default_factory=View)
    size_px: Annotated[int, Field(ge=16, le=MAX_SIZE_PX)] = 256
    format: Literal["png", "jpeg"] = "png"
    transparent: bool = False

    @field_validator("attributes")
    @classmethod
    def _weights_add_up(cls, value: dict[Category, dict[str, float]]) -> dict[Category, dict[str, float]]:
        for category, mix in value.items():
            if len(mix) > MAX_NAMES:
                raise ValueError(f"{category.value}: at most {MAX_NAMES} subjects in a mix, got {len(mix)}")
            if sum(mix.values()) > 1 + 1e-6:
                raise ValueError(f"{category.value}: weights add up to {sum(mix.values()):.3f}; at most 1 is possible")
        return value

    @model_validator(mode="after")
    def _transparency_needs_png(self) -> RenderRequest:
        if self.transparent and self.format == "jpeg":
            raise ValueError("a JPEG cannot be transparent; ask for png, or for transparent: false")
        return self


class SubjectInfo(BaseModel):
    """A named edit of an avatar."""

    key: str
    category: Category
    text: str


class AvatarInfo(BaseModel):
    """An avatar that can be rendered."""

    id: str
    n_gaussians: int
    subjects: list[SubjectInfo]
    expressions: list[str]
