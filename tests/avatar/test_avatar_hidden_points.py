"""What a subject hides waits on its own surface: nobody changes, and the way between two carries points across."""

from __future__ import annotations

import torch
from synthetic_avatar import synthetic_avatar
from torch import Tensor

from perse.attributes import Category
from perse.avatar import interpolate
from perse.avatar.canonical import COLOR, MEAN, N_ATTRIBUTES, OPACITY
from perse.avatar.hidden_points import HIDDEN, LEAST_LOGIT, SHOWN, ShownPoints, waiting_changes
from perse.avatar.part_bases import PartBases

SHOWN_LOGIT, HIDDEN_LOGIT = 3.0, -9.0


def disc(count: int, height: float, draws: torch.Generator) -> Tensor:
    """Places [count, 3] on a disc of 5 cm at a height, metres."""
    turn, radius = 6.28 * torch.rand(count, generator=draws), 0.05 * torch.rand(count, generator=draws).sqrt()
    return torch.stack([radius * torch.cos(turn), torch.full_like(turn, height), radius * torch.sin(turn)], -1)


def two_hats(flat: int = 300, tall: int = 400, stray: int = 3) -> ShownPoints:
    """A flat red hat, a tall blue one, and points of skin that the tall one tints. The reference has the skin alone."""
    draws = torch.Generator().manual_seed(0)
    far = torch.tensor([0.0, -0.3, 0.0]) + 0.001 * torch.rand(stray, 3, generator=draws)
    reference = torch.zeros(flat + tall + stray, N_ATTRIBUTES)
    reference[:, MEAN] = torch.cat([disc(flat, 0.02, draws), disc(tall, 0.12, draws), far])
    reference[:, OPACITY] = HIDDEN_LOGIT
    reference[flat + tall :, OPACITY] = SHOWN_LOGIT
    both = reference.repeat(2, 1, 1)
    both[0, :flat, OPACITY] = both[1, flat : flat + tall, OPACITY] = SHOWN_LOGIT
    both[0, :flat, COLOR] = torch.tensor([4.0, -4.0, -4.0])
    both[1, flat : flat + tall, COLOR] = torch.tensor([-4.0, -4.0, 4.0])
    both[1, flat + tall :, COLOR] = torch.tensor([-4.0, -4.0, 4.0])
    return ShownPoints(both, reference)


def test_each_hidden_point_waits_on_the_subjects_own_piece_in_its_colour() -> None:
    look = two_hats()
    changes = waiting_changes(look)
    after = look.attributes + changes
    for here, (own, others) in enumerate(((slice(0, 300), slice(300, 700)), (slice(300, 700), slice(0, 300)))):
        places, waiting = after[here, own][:, MEAN], after[here, others]
        apart = (waiting[:, None, MEAN] - places[None]).norm(dim=-1)  # cdist takes roots of cancelled squares
        assert apart.amin(1).max() < 1e-6
        torch.testing.assert_close(waiting[:, COLOR], after[here, own][:1, COLOR].expand(len(waiting), -1))
        assert torch.sigmoid(waiting[:, OPACITY]).max() < HIDDEN
        assert waiting[:, OPACITY].min() >= LEAST_LOGIT - 1e-6
        assert not changes[here, own].any(), "what a subject shows stays"
    assert not changes[:, 700:].any(), "and so does what the reference shows"


def test_neighbours_stay_neighbours() -> None:
    """Two discs of one size above each other: the way from one to the other is straight up, give or take a spacing."""
    look = two_hats()
    moved = waiting_changes(look)[0, 300:700][:, MEAN]
    assert (moved[:, 1] + 0.10).abs().max() < 1e-6  # metres: float32 rounding of a head's size
    assert moved[:, [0, 2]].norm(dim=-1).median() < 0.015


def test_a_few_tinted_points_far_away_are_no_part_of_a_piece() -> None:
    after = two_hats().attributes + waiting_changes(two_hats())
    assert after[1, :300, MEAN][:, 1].min() > 0


def test_what_is_painted_is_no_place_to_wait() -> None:
    """A moustache adds two stray points: a long beard that came to lie on it took the colour of the lips."""
    look = two_hats(stray=40)
    look.attributes[1, 302:700, OPACITY] = HIDDEN_LOGIT  # all but two points of the tall hat; the tinted skin remains
    assert not waiting_changes(look).any()


def test_subjects_stay_and_the_way_between_them_moves(head_model, tiny_clips) -> None:  # type: ignore[no-untyped-def]
    avatar = synthetic_avatar(head_model, [*tiny_clips, tiny_clips[2]])
    decoder = avatar.decoder
    assert isinstance(decoder, PartBases)
    codes, reference = avatar.subject_codes().detach(), avatar.latents.reference.detach()
    rows = torch.nonzero(avatar.features_categories == Category.HAT.index)[:, 0]
    members = decoder.members[Category.HAT.index]
    first, second = members[: len(members) // 2], members[len(members) // 2 :]
    with torch.no_grad():
        decoder.base[members, OPACITY] = HIDDEN_LOGIT
        edits = torch.zeros(len(codes), len(decoder), N_ATTRIBUTES)
        edits[rows[0], first, OPACITY] = edits[rows[1], second, OPACITY] = SHOWN_LOGIT - HIDDEN_LOGIT
        decoder.absorb_edits(codes, reference, edits)
        before = avatar.canonicalise(codes).attributes
        decoder.lay_hidden_points(codes, reference, avatar.features_categories)
        after = avatar.canonicalise(codes).attributes
        middle = avatar.canonicalise(interpolate(codes[rows[0]], codes[rows[1]], 0.5)).attributes
    assert torch.equal(before[0], after[0]), "the reference, to the bit"
    moved = (after - before).abs().amax(-1) > 1e-4
    opacities = torch.sigmoid(after[..., OPACITY].flatten(1))
    assert moved.any()
    assert opacities[moved].max() < SHOWN
    travelling = second[moved[rows[0], second]]
    from_, to, there = (one[travelling][:, MEAN] for one in (after[rows[0]], after[rows[1]], middle))
    assert ((there - (from_ + to) / 2).norm(dim=-1) < 0.25 * (from_ - to).norm(dim=-1) + 1e-4).all()
