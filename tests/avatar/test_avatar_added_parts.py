"""A column for one more attribute: what it adds, and that nothing else notices."""

from __future__ import annotations

import pytest
import torch
from synthetic_avatar import synthetic_avatar

from perse.attributes import Category
from perse.avatar import Avatar, Subject, interpolate
from perse.avatar.added_parts import AttributeStart, joined, weights_of, without
from perse.avatar.canonical import OPACITY
from perse.avatar.part_bases import PartBases
from perse.avatar.points import MeshPrior
from perse.avatar.storage import load_avatar, save_avatar
from perse.errors import InputError

E, M = 7, 40


@pytest.fixture
def avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    made = synthetic_avatar(head_model, tiny_clips)
    with torch.no_grad():
        for basis in made.decoder.bases:  # type: ignore[union-attr]
            basis.normal_()
    return made


def start_for(decoder: PartBases, seed: int = 0) -> AttributeStart:
    draws = torch.Generator().manual_seed(seed)
    points = 0.1 * torch.rand(E, 3, generator=draws)
    joints = decoder.skinning_logits.shape[1]
    prior = MeshPrior(
        points, points, points, torch.zeros(E, *decoder.blend_basis.shape[1:]), torch.full((E, joints), 1 / joints)
    )
    attributes = torch.randn(E, 14, generator=draws)
    attributes[:, OPACITY] = -6
    shown = torch.zeros(E, 14)
    shown[:, OPACITY] = 8
    members = torch.randperm(len(decoder), generator=draws)[:M]
    return AttributeStart(prior, attributes, shown, members, torch.randn(M, 14, generator=draws))


def add(avatar: Avatar, category: Category, seed: int) -> int:
    """A subject with random features and its column; its row."""
    decoder = avatar.decoder
    assert isinstance(decoder, PartBases)
    k = category.index
    image, text = torch.randn(2, 64, generator=torch.Generator().manual_seed(seed + 10))
    old = [r for r in range(len(avatar.subjects)) if int(avatar.features_categories[r]) == k]
    row = avatar.add_subject(Subject(f"new-{seed}", category, f"new {seed}"), image, text)
    with torch.no_grad():
        offsets = avatar.subject_codes()[:, k] - avatar.latents.reference[k]
    own = [part.offset for part in decoder.parts if int(part.category) == k]
    others = [offsets[r] for r in old if not any(torch.allclose(offsets[r], one) for one in own)]
    decoder.add_part(category, offsets[row], torch.stack(others) if others else offsets[:0], start_for(decoder, seed))
    return row


@torch.no_grad()
def test_old_subjects_do_not_notice_and_the_new_one_is_its_column(avatar: Avatar) -> None:
    n, old = len(avatar.decoder), avatar.subject_codes()
    before = avatar.canonicalise(old).attributes
    row = add(avatar, Category.HAT, 0)
    after = avatar.canonicalise(old).attributes
    assert torch.equal(after[:, :n], before)
    assert (after[:, n:, OPACITY].sigmoid() < 1 / 255).all(), "rasterizers leave these out"

    shown = avatar.canonicalise(avatar.subject_codes()).attributes[row]
    decoder = avatar.decoder
    assert isinstance(decoder, PartBases)
    wanted = after[0].index_add(0, decoder.parts[0].members, decoder.parts[0].change * decoder.units)
    # Logits up to some tens, summed over bases in float32.
    torch.testing.assert_close(shown, wanted, atol=2e-4, rtol=1e-4)
    assert (shown[n:, OPACITY] > 1).all()


@torch.no_grad()
def test_the_way_to_the_new_subject_is_straight(avatar: Avatar) -> None:
    hat = next(r for r, s in enumerate(avatar.subjects) if s.category is Category.HAT)
    row = add(avatar, Category.HAT, 0)
    codes, reference = avatar.subject_codes(), avatar.latents.reference
    decoder = avatar.decoder
    assert isinstance(decoder, PartBases)
    half = interpolate(codes[hat], codes[row], 0.25)[None]
    weights = weights_of(decoder.parts, half, reference)
    assert float(weights) == pytest.approx(0.25, abs=1e-5)  # float32: a quotient of two norms of 32 numbers
    left = without(decoder.parts, weights, half, reference)
    # Float32: what is left is a difference of latents about one.
    torch.testing.assert_close(left[0], interpolate(codes[hat], reference, 0.25), atol=1e-5, rtol=0)


@torch.no_grad()
def test_two_columns_of_one_category_keep_apart_and_survive_storage(avatar: Avatar, tmp_path) -> None:  # type: ignore[no-untyped-def]
    first = add(avatar, Category.HAT, 0)
    alone = avatar.canonicalise(avatar.subject_codes()).attributes[: first + 1]
    n = alone.shape[1]
    second = add(avatar, Category.HAT, 1)
    together = avatar.canonicalise(avatar.subject_codes()).attributes
    # Float32 logits up to ten, whose sum has one part more.
    torch.testing.assert_close(together[: first + 1, :n], alone, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(together[second, :n], together[first, :n])

    save_avatar(avatar, tmp_path)
    again = load_avatar(tmp_path)
    assert torch.equal(again.canonicalise(again.subject_codes()).attributes, together)
    assert again.subjects == avatar.subjects


def test_a_code_that_others_span_is_refused_and_nothing_changes(avatar: Avatar) -> None:
    decoder = avatar.decoder
    assert isinstance(decoder, PartBases)
    k = Category.HAT.index
    with torch.no_grad():
        offsets = (avatar.subject_codes()[:, k] - avatar.latents.reference[k])[avatar.features_categories == k]
    n = len(decoder)
    with pytest.raises(InputError, match="give it another --name"):
        decoder.add_part(Category.HAT, offsets[0] * 1.5, offsets, start_for(decoder))
    with pytest.raises(InputError, match="no room for another hat"):
        decoder.add_part(Category.HAT, torch.randn(8), torch.randn(8, 8), start_for(decoder))
    assert len(decoder) == n and not decoder.parts


def test_changes_of_one_category_add_up_where_they_meet() -> None:
    a, b = torch.ones(2, 14), 2 * torch.ones(2, 14)
    members, total = joined([(torch.tensor([5, 1]), a), (torch.tensor([5, 9]), b)])
    assert members.tolist() == [1, 5, 9]
    assert total[:, 0].tolist() == [1, 3, 2]
