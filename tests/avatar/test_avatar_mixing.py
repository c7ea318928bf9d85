"""Several edits at one point: the stronger one prevails, one alone counts in full, and order does not matter."""

from __future__ import annotations

import torch
from tolerances import SINGLE, SINGLE_SUM

from perse.avatar.canonical import N_ATTRIBUTES, OPACITY
from perse.avatar.mixing import with_changes

POINTS = 6


def _change(points: list[int], size: float) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.tensor(points), size * torch.randn(len(points), N_ATTRIBUTES)


def test_one_edit_counts_in_full() -> None:
    base = torch.randn(POINTS, N_ATTRIBUTES)
    members, change = _change([1, 4], 1.0)
    assert torch.equal(with_changes(base, [(members, change)]), base.index_add(0, members, change))
    assert with_changes(base, []) is base


def test_edits_that_do_not_meet_do_not_know_of_each_other() -> None:
    base = torch.randn(POINTS, N_ATTRIBUTES)
    first, second = _change([0, 1], 1.0), _change([3, 5], 2.0)
    expected = base.index_add(0, *first).index_add(0, *second)
    assert torch.allclose(with_changes(base, [first, second]), expected, atol=SINGLE_SUM)


def test_where_edits_meet_nothing_explodes_and_the_stronger_prevails() -> None:
    base = torch.zeros(POINTS, N_ATTRIBUTES)
    strong, weak = _change([2], 4.0), _change([2], 1.0)
    strong[1][:, OPACITY] = 4.0  # it is there
    mixed = with_changes(base, [strong, weak])[2]
    assert mixed.norm() <= max(strong[1].norm(), weak[1].norm()) * 1.001
    assert (mixed - strong[1][0]).norm() < 0.1 * strong[1].norm()
    assert torch.allclose(mixed, with_changes(base, [weak, strong])[2], atol=SINGLE)


def test_what_one_edit_takes_away_the_other_does_not_bring_back() -> None:
    """A hoodie takes away a space suit's collar; a hat moved the collar's points, black on black."""
    base = torch.zeros(POINTS, N_ATTRIBUTES)
    base[:, OPACITY] = 3.0
    hoodie, hat = torch.zeros(1, N_ATTRIBUTES), torch.randn(1, N_ATTRIBUTES) * 8
    hoodie[:, OPACITY], hat[:, OPACITY] = -7.0, 2.0
    mixed = with_changes(base, [(torch.tensor([2]), hoodie), (torch.tensor([2]), hat)])[2]
    assert torch.sigmoid(mixed[OPACITY]) < 0.05


def test_what_one_edit_adds_the_other_does_not_prevent() -> None:
    base = torch.zeros(POINTS, N_ATTRIBUTES)
    base[:, OPACITY] = -4.0
    hat, hair = torch.randn(1, N_ATTRIBUTES) * 4, torch.randn(1, N_ATTRIBUTES) * 4
    hat[:, OPACITY], hair[:, OPACITY] = 7.0, -2.0
    mixed = with_changes(base, [(torch.tensor([2]), hat), (torch.tensor([2]), hair)])[2]
    assert torch.sigmoid(mixed[OPACITY]) > 0.9
    assert (mixed - base[2] - hat[0])[OPACITY + 1 :].norm() < 0.2 * hat[0, OPACITY + 1 :].norm(), "and looks like it"


def test_an_edit_that_vanishes_leaves_the_other_alone() -> None:
    base = torch.zeros(POINTS, N_ATTRIBUTES)
    edit = _change([2, 3], 1.0)
    for size in (1e-1, 1e-2, 1e-3):
        mixed = with_changes(base, [edit, (torch.tensor([3]), torch.full((1, N_ATTRIBUTES), size))])
        assert (mixed[3] - edit[1][1]).abs().max() < 2 * size


def test_gradients_reach_every_edit() -> None:
    base = torch.randn(POINTS, N_ATTRIBUTES, dtype=torch.float64)
    first = torch.randn(2, N_ATTRIBUTES, dtype=torch.float64, requires_grad=True)
    second = torch.randn(2, N_ATTRIBUTES, dtype=torch.float64, requires_grad=True)
    at_first, at_second = torch.tensor([0, 2]), torch.tensor([2, 4])

    def mixed(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return with_changes(base, [(at_first, a), (at_second, b)])

    assert torch.autograd.gradcheck(mixed, (first, second))
