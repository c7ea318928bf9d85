"""The identity-consistency loss: zero for the reference, larger for another face, and a way downhill."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perse.losses import IdentityLoss


@pytest.fixture(scope="module")
def loss(astronaut) -> IdentityLoss:  # type: ignore[no-untyped-def]
    blank = np.full_like(astronaut, 255)
    return IdentityLoss(lambda frame: (astronaut, blank)[frame])


def picture(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image))[None].float() / 255


def test_the_reference_is_at_no_distance_and_another_face_is(loss: IdentityLoss, astronaut) -> None:  # type: ignore[no-untyped-def]
    own = picture(astronaut)
    assert float(loss(own, [0])) < 1e-10
    widened = picture(np.asarray(np.roll(astronaut, 6, axis=1)))
    assert float(loss(widened, [0])) > 1e-4
    squashed = torch.nn.functional.interpolate(own.movedim(-1, 1), (512, 400)).movedim(1, -1)
    squashed = torch.nn.functional.pad(squashed, (0, 0, 56, 56))
    assert float(loss(squashed, [0])) > 0.05


def test_frames_without_a_face_do_not_count(loss: IdentityLoss, astronaut) -> None:  # type: ignore[no-untyped-def]
    both = torch.cat([picture(astronaut) * 0.8, picture(astronaut)])
    assert float(loss(both, [0, 1])) == pytest.approx(float(loss(both[:1], [0])))
    nobody = torch.rand(1, 512, 512, 3, requires_grad=True)
    value = loss(nobody, [1])
    value.backward()
    assert float(value) == 0 and nobody.grad is not None


def test_its_gradient_leads_to_the_face(loss: IdentityLoss, astronaut) -> None:  # type: ignore[no-untyped-def]
    image = (picture(astronaut) * 0.6 + 0.2 * torch.rand(1, 512, 512, 3)).requires_grad_(True)
    before = loss(image, [0])
    (gradient,) = torch.autograd.grad(before, image)
    with torch.no_grad():
        after = loss(image - 0.1 * gradient / gradient.norm(), [0])
    assert float(after) < float(before)
    outside = torch.ones(512, 512, dtype=torch.bool)
    outside[0:320, 80:400] = False
    assert not gradient[0][outside].any()
