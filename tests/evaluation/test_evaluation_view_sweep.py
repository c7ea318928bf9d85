"""The walk around an avatar: what hangs in the air, and colours that nobody has."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import CLOSED, PART_BASES, synthetic_avatar

from perse.evaluation.view_sweep import ANGLES_DEG, foreign_share, hazy_share, outside_share, view_sweep
from perse.head import HeadParameters
from perse.render import CpuRasterizer


def test_only_colours_that_are_far_from_all_others_are_foreign() -> None:
    palette = np.array([[200, 150, 120], [20, 20, 20]], np.uint8)
    own = np.array([[0.79, 0.6, 0.47], [0.1, 0.08, 0.08]], np.float32)
    alien = np.array([[0.9, 0.4, 0.9], [0.2, 0.9, 0.9]], np.float32)
    assert foreign_share(own, palette) == 0
    assert foreign_share(np.concatenate([own, alien]), palette) == pytest.approx(0.5)


def test_a_soft_outline_is_no_haze_and_a_veil_beside_the_person_is() -> None:
    person = np.zeros((64, 64), np.float32)
    person[16:48, 16:48] = 1
    person[15, 16:48] = 0.5
    assert hazy_share(person) == 0
    person[16:48, 56:64] = 0.3
    assert hazy_share(person) == pytest.approx(8 * 32 / (32 * 32 + 32 + 8 * 32))


def test_splats_that_hang_behind_shoulders_and_head_are_outside(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, PART_BASES, CLOSED)
    still = HeadParameters(
        torch.zeros(0), torch.zeros(0, 3), torch.zeros(1, avatar.skeleton.n_expression), torch.zeros(1, 5, 3)
    )
    gaussians = avatar.pose(avatar.canonicalise(avatar.latents.reference), avatar.skeleton(still))
    gaussians = gaussians.detach()
    before = outside_share(avatar, gaussians)
    means, opacities = gaussians.means.clone(), gaussians.opacities.clone()
    means[0, :40] = torch.tensor([0.1, -0.2, -0.35])
    means[0, 40:80] = torch.tensor([0.0, 0.05, -0.3])
    opacities[0, :80] = 0.9
    after = outside_share(avatar, replace(gaussians, means=means, opacities=opacities))
    share = 80 * 0.9 / float(opacities[opacities > 0.1].sum())
    assert before < 0.02
    # The points that were there before are outside by up to this, as asked above.
    assert after == pytest.approx(share, abs=0.02)


def test_a_sweep_has_a_number_for_every_angle(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, PART_BASES, CLOSED)
    sweep = view_sweep(avatar, tiny_clips[0][0], CpuRasterizer())
    assert sweep.foreign.keys() == sweep.hazy.keys() == {str(angle) for angle in ANGLES_DEG}
    values = [*sweep.foreign.values(), *sweep.hazy.values(), sweep.outside]
    assert all(0 <= value <= 1 for value in values) and sweep.worst_deg in ANGLES_DEG
