"""The paper's evaluation on a GPU: a batch of it at its sizes, with every tensor where it belongs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from fake_cuda import CUDA, FakeClips, FakeGsplat
from torch import Tensor

from perse.evaluation import Measurer, measurements
from perse.recipes import recipe_named

PAPER, SIZE_PX, FRAMES = recipe_named("paper"), 512, 40


class FakeClip:
    """A clip's shapes: everything on the host, as it comes from disk."""

    def __init__(self, key: str, stored: FakeClips) -> None:
        self.key, self.parameters, self.camera = key, stored.parameters, stored.camera
        self.parts = np.zeros((FRAMES, SIZE_PX, SIZE_PX), np.uint8)

    def __len__(self) -> int:
        return FRAMES


@pytest.fixture
def measurer(fake_paper, head_model) -> Measurer:  # type: ignore[no-untyped-def]
    stored = FakeClips(fake_paper, FRAMES, SIZE_PX, len(head_model.template))
    clips = [FakeClip(key, stored) for key in stored.keys]
    return Measurer(avatar=fake_paper, clips=clips, config=PAPER.evaluation, rasterizer=FakeGsplat())  # type: ignore[arg-type]


def test_a_batch_of_pictures_is_drawn_where_the_avatar_is(measurer, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    compared: list[tuple[torch.Size, torch.device]] = []

    def compare(picture: Tensor, reference: Tensor, _: object) -> float:
        compared.extend((one.shape, one.device) for one in (picture, reference))
        return 0.0

    monkeypatch.setattr(measurements, "absolute_difference", compare)
    category = next(subject.category for subject in measurer.avatar.subjects if subject.category is not None)
    row = next(row for row, subject in enumerate(measurer.avatar.subjects) if subject.category is category)
    measurer.mix({category: row})
    frames = min(PAPER.evaluation.frames, FRAMES)
    assert compared == [(torch.Size([frames, SIZE_PX, SIZE_PX, 3]), torch.device("cpu"))] * 2


def test_the_check_sees_a_motion_that_was_left_on_the_host(measurer) -> None:  # type: ignore[no-untyped-def]
    from perse.evaluation.viewing import Viewer

    motion = measurer.avatar.skeleton(measurer.clips[0].parameters.to(CUDA)).to("cpu")
    viewer = Viewer(measurer.avatar, motion, measurer.clips[0].camera, FakeGsplat())
    with pytest.raises((RuntimeError, ValueError), match="device"):
        viewer.pictures(measurer.avatar.subject_codes()[0])
