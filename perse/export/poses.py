"""Poses and motions as people give them: names with numbers, motion files, the built-in motion."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from perse.avatar import Avatar
from perse.avatar.whole_body import WholeBody
from perse.data.motion_file import Motion, read_motion
from perse.errors import InputError
from perse.export.shots import at_rest
from perse.head import HeadParameters

BUILT_IN = "builtin"
"""Instead of a motion file: the test part of the motion that all head avatars are trained with (frames 400 to 512); for
a body, the motions that it brings along, one after another."""


def motion_of(avatar: Avatar, motion: str) -> tuple[HeadParameters, float]:
    """Frames of a motion for an avatar, and their rate.

    Args:
        motion: path of a motion file, `BUILT_IN`, or the name of a motion that the avatar brings along.

    Raises:
        InputError: the file is no motion, or moves what this avatar does not have.
    """
    named = named_motion(avatar, motion)
    return named.parameters(avatar.card.expression_names, avatar.card.joint_names), named.fps


def named_motion(avatar: Avatar, motion: str) -> Motion:
    """Motion of that name; see `motion_of`.

    Raises:
        InputError: it is no motion.
    """
    if motion != BUILT_IN and (Path(motion).suffix or Path(motion).exists() or not own_motions(avatar)):
        return read_motion(Path(motion))
    return known_motion(avatar, motion)


def known_motion(avatar: Avatar, name: str) -> Motion:
    """Motion of that name without opening a file: `BUILT_IN`, or one that the avatar brings along.

    Raises:
        InputError: it is neither.
    """
    if name == BUILT_IN:
        return shared_motion(avatar)
    own = own_motions(avatar)
    if name not in own:
        raise InputError(f"this avatar knows no motion {name[:40]!r}; there are {', '.join((BUILT_IN, *own))}")
    return own[name]


def posed(avatar: Avatar, expressions: Sequence[str], poses: Sequence[str]) -> HeadParameters:
    """Parameters of a single frame from ``name=strength`` and ``name=x,y,z`` sentences (axis-angle, degrees).

    Raises:
        InputError: a sentence cannot be read, or names what this avatar does not have.
    """
    if not expressions and not poses:
        return at_rest(avatar)
    strengths = {name: np.array(numbers, np.float32) for name, numbers in (_numbers(text, 1) for text in expressions)}
    turns = {name: np.radians(np.array([angles], np.float32)) for name, angles in (_numbers(text, 3) for text in poses)}
    return Motion(25.0, strengths, turns).parameters(avatar.card.expression_names, avatar.card.joint_names).frame(0)


def own_motions(avatar: Avatar) -> dict[str, Motion]:
    """The motions that the avatar brings along, by name; a head has none."""
    decoder = avatar.decoder
    if not isinstance(decoder, WholeBody):
        return {}
    names = avatar.card.joint_names
    return {
        name: Motion(decoder.body.fps, {}, {joint: pose[:, j].cpu().numpy() for j, joint in enumerate(names)})
        for name, pose in decoder.performances.items()
    }


def shared_motion(avatar: Avatar) -> Motion:
    """Motion that an avatar performs when nobody says which: see `BUILT_IN`."""
    own = list(own_motions(avatar).values())
    if not own:
        return built_in_motion()
    joints = {name: np.concatenate([one.joints[name] for one in own]) for name in own[0].joints}
    return Motion(own[0].fps, {}, joints)


@cache
def built_in_motion() -> Motion:
    """The motion of `BUILT_IN` by name, 25 frames a second."""
    from perse.head.embedded import embedded_head
    from perse.synthesis.motion import TEST_FRAMES, load_motion

    head = embedded_head()
    shared = load_motion(head).frame(slice(TEST_FRAMES.start, TEST_FRAMES.stop))
    return Motion.of_parameters(shared, head.expression_names, head.joint_names, fps=25.0)


def _numbers(text: str, count: int) -> tuple[str, list[float]]:
    name, _, rest = text.partition("=")
    try:
        numbers = [float(part) for part in rest.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        example = "mouthSmileLeft=0.8" if count == 1 else "neck=0,20,0"
        raise InputError(f"expected a name and {count} number{'s' * (count > 1)}, as in {example}, got {text[:60]!r}")
    return name.strip(), numbers
