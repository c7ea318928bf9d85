"""Pictures served from a GPU: two at once at the paper's sizes, with every tensor where it belongs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from fake_cuda import FakeGsplat

from perse.geometry import Camera
from perse.viewing import AvatarRenderer, Look, Named, Orbit, PictureRequest

SIZE_PX = 512


@pytest.mark.parametrize("background", [(255, 255, 255), None])
def test_a_frame_is_drawn_where_the_avatar_is(fake_paper, monkeypatch, background) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.Tensor, "numpy", lambda self: np.zeros(self.shape, np.uint8))  # fakes hold no numbers
    own = Camera(torch.eye(4), torch.eye(3), SIZE_PX, SIZE_PX)  # on the host, as it is read from the file
    fake_paper.card = replace(fake_paper.card, camera=own)
    renderer = AvatarRenderer(fake_paper)
    renderer.rasterizer = FakeGsplat()
    edited = next(subject for subject in fake_paper.subjects if subject.category is not None)
    card = fake_paper.card
    look = Look(
        {edited.category: (Named(edited.key, 0.5),)},
        {card.expression_names[0]: 1.0},
        {card.joint_names[0]: (0.0, 0.1, 0.0)},
    )
    requests = [
        PictureRequest(asked, Orbit(yaw, 0.0, 1.0), SIZE_PX, SIZE_PX, background)
        for asked, yaw in ((look, 20.0), (Look({}, {}, {}), 0.0))
    ]
    pictures = renderer.draw(requests, [renderer.resolve(request.look) for request in requests])
    channels = 3 if background else 4
    assert [picture.shape for picture in pictures] == [(SIZE_PX, SIZE_PX, channels)] * 2
