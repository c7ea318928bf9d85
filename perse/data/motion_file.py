"""Motion files: what a face does over time, by name, so that any head with those names can perform it.

::

    {"format": "perse-motion", "version": 1, "fps": 25.0,
     "expressions": {"jawOpen": [0.0, 0.1, …], …},              one number a frame
     "joints": {"neck": [[0.0, 0.2, 0.0], …], …}}               axis-angle in radians, one triple a frame

The same as ``.npz``: ``fps`` (a scalar), ``expression:<name>`` [f], ``joint:<name>`` [f, 3]. What a file does not name
stays at rest. Joint rotations are absolute, as in `HeadParameters`: the neck carries the head's turn.

Motion files come from strangers. A file is refused, with a sentence, before it can cost memory or time: sizes are
compared with limits ahead of reading, no pickle is ever opened, and every number must be finite and within reach of
a face.
"""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from jaxtyping import Float32
from numpy.typing import NDArray

from perse.data.durable_files import write_file_atomically
from perse.errors import InputError
from perse.head import HeadParameters
from perse.plain_arrays import PlainArrayError, read_npz

FORMAT = "perse-motion"
VERSION = 1

MAX_FILE_BYTES = 32 * 1024 * 1024
MAX_FRAMES = 20_000
"""Eleven minutes at 30 frames a second."""
MAX_NAMES = 256
MAX_VALUES = 4_000_000
"""Numbers in a file; what its compressed members would unpack to is counted before they are."""
MAX_STRENGTH = 10.0
"""FLAME's expression coefficients are measured in standard deviations; named facial actions stay within 0 and 1."""
MAX_ANGLE = 2 * math.pi

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}")
_EXPRESSION, _JOINT = "expression:", "joint:"


@dataclass(frozen=True)
class Motion:
    """Motion by names of expressions and joints.

    Attributes:
        fps: frames a second.
        expressions: name to strengths [f] float32.
        joints: name to rotations [f, 3] float32, axis-angle in radians.
    """

    fps: float
    expressions: Mapping[str, Float32[NDArray[np.float32], " f"]]
    joints: Mapping[str, Float32[NDArray[np.float32], "f 3"]]

    def __post_init__(self) -> None:
        """
        Raises:
            InputError: nothing in it, lengths that differ, too much of it, or a number out of reach.
        """
        if not isinstance(self.fps, int | float) or not 1 <= self.fps <= 240:
            raise InputError(f"a motion has 1 to 240 frames a second, got {_brief(self.fps)}")
        columns = [*self.expressions.items(), *self.joints.items()]
        if not 1 <= len(columns) <= MAX_NAMES:
            raise InputError(f"a motion names 1 to {MAX_NAMES} expressions and joints, got {len(columns)}")
        frames = len(columns[0][1])
        if not 1 <= frames <= MAX_FRAMES:
            raise InputError(f"a motion has 1 to {MAX_FRAMES} frames, got {frames}")
        for name, values in self.expressions.items():
            _check_column("expression", name, values, (frames,), MAX_STRENGTH)
        for name, values in self.joints.items():
            _check_column("joint", name, values, (frames, 3), MAX_ANGLE)

    def __len__(self) -> int:
        """Number of frames."""
        return len(next(iter([*self.expressions.values(), *self.joints.values()])))

    def parameters(self, expression_names: Sequence[str], joint_names: Sequence[str]) -> HeadParameters:
        """The motion for a head or an avatar with these names; what it does not mention stays at rest.

        Returns:
            expression [f, e] and pose [f, j, 3]; no identity.

        Raises:
            InputError: the head lacks an expression or joint of the motion.
        """
        for kind, asked, known in (
            ("expression", self.expressions, expression_names),
            ("joint", self.joints, joint_names),
        ):
            missing = sorted(set(asked) - set(known))
            if missing:
                close = get_close_matches(missing[0], known, n=3, cutoff=0.3) or sorted(known)[:5]
                raise InputError(
                    f"the motion moves {kind} {', '.join(missing[:5])}, which this head does not have; "
                    f"among its {len(known)} are {', '.join(close)}"
                )
        expression = torch.zeros(len(self), len(expression_names))
        pose = torch.zeros(len(self), len(joint_names), 3)
        for name, strengths in self.expressions.items():
            expression[:, list(expression_names).index(name)] = torch.from_numpy(strengths)
        for name, turns in self.joints.items():
            pose[:, list(joint_names).index(name)] = torch.from_numpy(turns)
        return HeadParameters(torch.zeros(0), torch.zeros(0, 3), expression, pose)

    def only(self, expression_names: Sequence[str], joint_names: Sequence[str]) -> Motion:
        """Motion of those names that a head with these names can perform.

        Raises:
            InputError: nothing is left.
        """
        return Motion(
            self.fps,
            {name: values for name, values in self.expressions.items() if name in expression_names},
            {name: values for name, values in self.joints.items() if name in joint_names},
        )

    @classmethod
    def of_parameters(
        cls, parameters: HeadParameters, expression_names: Sequence[str], joint_names: Sequence[str], fps: float
    ) -> Motion:
        """The named motion of head parameters [f]; what never moves is left out."""
        expression = parameters.expression.detach().cpu().numpy().astype(np.float32)
        pose = parameters.pose.detach().cpu().numpy().astype(np.float32)
        expressions = {n: expression[:, i] for i, n in enumerate(expression_names) if expression[:, i].any()}
        joints = {n: pose[:, j] for j, n in enumerate(joint_names) if pose[:, j].any()}
        if not expressions and not joints:
            joints = {joint_names[0]: pose[:, 0]}
        return cls(fps, expressions, joints)


