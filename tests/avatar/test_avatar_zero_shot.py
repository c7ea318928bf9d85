"""Words and pictures to codes, without training."""

from __future__ import annotations

import pytest
import torch

from perse.attributes import Category
from perse.avatar import Avatar
from perse.avatar.zero_shot import made_by, zero_shot_code
from perse.errors import InputError


@pytest.fixture(scope="module")
def avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    """Every edit a hair style, so that there are several of one category."""
    from synthetic_avatar import synthetic_avatar

    made = synthetic_avatar(head_model, tiny_clips)
    made.features_categories[1:] = Category.HAIR.index
    return made


def test_a_learned_subjects_features_give_its_code(avatar: Avatar) -> None:
    codes = avatar.subject_codes()
    for row in range(1, len(avatar.subjects)):
        own = avatar.features[torch.tensor([row])]
        for given in ({"image": own.image[0], "text": None}, {"image": None, "text": own.text[0]}):
            code = zero_shot_code(avatar, Category.HAIR, **given)
            distances = (codes[1:, Category.HAIR.index] - code).norm(dim=-1)
            assert int(distances.argmin()) == row - 1
            assert distances.min() < 0.2 * distances.sort().values[1]


def test_unknown_words_choose_one_of_the_subjects_when_there_are_few(avatar: Avatar) -> None:
    codes = avatar.subject_codes()[1:, Category.HAIR.index]
    own = avatar.features_text[1:]
    strangers = [10 * torch.randn(64, generator=torch.Generator().manual_seed(seed)) for seed in range(5)]
    for strange in (*strangers, own[:2].mean(0), own.mean(0)):  # the last fit several subjects alike
        code = zero_shot_code(avatar, Category.HAIR, image=None, text=strange)
        # Rounding alone: the subject's own features went through the same network.
        assert (codes - code).norm(dim=-1).min() < 1e-5 * codes.norm(dim=-1).max()


def test_what_was_never_learned_cannot_be_made_up(avatar: Avatar) -> None:
    with pytest.raises(InputError, match="learned no hat"):
        zero_shot_code(avatar, Category.HAT, image=None, text=torch.ones(64))
    with pytest.raises(ValueError, match="an image, a text"):
        zero_shot_code(avatar, Category.HAIR, image=None, text=None)


def test_an_encoder_is_recognised_by_what_it_makes_of_the_prompts(avatar: Avatar) -> None:
    assert made_by(avatar, avatar.features_text)
    assert not made_by(avatar, avatar.features_text.flip(0))
    assert not made_by(avatar, avatar.features_text[:, :10])
