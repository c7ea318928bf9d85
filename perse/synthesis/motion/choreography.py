"""Choreography of the shared motion: where the head turns, what the face does, and the script that writes it down.

One sequence of 513 frames serves every subject, the first 400 for training and the last 113 for testing (P 5.1). It is
written by hand as key poses and held actions rather than captured from a person, so that it carries nobody's identity
and its coverage can be stated: both splits reach every extreme, and since every hold outlasts eight frames, the
laptop's stride of eight still meets all of them.

Re-create the committed data with ``python -m perse.synthesis.motion.choreography``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.spatial.transform import Rotation

N_FRAMES = 513
N_TRAIN = 400
DATA_PATH = Path(__file__).with_name("motion_513.npz")

# (yaw, pitch, roll) of the head in degrees every 16 frames; positive yaw turns to the person's left, positive pitch
# nods down, positive roll tips the head to the person's right shoulder. Frames 416 and later are test poses.
_HEAD_KEYS = (
    (0, 0, 0), (18, -4, 3), (40, 0, -4), (22, 10, -8), (0, 20, 0), (-24, 12, 8), (-40, 0, 5), (-26, -14, -2),
    (0, -20, 0), (26, -14, 6), (38, -8, 12), (10, 4, 8), (-12, 6, -12), (-36, 10, -8), (-20, -6, 2), (0, 0, 12),
    (20, 8, 4), (36, 14, 0), (14, 18, -6), (-14, 2, -12), (-32, -14, -5), (-10, -10, 4), (14, -6, -3), (30, 6, -10),
    (8, -2, 0), (-10, 4, 4),
    (-37, -3, 10), (-18, 17, -6), (12, 11, -10), (38, 3, 5), (18, -17, 10), (-8, -18, -4), (-22, -5, 1),
)  # fmt: skip

# (yaw, pitch) of both eyes relative to the head, degrees, every 16 frames.
_GAZE_KEYS = (
    (0, 0), (0, 0), (-12, 0), (8, -6), (0, -8), (14, 0), (16, 4), (-10, 8),
    (0, 10), (-14, 6), (-18, 0), (20, 0), (0, 0), (12, -6), (-22, 0), (0, -12),
    (0, 0), (-10, -6), (6, -10), (22, 0), (10, 8), (0, 0), (-8, 12), (-14, 0),
    (0, 0), (0, 0),
    (13, 3), (-15, -7), (18, 0), (-16, -2), (0, 9), (-18, 5), (4, -3),
)  # fmt: skip


@dataclass(frozen=True)
class Hold:
    """Action of the face: it grows, is held over the frames `first`…`last`, and fades.

    Attributes:
        actions: (name, strength) pairs; "jaw" is the jaw joint's angle in radians, the others are expressions.
        first, last: frames between which the action is at full strength.
        ramp: frames it takes to appear and to vanish.
    """

    actions: tuple[tuple[str, float], ...]
    first: int
    last: int
    ramp: int = 7


def _both_sides(strength: float, *names: str) -> tuple[tuple[str, float], ...]:
    return tuple((name + side, strength) for name in names for side in ("Left", "Right"))


def _jaw(first: int, last: int, angle: float) -> Hold:
    return Hold((("jaw", angle),), first, last)


def _blink(first: int) -> Hold:
    return Hold(_both_sides(1.0, "eyeBlink"), first, first + 9, ramp=4)


def _smile(first: int, last: int, strength: float) -> Hold:
    lips = _both_sides(strength, "mouthSmile")
    return Hold(
        lips + _both_sides(0.5 * strength, "cheekSquint") + _both_sides(0.3 * strength, "eyeSquint"), first, last
    )


def _pucker(first: int, last: int, strength: float) -> Hold:
    return Hold((("mouthPucker", strength),), first, last)


def _funnel(first: int, last: int, strength: float) -> Hold:
    return Hold((("mouthFunnel", strength), ("jaw", 0.14 * strength)), first, last)


def _brows_up(first: int, last: int, strength: float = 1.0) -> Hold:
    outer = _both_sides(0.9 * strength, "browOuterUp")
    return Hold((("browInnerUp", strength), *outer, *_both_sides(0.4 * strength, "eyeWide")), first, last)


def _brows_down(first: int, last: int, strength: float = 1.0) -> Hold:
    return Hold(_both_sides(strength, "browDown") + _both_sides(0.4 * strength, "noseSneer"), first, last)


def _frown(first: int, last: int, strength: float) -> Hold:
    return Hold(_both_sides(strength, "mouthFrown"), first, last)


_HOLDS = (
    # train
    _blink(12), _brows_up(28, 40), _jaw(30, 42, 0.45), _smile(54, 66, 1.0), _pucker(78, 87, 1.0), _brows_down(76, 88),
    _blink(92), _jaw(104, 112, 0.25), _smile(118, 128, 0.6), _funnel(140, 149, 0.9), _blink(156),
    _pucker(170, 178, 0.7), _brows_up(182, 191), _jaw(198, 208, 0.45), _smile(204, 216, 0.9),
    _brows_down(226, 236), _blink(234),
    _funnel(248, 256, 0.6), _jaw(262, 271, 0.3), _frown(272, 280, 0.8), _smile(288, 297, 1.0), _pucker(308, 316, 0.9),
    _blink(310), _brows_up(322, 332, 0.8), _jaw(328, 339, 0.4), _smile(352, 361, 0.5), _frown(368, 376, 0.5),
    _blink(378),
    # test
    _brows_up(412, 421, 0.9), _jaw(424, 433, 0.42), _smile(438, 448, 0.95), _blink(447), _pucker(456, 466, 0.95),
    _jaw(474, 482, 0.2), _funnel(474, 482, 0.5), _brows_down(484, 494, 0.9), _blink(487), _smile(496, 504, 0.55),
    _frown(509, 512, 0.6),
)  # fmt: skip


def _through_keys(keys: tuple[tuple[float, ...], ...]) -> Float64[np.ndarray, "513 c"]:
    """A curve through key values 16 frames apart that never overshoots them: [513, c]."""
    times = 16 * np.arange(len(keys))
    assert times[-1] == N_FRAMES - 1
    return PchipInterpolator(times, np.asarray(keys, np.float64))(np.arange(N_FRAMES))


def _envelope(hold: Hold) -> Float64[np.ndarray, " f"]:
    frames = np.arange(N_FRAMES)
    outside = np.maximum(np.maximum(hold.first - frames, frames - hold.last), 0)
    t = np.clip(1 - outside / (hold.ramp + 1), 0, 1)
    return t * t * t * (t * (6 * t - 15) + 10)


def _actions() -> dict[str, NDArray[np.float64]]:
    """Strength of every action over time. Where two holds of one action overlap, the stronger one wins."""
    curves: dict[str, NDArray[np.float64]] = {}
    for hold in _HOLDS:
        for name, strength in hold.actions:
            curve = strength * _envelope(hold)
            curves[name] = np.maximum(curves[name], curve) if name in curves else curve
    eyes_open = 1 - curves["eyeBlinkLeft"]
    for side in ("Left", "Right"):  # closed lids are neither wide nor squinting: added up they would pass each other
        curves["eyeWide" + side] = curves["eyeWide" + side] * eyes_open
        curves["eyeSquint" + side] = curves["eyeSquint" + side] * eyes_open
    return curves


def choreograph() -> dict[str, NDArray[np.generic]]:
    """The motion's arrays.

    Returns:
        action_names: [a] str; actions: [513, a] float32 in [0, 1].
        head, jaw, eyes: [513, 3] float32, axis-angle in radians (x to the person's left, y up, z to the front).
    """
    curves = _actions()
    jaw = np.zeros((N_FRAMES, 3))
    jaw[:, 0] = curves.pop("jaw")
    names = sorted(curves)
    head = Rotation.from_euler("YXZ", _through_keys(_HEAD_KEYS), degrees=True).as_rotvec()
    eyes = Rotation.from_euler("YX", _through_keys(_GAZE_KEYS), degrees=True).as_rotvec()
    return {
        "action_names": np.array(names),
        "actions": np.stack([curves[name] for name in names], 1).astype(np.float32),
        "head": head.astype(np.float32),
        "jaw": jaw.astype(np.float32),
        "eyes": eyes.astype(np.float32),
    }


if __name__ == "__main__":
    np.savez_compressed(DATA_PATH, **choreograph())  # type: ignore[arg-type]
