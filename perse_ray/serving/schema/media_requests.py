"""Requests beyond a single picture: animations, lists of frames, exports, the edit space."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, FailFast, Field, ValidationError, field_validator, model_validator

from perse.attributes import Category
from perse.curves import ramp
from perse.data.motion_file import Motion
from perse.errors import InputError
from perse_ray.serving.schema.requests import (
    Angle,
    Appearance,
    Attribute,
    Attributes,
    Byte,
    Description,
    Mix,
    Name,
    OrbitCamera,
    PinholeCamera,
    RenderRequest,
    Strength,
    Strict,
    SubjectInfo,
    terms,
)

MAX_FRAMES = 300
MAX_VIDEO_SIDE_PX = 512
MAX_LIST = 32
"""Frames in one list."""

Seconds = Annotated[float, Field(ge=0.1, le=12, allow_inf_nan=False)]
Rate = Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)]

# The first problem of a list is told, not each of its 300.
Strengths = Annotated[list[Strength], Field(max_length=MAX_FRAMES), FailFast()]
Turns = Annotated[list[tuple[Angle, Angle, Angle]], Field(max_length=MAX_FRAMES), FailFast()]


class NamedMotion(Strict):
    """A motion that the avatar knows: `builtin` is the test part of the motion that head avatars are trained with. A
    body brings turn, wave, walk, squat and dance along, and performs them all as `builtin`."""

    kind: Literal["named"]
    name: Name = "builtin"
    stride: int = Field(default=1, ge=1, le=100, description="every n-th frame; the rate falls with it")


class UploadedMotion(Strict):
    """Parameters of one's own, as in a motion file. What is not named stays at rest."""

    kind: Literal["uploaded"]
    fps: Rate = 25.0
    expressions: dict[Name, Strengths] = Field(default_factory=dict)
    joints: dict[Name, Turns] = Field(default_factory=dict, description="axis-angle in radians")

    @model_validator(mode="after")
    def _a_motion(self) -> UploadedMotion:
        self.motion()
        return self

    def motion(self) -> Motion:
        """Motion as a checked record."""
        try:
            return Motion(
                self.fps,
                {name: np.array(values, np.float32) for name, values in self.expressions.items()},
                {name: np.array(values, np.float32).reshape(-1, 3) for name, values in self.joints.items()},
            )
        except InputError as error:
            raise ValueError(str(error)) from None


class BetweenMotion(Strict):
    """From one appearance to another: edits, expressions and pose glide together."""

    kind: Literal["between"]
    start: Appearance = Appearance()
    end: Appearance
    seconds: Seconds = 2.0
    fps: Rate = 25.0
    easing: Literal["linear", "smooth"] = "smooth"
    there_and_back: bool = False


