"""Blend of two drawn frames: what lies under the things that two subjects wear.

Outlines grow into each other (`membership`), what lies inside is blended. Edits leave most of a portrait as it was, to
the bit, so only the window in which the two frames differ is computed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from perse.morphing.membership import Meeting
from perse.morphing.window import Window, window_of
from perse.synthesis.procedural.scene import FrameBuffers

_BESIDE_PX = 16
"""Around what differs: outlines grow from pixels that both frames have."""

_FAR_M = np.float32(1e3)
"""Beyond every head."""


@dataclass(frozen=True)
class BlendedFrames:
    """Pair of frames of one size before they are reduced, and blends of them; neither is written to."""

    first: FrameBuffers
    second: FrameBuffers

    def at(self, position: float) -> FrameBuffers:
        """Blend at a position in (0, 1) between the first (0) and the second (1); new arrays."""
        whole = _copy(self.first)
        window = self._window
        if window is None:
            return whole
        share, rest = np.float32(position), np.float32(1 - position)
        alpha = self._outlines.at(position, 1.0)
        opaque = np.maximum(rest * self.first.alpha[window] + share * self.second.alpha[window], np.float32(1e-3))
        black = self._over_black
        color = (rest * black[0] + share * black[1]) / opaque[..., None]
        here, there = (np.minimum(end.depth[window], _FAR_M) for end in (self.first, self.second))
        both = np.maximum(here, there) < _FAR_M
        depth = np.where(both, rest * here + share * there, np.minimum(here, there))
        whole.rgb[window] = color * alpha[..., None] + 255 * (1 - alpha[..., None])
        whole.alpha[window] = alpha
        whole.depth[window] = np.where(alpha > 0.5, depth, np.float32(np.inf))
        if position >= 0.5:
            whole.parts[window] = self.second.parts[window]
        return whole

    @cached_property
    def _window(self) -> Window | None:
        """Where the two differ, and a little around; None where nowhere."""
        differs = (self.first.alpha != self.second.alpha) | (self.first.parts != self.second.parts)
        differs |= self.first.depth != self.second.depth
        for channel in range(3):
            differs |= self.first.rgb[..., channel] != self.second.rgb[..., channel]
        return window_of(differs, _BESIDE_PX)

    @cached_property
    def _outlines(self) -> Meeting:
        assert self._window is not None, "asked for first"
        return Meeting(self.first.alpha[self._window], self.second.alpha[self._window])

    @cached_property
    def _over_black(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Colours times alpha, in the window."""
        assert self._window is not None, "asked for first"
        first, second = (
            np.asarray(end.rgb[self._window] - 255 * (1 - end.alpha[self._window][..., None]), np.float32)
            for end in (self.first, self.second)
        )
        return first, second


def _copy(buffers: FrameBuffers) -> FrameBuffers:
    return FrameBuffers(buffers.rgb.copy(), buffers.alpha.copy(), buffers.parts.copy(), buffers.depth.copy())
