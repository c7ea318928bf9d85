"""Growing and pruning: what is kept, what is new, and whose moments go along."""

from __future__ import annotations

import numpy as np
import torch
from synthetic_avatar import NETWORKS, synthetic_avatar

from perse.avatar.densification import carried_moments, plan_growth, plan_prune


def test_growth_keeps_every_point_and_adds_children() -> None:
    plan = plan_growth(10, 25, np.random.default_rng(0))
    assert len(plan) == 25
    assert plan.parents[:10].tolist() == list(range(10))
    assert plan.fresh.tolist() == [False] * 10 + [True] * 15
    assert plan_growth(10, 5, np.random.default_rng(0)).parents.tolist() == list(range(10))


def test_pruning_drops_the_faint_and_refills_from_the_opaque() -> None:
    opacities = torch.tensor([0.9, 0.1, 0.6, 0.4])
    plan = plan_prune(opacities, 0.5, 6, np.random.default_rng(0))
    assert len(plan) == 6
    assert set(plan.parents.tolist()) == {0, 2}
    assert plan.fresh.tolist() == [False, False, True, True, True, True]


def test_pruning_never_leaves_nothing() -> None:
    assert len(plan_prune(torch.linspace(0, 0.1, 20), 0.5, 20, np.random.default_rng(0))) == 20


def test_carrying_out_moves_only_children_and_only_a_little(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    decoder = synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS).decoder
    before, n = decoder.positions.detach().clone(), len(decoder)
    plan = plan_growth(n, n + 400, np.random.default_rng(0))
    decoder.replace_points(plan, 0.004, np.random.default_rng(1))
    assert len(decoder) == n + 400
    assert torch.equal(decoder.positions[:n], before)
    distance = (decoder.positions[n:] - before[plan.parents[n:]]).norm(dim=1)
    assert 0.002 < distance.mean() < 0.006
    for name in decoder.point_tensors():
        assert len(getattr(decoder, name)) == n + 400
    assert torch.equal(decoder.blend_basis[n:], decoder.blend_basis[plan.parents[n:]])


def test_shrinking_scales_all_points(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, tiny_clips, decoder=NETWORKS)
    before = avatar.canonicalise(avatar.latents.reference).log_scales
    avatar.decoder.shrink_scales(0.75)
    after = avatar.canonicalise(avatar.latents.reference).log_scales
    torch.testing.assert_close((after - before).exp(), torch.full_like(before, 0.75))


def test_moments_stay_with_their_points() -> None:
    plan = plan_prune(torch.tensor([0.9, 0.1, 0.6]), 0.5, 4, np.random.default_rng(0))
    moments = {
        "decoder.positions/exp_avg": torch.arange(1.0, 4.0)[:, None].expand(3, 3).clone(),
        "decoder.positions/step": torch.tensor(7.0),
        "decoder.color.out.bias/exp_avg": torch.ones(5),
    }
    carried = carried_moments(moments, "decoder.", ("positions", "closing"), plan)
    assert carried["decoder.positions/exp_avg"][:, 0].tolist() == [1.0, 3.0, 0.0, 0.0]
    assert carried["decoder.positions/step"] == 7
    assert torch.equal(carried["decoder.color.out.bias/exp_avg"], torch.ones(5))