def read_motion(path: Path) -> Motion:
    """Read a ``.json`` or ``.npz`` motion file; which of the two is seen from its first bytes.

    Raises:
        InputError: it is not there, too large, or not a motion; the message says why.
    """
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path.name} has {size / 2**20:.0f} MiB; a motion file has at most 32 MiB")
        data = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        raise InputError(
            f"the motion file {path} cannot be read ({getattr(error, 'strerror', None) or error})"
        ) from None
    return parse_motion(data)


def parse_motion(data: bytes) -> Motion:
    """A motion from the bytes of a motion file.

    Raises:
        InputError: it is not a motion; the message says why and quotes nothing of the file but names.
    """
    if len(data) > MAX_FILE_BYTES:
        raise InputError(f"the motion has {len(data) / 2**20:.0f} MiB; 32 MiB is the limit")
    return _from_npz(data) if data[:2] == b"PK" else _from_json(data)


def write_motion(path: Path, motion: Motion) -> None:
    """Write a motion as ``.json`` or ``.npz``, as the name's ending says."""
    if path.suffix == ".npz":
        columns = {f"{_EXPRESSION}{n}": v for n, v in motion.expressions.items()}
        columns |= {f"{_JOINT}{n}": v for n, v in motion.joints.items()}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, fps=np.float64(motion.fps), **columns)  # type: ignore[arg-type]
        write_file_atomically(path, buffer.getvalue())
    elif path.suffix == ".json":
        value = {
            "format": FORMAT,
            "version": VERSION,
            "fps": motion.fps,
            "expressions": {n: _rounded(v) for n, v in sorted(motion.expressions.items())},
            "joints": {n: _rounded(v) for n, v in sorted(motion.joints.items())},
        }
        write_file_atomically(path, json.dumps(value).encode())
    else:
        raise InputError(f"a motion file ends in .json or .npz, got {path.name!r}")


def _rounded(values: NDArray[np.float32]) -> list[Any]:
    """Five decimals: a hundredth of a millimetre at the tip of the nose."""
    return np.round(values.astype(np.float64), 5).tolist()


# JSON


def _from_json(data: bytes) -> Motion:
    def refuse(constant: str) -> NoReturn:
        raise InputError(f"the motion holds {constant}; every number must be finite")

    try:
        value = json.loads(data, parse_constant=refuse)
    except (ValueError, RecursionError):
        raise InputError("the motion is neither JSON nor npz; see perse/data/motion_file.py for the format") from None
    if not isinstance(value, dict) or value.get("format") != FORMAT or value.get("version") != VERSION:
        raise InputError(f'expected a JSON object with "format": "{FORMAT}" and "version": {VERSION}')
    columns = {}
    for section, width in (("expressions", 1), ("joints", 3)):
        entries = value.get(section, {})
        if not isinstance(entries, dict):
            raise InputError(f'"{section}" must be an object of names')
        columns[section] = {name: _json_column(name, entry, width) for name, entry in entries.items()}
    return Motion(value.get("fps", 0), columns["expressions"], columns["joints"])


def _json_column(name: str, entry: Any, width: int) -> NDArray[np.float32]:
    if not isinstance(entry, list) or len(entry) > MAX_FRAMES:
        raise InputError(f"{_brief(name)} must be a list with one entry a frame, {MAX_FRAMES} at most")
    rows = entry if width > 1 else [[number] for number in entry]
    for row in rows:
        if not isinstance(row, list) or len(row) != width or any(type(number) not in (int, float) for number in row):
            raise InputError(f"every frame of {_brief(name)} must be {'a number' if width == 1 else 'three numbers'}")
    try:
        values = np.array(rows, np.float64).reshape(-1, width)
    except OverflowError:
        raise InputError(f"{_brief(name)} holds a number beyond all bounds") from None
    with np.errstate(over="ignore"):
        return np.ascontiguousarray((values[:, 0] if width == 1 else values).astype(np.float32))


# npz


def _from_npz(data: bytes) -> Motion:
    fps: float = 0.0
    expressions: dict[str, NDArray[np.float32]] = {}
    joints: dict[str, NDArray[np.float32]] = {}
    try:
        for name, values in read_npz(data, max_bytes=8 * MAX_VALUES, max_members=MAX_NAMES + 1):
            if name == "fps" and values.size == 1:
                fps = float(values.reshape(()))
            elif name.startswith(_EXPRESSION):
                expressions[name.removeprefix(_EXPRESSION)] = _single(values)
            elif name.startswith(_JOINT):
                joints[name.removeprefix(_JOINT)] = _single(values)
            else:
                raise InputError(f"the motion holds {_brief(name)}; expected fps, expression:<name> and joint:<name>")
    except PlainArrayError as error:
        raise InputError(f"the motion looks like an npz file, but {error}") from None
    return Motion(fps, expressions, joints)


def _single(values: NDArray[np.generic]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values.astype(np.float32)).reshape(values.shape)


# Checks


def _check_column(kind: str, name: str, values: NDArray[np.float32], shape: tuple[int, ...], reach: float) -> None:
    if not _NAME.fullmatch(name):
        raise InputError(f"{_brief(name)} cannot be the name of an {kind}: letters, digits, _ . and -, at most 64")
    if values.shape != shape:
        raise InputError(f"{kind} {name} must have shape {list(shape)} like the others, got {list(values.shape)[:4]}")
    if not np.isfinite(values).all() or np.abs(values).max() > reach:
        raise InputError(f"{kind} {name} holds a number that is not finite or beyond ±{reach:.3g}")


def _brief(value: object) -> str:
    """Something of a stranger's, short and on one line."""
    return repr(value if isinstance(value, str | int | float) else type(value).__name__)[:60]
