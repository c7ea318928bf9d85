"""Features of mediapipe's person network on its way to the person mask, learned from real photographs.

The network (selfie segmentation, 256 × 256, MobileNetV3-like, Apache-2.0) lies in mediapipe's wheel; here it runs layer
by layer in torch, and the tensors in between come out. It is never trained further.
"""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from perse.shapes import Picture
from perse.tracking.learned.tflite_file import Operation, TfliteNetwork, TfliteOperation, read_tflite

INPUT_PX = 256
FINE, MIDDLE, COARSE, DEEP = 245, 219, 193, 157
"""Tensors that are used: after the decoder at 128, 64 and 32 pixels (16, 16 and 24 channels), before it at 16 (32)."""
SHALLOW = 4
"""The first layer's output, 128 pixels, 16 channels: textures and edges."""


@lru_cache(maxsize=1)
def person_network() -> TfliteNetwork:
    """The network from mediapipe's own files."""
    found = find_spec("mediapipe")
    assert found is not None and found.origin is not None, "mediapipe is a dependency"
    folder = Path(found.origin).parent / "modules" / "selfie_segmentation"
    return read_tflite(folder / "selfie_segmentation.tflite")


def person_features(image: Picture) -> dict[int, Tensor]:
    """Features named above, and the person's probability, of a picture [h, w, 3] seen at 256 × 256.

    Returns:
        [1, c, h, w] by tensor number; `person_network().output` is the mask.
    """
    small = cv2.resize(image, (INPUT_PX, INPUT_PX), interpolation=cv2.INTER_AREA)
    values = torch.from_numpy(np.asarray(small, np.float32) / 255).permute(2, 0, 1)[None]
    network = person_network()
    with torch.inference_mode():
        tensors = run(network, values)
    return {number: tensors[number] for number in (SHALLOW, FINE, MIDDLE, COARSE, DEEP, network.output)}


def run(network: TfliteNetwork, values: Float[Tensor, "n 3 h w"]) -> dict[int, Tensor]:
    """Tensors of a network for an input [1, c, h, w], all of them."""
    tensors = {network.input: values}
    for layer in network.layers:
        result = _apply(layer, [tensors[n] for n in layer.inputs if n in tensors],
                        [network.constants[n] for n in layer.inputs if n in network.constants])  # fmt: skip
        tensors[layer.outputs[0]] = torch.relu(result) if layer.activation == 1 else result
    return tensors


def _apply(layer: TfliteOperation, inputs: list[Tensor], constants: list[NDArray[np.float32]]) -> Tensor:
    first = inputs[0]
    match layer.operation:
        case Operation.CONVOLUTION:
            weight = torch.from_numpy(constants[0]).permute(0, 3, 1, 2)
            return F.conv2d(_same(first, weight, layer.stride), weight, torch.from_numpy(constants[1]), layer.stride)
        case Operation.DEPTHWISE:
            weight = torch.from_numpy(constants[0]).permute(3, 0, 1, 2)
            bias = torch.from_numpy(constants[1])
            return F.conv2d(_same(first, weight, layer.stride), weight, bias, layer.stride, groups=len(weight))
        case Operation.CUSTOM:  # mediapipe's transposed convolution with a bias, the network's last layer
            weight = torch.from_numpy(constants[0]).permute(3, 0, 1, 2)
            return F.conv_transpose2d(first, weight, torch.from_numpy(constants[1]), stride=2)
        case Operation.ADD:
            return first + inputs[1]
        case Operation.MULTIPLY:
            return first * inputs[1]
        case Operation.AVERAGE_POOL:  # always over everything here
            return first.mean((2, 3), keepdim=True)
        case Operation.RELU:
            return torch.relu(first)
        case Operation.HARD_SWISH:
            return F.hardswish(first)
        case Operation.LOGISTIC:
            return torch.sigmoid(first)
        case Operation.RESIZE_BILINEAR:
            return F.interpolate(first, scale_factor=2, mode="bilinear", align_corners=False)
    raise NotImplementedError(f"operation {layer.operation} of a TensorFlow Lite file")


def _same(values: Tensor, weight: Tensor, stride: int) -> Tensor:
    """TensorFlow's "same" padding: uneven sizes put the odd pixel last."""
    padding = []
    for size, kernel in zip(values.shape[:1:-1], weight.shape[:1:-1], strict=True):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(values, padding)
