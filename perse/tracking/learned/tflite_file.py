"""Reader of TensorFlow Lite files: the networks that mediapipe ships, with their weights, as plain records.

mediapipe runs its networks as a whole and shows no layer in between; those are what another network can build on. The
format is a FlatBuffer, whose field numbers below are those of TensorFlow's ``schema.fbs`` (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from flatbuffers import number_types
from flatbuffers.table import Table
from jaxtyping import Float32
from numpy.typing import NDArray


class Operation(IntEnum):
    """The operations that are known here, by their number in the schema."""

    ADD = 0
    AVERAGE_POOL = 1
    CONVOLUTION = 3
    DEPTHWISE = 4
    DEQUANTIZE = 6
    LOGISTIC = 14
    MULTIPLY = 18
    RELU = 19
    RESIZE_BILINEAR = 23
    CUSTOM = 32
    HARD_SWISH = 117


@dataclass(frozen=True)
class TfliteOperation:
    """One operation.

    Attributes:
        operation: its number.
        inputs, outputs: numbers of tensors.
        stride: of a convolution.
        activation: fused into it; 0 none, 1 ReLU.
    """

    operation: int
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    stride: int
    activation: int


@dataclass(frozen=True)
class TfliteNetwork:
    """A network's layers in the order in which they run.

    Attributes:
        layers: all of them.
        constants: weights by tensor number, float32, in the file's own layouts.
        input, output: tensor numbers.
    """

    layers: tuple[TfliteOperation, ...]
    constants: dict[int, Float32[NDArray[np.float32], "..."]]
    input: int
    output: int


def read_tflite(path: Path) -> TfliteNetwork:
    """Read a network whose weights are 16- or 32-bit floats; quantised constants are left out."""
    content = bytearray(path.read_bytes())
    model = _Record(content, int(np.frombuffer(content, "<u4", 1)[0]))
    codes = [max(code.number(0, number_types.Int8Flags), code.number(3, number_types.Int32Flags))
             for code in model.records(1)]  # fmt: skip
    graph = model.records(2)[0]
    buffers = model.records(4)
    constants = {}
    for number, tensor in enumerate(graph.records(0)):
        data = buffers[tensor.number(2, number_types.Uint32Flags)].array(0, number_types.Uint8Flags)
        kind = {0: np.float32, 1: np.float16}.get(tensor.number(1, number_types.Int8Flags))
        if len(data) and kind is not None:
            shape = tensor.array(0, number_types.Int32Flags)
            constants[number] = np.frombuffer(data.tobytes(), kind).reshape(shape).astype(np.float32)
    layers = []
    for record in graph.records(3):
        code = codes[record.number(0, number_types.Uint32Flags)]
        inputs, outputs = (tuple(map(int, record.array(n, number_types.Int32Flags))) for n in (1, 2))
        if code == Operation.DEQUANTIZE:
            if inputs[0] in constants:
                constants[outputs[0]] = constants[inputs[0]]
            continue
        stride, activation = _options(code, record.record(4))
        layers.append(TfliteOperation(code, inputs, outputs, stride, activation))
    ends = [int(graph.array(n, number_types.Int32Flags)[0]) for n in (1, 2)]
    return TfliteNetwork(tuple(layers), constants, ends[0], ends[1])


def _options(code: int, options: _Record | None) -> tuple[int, int]:
    """Stride and fused activation: the fields' places differ between operations."""
    if options is None:
        return 1, 0
    if code in (Operation.CONVOLUTION, Operation.DEPTHWISE):
        place = 3 if code == Operation.CONVOLUTION else 4
        return options.number(1, number_types.Int32Flags), options.number(place, number_types.Int8Flags)
    if code in (Operation.ADD, Operation.MULTIPLY):
        return 1, options.number(0, number_types.Int8Flags)
    return 1, 0


class _Record:
    """A table of a FlatBuffer, its fields by number."""

    def __init__(self, content: bytearray, position: int) -> None:
        self._content = content
        self._table = Table(content, position)

    def _place(self, field: int) -> int:
        return int(self._table.Offset(4 + 2 * field))

    def number(self, field: int, kind: Any) -> int:
        place = self._place(field)
        return int(self._table.Get(kind, place + self._table.Pos)) if place else 0

    def array(self, field: int, kind: Any) -> NDArray[Any]:
        place = self._place(field)
        return np.asarray(self._table.GetVectorAsNumpy(kind, place)) if place else np.zeros(0, np.int32)

    def record(self, field: int) -> _Record | None:
        place = self._place(field)
        return _Record(self._content, self._table.Indirect(place + self._table.Pos)) if place else None

    def records(self, field: int) -> list[_Record]:
        place = self._place(field)
        if not place:
            return []
        start = self._table.Vector(place)
        return [
            _Record(self._content, self._table.Indirect(start + 4 * n)) for n in range(self._table.VectorLen(place))
        ]
