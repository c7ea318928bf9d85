"""Latent codes: the algebra of edits."""

from __future__ import annotations

import pytest
import torch

from perse.attributes import CATEGORIES, Category
from perse.avatar.latents import (
    LatentConfig,
    LatentSpace,
    SubjectFeatures,
    interpolate,
    mix_edits,
    swap_parts,
)

ROWS = torch.tensor([-1, 0, 0, 4, 4, 5])


def features(spread: float = 1.0) -> SubjectFeatures:
    generator = torch.Generator().manual_seed(1)
    common = torch.randn(1, 64, generator=generator)
    image = common + spread * torch.randn(len(ROWS), 64, generator=generator)
    text = common + spread * torch.randn(len(ROWS), 64, generator=generator)
    return SubjectFeatures(image, text, ROWS)


def space(spread: float = 1.0) -> LatentSpace:
    config = LatentConfig(features=64, hidden=32, dimensions=8)
    return LatentSpace(config, [Category.HAT, Category.BEARD], features(spread))


def test_absent_parts_share_one_zero_code_exactly() -> None:
    latents = space()
    reference = latents.reference
    assert torch.equal(reference[Category.HAT.index], latents.zero)
    assert torch.equal(reference[Category.BEARD.index], latents.zero)
    assert not torch.equal(reference[Category.HAIR.index], latents.zero)


def test_gradients_of_absent_rows_all_reach_the_zero_code() -> None:
    latents = space()
    latents.reference.sum().backward()
    assert torch.equal(latents.zero.grad, torch.full_like(latents.zero, 2.0))
    assert not latents.learned_reference.grad[Category.HAT.index].any()


def test_a_subject_differs_from_the_reference_in_its_own_row_only() -> None:
    latents = space()
    codes, reference = latents(features()), latents.reference
    for code, row in zip(codes, ROWS.tolist(), strict=True):
        for k in range(len(CATEGORIES)):
            assert torch.equal(code[k], reference[k]) == (k != row)


def test_codes_stay_apart_however_alike_the_features_are() -> None:
    """CLIP features of two edits of one portrait agree to within per cent; their codes must not collapse."""
    for spread in (1.0, 1e-3):
        latents = space(spread)
        codes = latents.encode(features(spread)[torch.tensor([1, 2])])
        assert (codes[0] - codes[1]).norm() > 0.5


@pytest.mark.parametrize("rows", [[-1, 0, 4, 5], [-1, 3], [-1, 0, 0, 4]], ids=["one each", "one in all", "two and one"])
def test_a_category_with_one_subject_is_seen(rows: list[int]) -> None:
    """As a deviation from itself its features would be zero, and neither picture nor prompt would count."""
    generator = torch.Generator().manual_seed(2)
    subjects = SubjectFeatures(*torch.randn(2, len(rows), 64, generator=generator), torch.tensor(rows))
    latents = LatentSpace(LatentConfig(features=64, hidden=32, dimensions=8), [], subjects)
    for row in range(1, len(rows)):
        seen = subjects[row : row + 1]
        other = SubjectFeatures(-seen.image, seen.text, seen.categories)
        assert (latents.encode(seen) - latents.encode(other)).norm() > 0.1, "another picture has another code"
        latents.zero_grad()
        latents.encode(seen).sum().backward()
        assert latents.encoder[0].weight.grad.abs().max() > 1e-4
    codes = latents.encode(subjects[torch.arange(1, len(rows))])
    assert codes.isfinite().all() and codes.abs().max() < 20


def test_two_subjects_that_agree_to_the_bit_do_not_blow_up() -> None:
    one = torch.randn(1, 64, generator=torch.Generator().manual_seed(3))
    subjects = SubjectFeatures(one.repeat(3, 1), one.repeat(3, 1), torch.tensor([-1, 2, 2]))
    latents = LatentSpace(LatentConfig(features=64, hidden=32, dimensions=8), [], subjects)
    assert latents(subjects).isfinite().all() and latents(subjects).abs().max() < 20


def test_swapping_back_restores_a_code_and_swapping_all_gives_the_donor() -> None:
    a, b = torch.randn(2, len(CATEGORIES), 8)
    swapped = swap_parts(a, b, [Category.HAIR, Category.NOSE])
    assert torch.equal(swapped[Category.HAIR.index], b[Category.HAIR.index])
    assert torch.equal(swap_parts(swapped, a, [Category.HAIR, Category.NOSE]), a)
    assert torch.equal(swap_parts(a, b, CATEGORIES), b)


def test_a_mix_takes_each_row_from_its_own_edit() -> None:
    reference = torch.randn(len(CATEGORIES), 8)
    hair, hat = torch.randn(2, 8)
    mixed = mix_edits(reference, {Category.HAIR: hair, Category.HAT: hat})
    assert torch.equal(mixed[Category.HAIR.index], hair)
    assert torch.equal(mixed[Category.HAT.index], hat)
    others = [c.index for c in CATEGORIES if c not in (Category.HAIR, Category.HAT)]
    assert torch.equal(mixed[others], reference[others])


def test_interpolation_has_exact_ends_and_is_linear() -> None:
    a, b = torch.randn(2, len(CATEGORIES), 8)
    assert torch.equal(interpolate(a, b, 0.0), a)
    assert torch.equal(interpolate(a, b, 1.0), b)
    torch.testing.assert_close(interpolate(a, b, 0.25), a + 0.25 * (b - a))
    b[3:] = a[3:]
    for alpha in (1 / 6, 0.3, 0.7):
        assert torch.equal(interpolate(a, b, alpha)[3:], a[3:])
    torch.testing.assert_close(interpolate(a, b, 0.25), interpolate(b, a, 0.75))
