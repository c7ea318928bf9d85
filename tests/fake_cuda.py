"""CUDA tensors on a machine without a GPU: shapes and devices are checked, nothing is computed.

Under `FakeTensorMode` an operation that mixes devices raises, as it would on the device, and so does any real tensor
that slipped in. Only what depends on numbers (gsplat's kernels, reading a loss) is replaced, by fakes of the same
shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode

from perse.avatar import Avatar
from perse.gaussians import Gaussians
from perse.geometry import Camera
from perse.head import HeadParameters
from perse.render import Rendering
from perse.render.gsplat import draw_with
from perse.training import FrameBatch
from perse.training.sampler import ReferenceFrames

Network = TypeVar("Network", bound=nn.Module)

CUDA = torch.device("cuda", 0)
POINTS = 130_000
"""Gaussians of the paper's avatars."""


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """No real tensor may take part in anything inside the block."""
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        yield mode


def fake_backward(loss: Tensor) -> None:
    """`Tensor.backward` for fakes, whose device has no streams: a gradient for every leaf that the loss rests on."""
    waiting, met = [loss.grad_fn], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in met:
            continue
        met.add(node)
        if hasattr(node, "variable"):
            node.variable.grad = torch.empty_like(node.variable)
        waiting += [following for following, _ in node.next_functions]


class FakeGsplat:
    """Our adapter to gsplat, with gsplat's kernels replaced."""

    device_types = ("cuda",)

    def draw(self, gaussians: Gaussians, cameras: Camera, background: Tensor | None) -> Rendering:
        return draw_with(_rasterization, gaussians, cameras, background)


def _rasterization(
    means: Tensor, quats: Tensor, scales: Tensor, opacities: Tensor, colors: Tensor, viewmats: Tensor, Ks: Tensor,
    width: int, height: int, **_: Any,
) -> tuple[Tensor, Tensor, None]:  # fmt: skip
    """Every value depends on every input, so that gradients reach them all."""
    for values in (means, quats, scales, opacities, colors, viewmats, Ks):
        assert values.device == CUDA, f"gsplat was given a tensor on {values.device}"
    frames = means.shape[0]
    touched = sum(values.sum() for values in (means, quats, scales, opacities, colors))
    drawn = torch.zeros(frames, 1, height, width, colors.shape[-1] + 1, device=CUDA) + touched
    return drawn, drawn[..., :1], None


def on_fake_cuda(avatar: Avatar, points: int) -> Avatar:
    """An avatar's shapes on the fake device, with another number of points. Call inside `fake_cuda`."""
    rows = set(avatar.decoder.point_tensors())
    return shapes_on_fake_cuda(
        avatar, lambda name, value: (points, *value.shape[1:]) if name in rows else tuple(value.shape)
    )


def shapes_on_fake_cuda(
    network: Network, shape_of: Callable[[str, Tensor], tuple[int, ...]] = lambda _, value: tuple(value.shape)
) -> Network:
    """A module whose tensors are replaced by fakes on the device. Call inside `fake_cuda`, with one made outside (on
    the device "meta", say): what copies modules while it makes them does not get on with fakes."""

    def fake(name: str, value: Tensor) -> Tensor:
        return torch.empty(shape_of(name, value), dtype=value.dtype, device=CUDA)

    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                module._parameters[name] = nn.Parameter(fake(name, parameter))
        for name, buffer in list(module._buffers.items()):
            if buffer is not None:
                module._buffers[name] = fake(name, buffer)
    return network


def is_there_already(avatar: Avatar, device: torch.device | str) -> Avatar:
    """Instead of `Avatar.to`, which swaps tensors and which fakes refuse; another test looks at the moving."""
    assert torch.device(device).type == CUDA.type
    return avatar


class FakeClips:
    """A clip store's shapes: frames on the host, as they come from disk."""

    streamed = False

    def __init__(self, avatar: Avatar, n_frames: int, size_px: int, vertices: int) -> None:
        import numpy as np

        self.keys = tuple(subject.key for subject in avatar.subjects)
        self.n_frames, self.size_px = n_frames, size_px
        self.frame_numbers = np.arange(n_frames, dtype=np.int32)
        joints = len(avatar.card.joint_names)
        self.parameters = HeadParameters(
            torch.zeros(10), torch.zeros(vertices, 3), torch.zeros(n_frames, avatar.skeleton.n_expression),
            torch.zeros(n_frames, joints, 3),
        )  # fmt: skip
        self.motion, self.reference_frames = self.parameters, ReferenceFrames(range(n_frames))
        self.camera = Camera(torch.eye(4), torch.eye(3), size_px, size_px)

    def batch(self, subjects: Any, frames: Any) -> FrameBatch:
        size = (len(subjects), self.size_px, self.size_px)
        empty = torch.empty(size, dtype=torch.uint8)
        return FrameBatch(torch.empty((*size, 3), dtype=torch.uint8), empty, empty)
