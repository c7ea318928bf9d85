"""Seams of the synthesis pipeline: what an editor, a screen and an animator of one's own must offer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32

from perse.data import AttributePrompt, EditedPortrait, PortraitClip, TrackedPortrait, Verdict
from perse.errors import PerseError
from perse.head import HeadModel, HeadParameters

__all__ = [
    "AnimatorConfig",
    "BatchEditor",
    "EditorConfig",
    "PortraitAnimator",
    "PortraitEditor",
    "QualityScreen",
    "ScreenConfig",
    "Shot",
    "ShotConfig",
    "Verdict",
]


class PortraitEditor(Protocol):
    """Editor of one attribute of a portrait."""

    def edit(self, portrait: TrackedPortrait, prompt: AttributePrompt) -> EditedPortrait:
        """The portrait as the prompt describes it. Deterministic in (portrait, prompt).

        Raises:
            PromptError: the prompt asks for something this editor cannot do; the message lists what it knows.
        """
        ...


@runtime_checkable
class BatchEditor(PortraitEditor, Protocol):
    """Editor that edits several prompts together faster than one by one."""

    def edit_many(
        self, portrait: TrackedPortrait, prompts: Sequence[AttributePrompt]
    ) -> list[EditedPortrait | PerseError]:
        """Edits in the prompts' order; a prompt that fails takes no other with it: its error is its outcome."""
        ...


class QualityScreen(Protocol):
    """Judge of whether an edit is good enough to train on."""

    def screen(self, portrait: TrackedPortrait, edited: EditedPortrait) -> Verdict: ...


@dataclass(frozen=True)
class Shot:
    """Request to an animator: frames of the shared motion, at an image size.

    Attributes:
        frame_numbers: [f] int32, positions in the motion.
        motion: expression and pose with a leading [f]; betas and offsets are ignored (the portrait's are used).
        size_px: width and height of the frames; the portrait's camera, resized.
    """

    frame_numbers: Int32[np.ndarray, " f"]
    motion: HeadParameters
    size_px: int


class PortraitAnimator(Protocol):
    """Maker of a video of a head from its picture."""

    def animate(self, portrait: TrackedPortrait, edited: EditedPortrait | None, shot: Shot) -> PortraitClip:
        """Clip of the edited portrait (or, with None, of the portrait itself) performing the motion. Deterministic."""
        ...


class EditorConfig(Protocol):
    """Configuration that builds an editor."""

    def build(self, head: HeadModel) -> PortraitEditor: ...


class ScreenConfig(Protocol):
    """Configuration that builds a screen."""

    def build(self, head: HeadModel) -> QualityScreen: ...


class AnimatorConfig(Protocol):
    """Configuration that builds an animator."""

    def build(self, head: HeadModel) -> PortraitAnimator: ...


class ShotConfig(Protocol):
    """Configuration of a shot: which frames of which motion, how large."""

    def shot(self, head: HeadModel) -> Shot: ...
