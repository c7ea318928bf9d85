"""dlib's face recognition network in torch, with the parameters of the file that ``face_recognition_models`` ships.

A ResNet of 29 convolutions (King 2017), [n, 3, 150, 150] to [n, 128]. dlib's own runs forward only; this one has
gradients, so that a training can ask for the same face. Equal to dlib to 1e-4 on aligned faces (a test compares).

The file is dlib's serialisation: after each layer's name come a version, four sizes and raw floats. Only numbers are
read of it, nothing is executed, and every size is checked against the architecture.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d, pad

from perse.errors import MissingWeightsError
from perse.identity.embedder import model_folder

FILE = "dlib_face_recognition_resnet_model_v1.dat"
CHIP_PX = 150
"""Side of an aligned face."""

_MEAN = (122.782, 117.001, 104.298)
_STD = 256.0
_WIDTHS = ((32, False), (32, False), (32, False), (64, True), (64, False), (64, False), (64, False), (128, True),
           (128, False), (128, False), (256, True), (256, False), (256, False), (256, True))  # fmt: skip
"""Filters of the residual blocks from the picture on, and whether they halve the picture."""


class DlibNetwork(nn.Module):
    """Descriptors [n, 128] of aligned faces."""

    def __init__(self, parameters: list[Float[Tensor, "..."]]) -> None:
        """
        Args:
            parameters: filters, biases, gains and offsets of 29 convolutions in order, and the last matrix.
        """
        super().__init__()
        for number, values in enumerate(parameters):
            self.register_buffer(f"p{number}", values)

    def forward(self, faces: Float[Tensor, "n 150 150 3"]) -> Float[Tensor, "n 128"]:
        """Descriptors [n, 128] of RGB faces [n, 150, 150, 3] in [0, 1]."""
        x = (255 * faces.movedim(-1, 1) - torch.tensor(_MEAN).to(faces)[:, None, None]) / _STD
        x = max_pool2d(torch.relu(self._convolved(x, 0, stride=2, padding=0)), 3, 2)
        for block, (_, halved) in enumerate(_WIDTHS):
            first = 1 + 2 * block
            inner = self._convolved(x, first, stride=2 if halved else 1, padding=0 if halved else 1)
            inner = self._convolved(torch.relu(inner), first + 1, stride=1, padding=1)
            x = torch.relu(_added(inner, avg_pool2d(x, 2) if halved else x))
        matrix: Tensor = getattr(self, f"p{4 * N_CONVOLUTIONS}")
        return x.mean((-2, -1)) @ matrix

    def _convolved(self, x: Tensor, number: int, *, stride: int, padding: int) -> Tensor:
        """A convolution, then a gain and an offset for each of its channels."""
        filters, biases, gains, offsets = (getattr(self, f"p{4 * number + i}") for i in range(4))
        through = conv2d(x, filters, biases, stride=stride, padding=padding)
        return through * gains[:, None, None] + offsets[:, None, None]


N_CONVOLUTIONS = 1 + 2 * len(_WIDTHS)


def _added(a: Tensor, b: Tensor) -> Tensor:
    """The sum; what one lacks in channels, rows or columns counts as zero (dlib's ``add_prev``)."""
    shape = [max(pair) for pair in zip(a.shape, b.shape, strict=True)]

    def grown(x: Tensor) -> Tensor:
        missing = [wanted - has for wanted, has in zip(shape, x.shape, strict=True)]
        return pad(x, (0, missing[3], 0, missing[2], 0, missing[1]))

    return grown(a) + grown(b)


def load_dlib_network(file: Path | None = None) -> DlibNetwork:
    """The network, from the pip package's file or another copy of it.

    Raises:
        MissingWeightsError: no such file, or it is something else or damaged.
    """
    file = model_folder() / FILE if file is None else file
    if not file.is_file():
        raise MissingWeightsError(f"there is no file {file}; reinstall face_recognition_models")
    try:
        parameters = _read(file.read_bytes())
    except (ValueError, IndexError) as error:
        raise MissingWeightsError(
            f"{file} is not dlib's face recognition network ({error}); reinstall face_recognition_models"
        ) from error
    return DlibNetwork(parameters).eval().requires_grad_(False)


def _read(content: bytes) -> list[Tensor]:
    reader, parameters, channels = _Reader(content), [], 3
    for number in range(N_CONVOLUTIONS):
        width, size = (32, 7) if number == 0 else (_WIDTHS[(number - 1) // 2][0], 3)
        filters, biases = _split(reader.tensor(b"con_4"), width * channels * size * size, width)
        gains, offsets = _split(reader.tensor(b"affine_"), width, width)
        parameters += [filters.view(width, channels, size, size), biases, gains, offsets]
        channels = width
    (matrix,) = _split(reader.tensor(b"fc_2", skipped=2), channels * 128)
    return [*parameters, matrix.view(channels, 128)]


def _split(values: Tensor, *sizes: int) -> tuple[Tensor, ...]:
    if len(values) != sum(sizes):
        raise ValueError(f"a layer has {len(values)} parameters and should have {sum(sizes)}")
    return tuple(values.split(list(sizes)))


@dataclass
class _Reader:
    """A place in dlib's serialisation."""

    content: bytes
    place: int = 0

    def tensor(self, layer: bytes, skipped: int = 0) -> Float[Tensor, " p"]:
        """The parameters [p] of the next layer of that name, with so many other numbers before them."""
        name = bytes([1, len(layer)]) + layer  # a string: its length, which takes one byte, and its letters
        found = self.content.find(name, self.place)
        if found < 0:
            raise ValueError(f"a layer {layer.decode()} is missing")
        self.place = found + len(name)
        for _ in range(skipped):
            self._integer()
        version, *sizes = (self._integer() for _ in range(5))
        count = int(np.prod(sizes))
        if version != 2 or not 0 < count <= 2_000_000 or self.place + 4 * count > len(self.content):
            raise ValueError(f"the parameters of a layer {layer.decode()} are damaged")
        values = np.frombuffer(self.content, "<f4", count, self.place)
        self.place += 4 * count
        if not np.isfinite(values).all():
            raise ValueError(f"a layer {layer.decode()} has parameters that are no numbers")
        return torch.from_numpy(values.copy())

    def _integer(self) -> int:
        """A byte that counts the bytes of a little-endian number, and these."""
        length = self.content[self.place]
        if not 1 <= length <= 8:
            raise ValueError("a size is damaged")
        self.place += 1 + length
        return int.from_bytes(self.content[self.place - length : self.place], "little")
