"""The teacher without training, on a tiny Stable Diffusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from perse.morphing import FreeMorph, FreeMorphConfig, MorphEnd
from perse.morphing.diffusion import LatentDiffusionConfig

End = Callable[..., MorphEnd]
ALPHAS = [k / 6 for k in range(1, 6)]


@pytest.fixture(scope="module")
def config(tiny_diffusion: LatentDiffusionConfig) -> FreeMorphConfig:
    return FreeMorphConfig(model=tiny_diffusion, steps=10)


@pytest.fixture(scope="module")
def morpher(config: FreeMorphConfig) -> FreeMorph:
    return config.build()


def test_ends_are_exact_and_need_no_origin(morpher: FreeMorph, end: End) -> None:
    first, second = (replace(end(subject), origin=None) for subject in ("red", "blue"))
    morph = morpher.morph(first, second, [0, 0.5, 1])
    assert np.array_equal(morph.images[[0, 2]], np.stack([first.image, second.image]))


def test_a_second_call_equals_the_first(morpher: FreeMorph, end: End) -> None:
    processors = dict(morpher.model.unet.attn_processors)
    once, again = (morpher.morph(end("red"), end("blue"), ALPHAS) for _ in range(2))
    assert np.array_equal(once.images, again.images)
    assert morpher.model.unet.attn_processors == processors


def test_the_work_of_a_pair(morpher: FreeMorph, end: End) -> None:
    cost = morpher.morph(end("red"), end("blue"), ALPHAS).cost
    assert cost.unet_calls == 2 * 8 and cost.unet_rows == 2 * 8 * (5 + 2)


def test_a_position_does_not_depend_on_the_others(config: FreeMorphConfig, morpher: FreeMorph, end: End) -> None:
    alone = replace(config, alphas_at_once=1).build().morph(end("red"), end("blue"), ALPHAS)
    together = morpher.morph(end("red"), end("blue"), ALPHAS)
    # Rows of a batch of seven may be rounded otherwise than of three.
    assert np.abs(alone.images.astype(int) - together.images).max() <= 2


def test_turning_the_morph_around_changes_nothing(morpher: FreeMorph, end: End) -> None:
    forth = morpher.morph(end("red"), end("blue"), [0.25, 0.5]).images
    back = morpher.morph(end("blue"), end("red"), [0.75, 0.5]).images
    assert np.abs(forth.astype(int) - back).max() <= 2


def test_near_an_end_it_looks_like_the_end(config: FreeMorphConfig, end: End) -> None:
    morpher = replace(config, kept_frequencies=1.0).build()
    first, second = end("red"), end("blue")
    ends = [morpher.reproduced(one).astype(float) for one in (first, second)]
    near = morpher.morph(first, second, [0.05, 0.95]).images.astype(float)
    for row in (0, 1):
        assert np.abs(near[row] - ends[row]).mean() < np.abs(near[row] - ends[1 - row]).mean()


def test_the_seed_decides_about_the_noise(config: FreeMorphConfig, morpher: FreeMorph, end: End) -> None:
    reseeded = replace(config, seed=1).build().morph(end("red"), end("blue"), [0.5])
    assert not np.array_equal(reseeded.images, morpher.morph(end("red"), end("blue"), [0.5]).images)


def test_bad_numbers_are_refused(config: FreeMorphConfig) -> None:
    with pytest.raises(ValueError, match="strength"):
        replace(config, strength=0.0)