class AnimateRequest(Strict):
    """A video of an avatar."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "motion": {
                        "kind": "between",
                        "end": {"attributes": {"hat": {"beanie": 1.0}}, "pose": {"neck": [0, 0.3, 0]}},
                        "seconds": 2,
                        "there_and_back": True,
                    },
                    "format": "webp",
                },
                {"motion": {"kind": "named", "name": "builtin", "stride": 2}, "width": 384, "height": 384},
                {"motion": {"kind": "uploaded", "fps": 10, "joints": {"jaw": [[0, 0, 0], [0.3, 0, 0], [0, 0, 0]]}}},
            ]
        }
    )

    motion: Annotated[NamedMotion | UploadedMotion | BetweenMotion, Field(discriminator="kind")] = NamedMotion(
        kind="named"
    )
    attributes: Attributes = Field(default_factory=dict, description="worn throughout; `between` may add to it")
    camera: OrbitCamera | PinholeCamera = OrbitCamera()
    width: int = Field(default=256, ge=16, le=MAX_VIDEO_SIDE_PX)
    height: int = Field(default=256, ge=16, le=MAX_VIDEO_SIDE_PX)
    background: tuple[Byte, Byte, Byte] | None = Field(
        default=(255, 255, 255), description="RGB; null is transparent (WebP)"
    )
    format: Literal["mp4", "webp"] = "mp4"

    @model_validator(mode="after")
    def _possible(self) -> AnimateRequest:
        if self.background is None and self.format == "mp4":
            raise ValueError("MP4 cannot be transparent; ask for webp")
        if isinstance(self.motion, BetweenMotion) and self.motion.seconds * self.motion.fps > MAX_FRAMES:
            raise ValueError(f"seconds × fps may be {MAX_FRAMES} at most")
        try:
            self._frame(_furthest(self.motion))
        except ValidationError as error:
            raise ValueError(f"attributes and motion together: {error.errors()[0]['msg']}") from None
        return self

    def frames(self, known: Callable[[str], Motion]) -> tuple[list[RenderRequest], float]:
        """Render requests, one a frame, and frames a second.

        Args:
            known: the avatar's motion of a name.
        """
        if isinstance(self.motion, BetweenMotion):
            return [self._frame(look) for look in _glide(self.motion)], self.motion.fps
        stride = self.motion.stride if isinstance(self.motion, NamedMotion) else 1
        motion = self.motion.motion() if isinstance(self.motion, UploadedMotion) else known(self.motion.name)
        looks = [_look(motion, index) for index in range(0, len(motion), stride)]
        return [self._frame(look) for look in looks], motion.fps / stride

    def _frame(self, look: Appearance) -> RenderRequest:
        return RenderRequest(
            attributes=_joined(self.attributes, look.attributes), expression=look.expression, pose=look.pose,
            camera=self.camera, width=self.width, height=self.height, background=self.background,
        )  # fmt: skip


def _look(motion: Motion, index: int) -> Appearance:
    return Appearance(
        expression={name: float(values[index]) for name, values in motion.expressions.items()},
        pose={name: tuple(values[index].tolist()) for name, values in motion.joints.items()},
    )


def _glide(motion: BetweenMotion) -> Iterator[Appearance]:
    count = max(2, round(motion.seconds * motion.fps))
    shares = np.linspace(0, 1, count)
    if motion.there_and_back:
        shares = 1 - np.abs(2 * np.arange(count) / count - 1)
    if motion.easing == "smooth":
        shares = ramp(shares)
    for share in shares:
        yield between(motion.start, motion.end, float(share))


def between(start: Appearance, end: Appearance, share: float) -> Appearance:
    """A mixture of two appearances; what only one of them names fades in or out. Codes are linear in the weights, so
    this is the latent interpolation of Eq. 13; turns are interpolated as axis-angle, fine for the turns of a face."""

    def blend(a: float, b: float) -> float:
        return (1 - share) * a + share * b

    attributes = {
        category: _blended(start.attributes.get(category, {}), end.attributes.get(category, {}), share)
        for category in {**start.attributes, **end.attributes}
    }
    still = (0.0, 0.0, 0.0)
    turns = {}
    for name in {**start.pose, **end.pose}:
        a, b = start.pose.get(name, still), end.pose.get(name, still)
        turns[name] = (blend(a[0], b[0]), blend(a[1], b[1]), blend(a[2], b[2]))
    names = {**start.expression, **end.expression}
    expression = {name: blend(start.expression.get(name, 0.0), end.expression.get(name, 0.0)) for name in names}
    return Appearance(attributes=attributes, expression=expression, pose=turns)


def _furthest(motion: NamedMotion | UploadedMotion | BetweenMotion) -> Appearance:
    """A look that names everything that the motion ever does."""
    return between(motion.start, motion.end, 0.5) if isinstance(motion, BetweenMotion) else Appearance()


def _joined(worn: Attributes, added: Attributes) -> Attributes:
    """Both; where both name one subject, the weight of what is added counts."""
    joined = dict(worn)
    for category, attribute in added.items():
        known = joined.get(category, {})
        if isinstance(known, dict) and isinstance(attribute, dict):
            joined[category] = {**known, **attribute}
        else:
            joined[category] = [*terms(known), *terms(attribute)]
    return joined


def _blended(start: Attribute, end: Attribute, share: float) -> Attribute:
    """Two mixes in one; anything else as a list of both, whose weights stay within their bounds."""
    if isinstance(start, dict) and isinstance(end, dict):
        names = {**start, **end}
        return {name: (1 - share) * start.get(name, 0.0) + share * end.get(name, 0.0) for name in names}
    return [*_scaled(start, 1 - share), *_scaled(end, share)]


def _scaled(attribute: Attribute, factor: float) -> list[Mix | Description]:
    return [
        term.model_copy(update={"weight": factor * term.weight})
        if isinstance(term, Description)
        else {subject: factor * weight for subject, weight in term.items()}
        for term in terms(attribute)
    ]


class FramesRequest(Strict):
    """Several pictures of one avatar in one request; all in one format."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"frames": [{"camera": {"yaw_deg": -20}}, {"camera": {"yaw_deg": 20}}]}]}
    )

    frames: list[RenderRequest] = Field(min_length=1, max_length=MAX_LIST)

    @field_validator("frames")
    @classmethod
    def _one_format(cls, frames: list[RenderRequest]) -> list[RenderRequest]:
        if len({frame.format for frame in frames}) > 1:
            raise ValueError("all frames of a list have one format")
        return frames


class FramesAnswer(BaseModel):
    """Pictures in the order in which they were asked for."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"media_type": "image/png", "frames": ["iVBORw0KGgo…", "iVBORw0KGgo…"]}]}
    )

    media_type: str
    frames: list[str] = Field(description="base64")


class DescribeRequest(Strict):
    """A look in words."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"text": "a red beanie and a short beard"}]})

    text: Annotated[str, Field(min_length=1, max_length=300)]


class NearSubject(BaseModel):
    """A learned edit that a description resembles."""

    id: str
    text: str
    share: float = Field(description="how much, against the others of its category; all of them sum to 1")


class UnderstoodAttribute(BaseModel):
    """What a sentence says of one category. To wear it: `attributes: {category: {"text": text}}`. Where nothing is
    near, either none is wanted, and `attributes: {category: {}}` is it, or the avatar has learned nothing of it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "category": "hat",
                    "text": "a red beanie",
                    "nearest": [{"id": "8c00708e0566", "text": "A person wearing a teal beanie", "share": 0.93}],
                    "not_learned": ["red"],
                    "none": False,
                }
            ]
        }
    )

    category: Category
    text: str
    nearest: list[NearSubject]
    not_learned: list[str] = Field(description="words of it that no learned edit of the category has")
    none: bool = Field(description='nothing of the category is wanted, as in "no hat": the person as photographed')


class EditSpaceSubject(SubjectInfo):
    """An edit, and where to see it."""

    thumbnail: str = Field(description="address of a picture of the person with this edit")


class EditSpace(BaseModel):
    """Space of looks of an avatar. Weights of subjects mix freely within and between categories."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": "me",
                    "neutral": "/v1/avatars/me/thumbnail",
                    "categories": {
                        "hat": [
                            {
                                "id": "8c00708e0566",
                                "category": "hat",
                                "text": "A person in a teal beanie",
                                "thumbnail": "/v1/avatars/me/thumbnail?subject=8c00708e0566",
                            }
                        ],
                        "beard": [],
                    },
                }
            ]
        }
    )

    id: str
    neutral: str = Field(description="address of a picture without any edit, which is what an empty mix shows")
    categories: dict[Category, list[EditSpaceSubject]]
