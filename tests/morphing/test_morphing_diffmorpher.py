"""DiffMorpher on a tiny Stable Diffusion: exact ends, nothing left behind, cached or not the same, few calls."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_diffusion import STEPS

from perse.errors import GenerationError, MissingWeightsError
from perse.morphing import DiffMorpher, DiffMorpherConfig, Morph, MorphEnd
from perse.morphing import diffmorpher as diffmorpher_module
from perse.morphing.reschedule import RescheduleConfig, even_positions
from perse.synthesis.production import generation
from perse.synthesis.production.segmenter import TorchscriptSegmenterConfig

End = Callable[..., MorphEnd]
ALPHAS = [k / 6 for k in range(1, 6)]
RECORDED = 4
"""60 % of six steps, rounded up."""


@pytest.fixture(scope="module")
def morpher(diffmorpher: DiffMorpherConfig) -> DiffMorpher:
    return diffmorpher.build()


def same(first: Morph, second: Morph) -> bool:
    return np.array_equal(first.images, second.images) and np.array_equal(first.alphas, second.alphas)


def test_ends_are_exact(morpher: DiffMorpher, end: End) -> None:
    first, second = end("red"), end("blue")
    morph = morpher.morph(first, second, [0, 0.5, 1])
    assert morph.shapes is not None
    for row, pivot in ((0, first), (2, second)):
        assert np.array_equal(morph.images[row], pivot.image)
        assert np.array_equal(morph.alphas[row], pivot.alpha)
        assert np.array_equal(morph.shapes[row], pivot.shape)
    assert not np.array_equal(morph.images[1], first.image)


def test_a_second_call_equals_the_first(morpher: DiffMorpher, end: End) -> None:
    processors = dict(morpher.model.unet.attn_processors)
    once = morpher.morph(end("red"), end("blue"), ALPHAS)
    again = morpher.morph(end("red"), end("blue"), ALPHAS)
    assert same(once, again)
    assert morpher.model.unet.attn_processors == processors
    assert not any(module._forward_hooks for module in morpher.model.unet.modules())


def test_what_is_remembered_changes_no_bit(diffmorpher: DiffMorpherConfig, morpher: DiffMorpher, end: End) -> None:
    fresh = replace(diffmorpher, ends_mib=0, adapters_mib=0).build()
    morpher.morph(end("red"), end("green"), ALPHAS)  # red is known from another pair
    warm, cold = (one.morph(end("red"), end("blue"), ALPHAS) for one in (morpher, fresh))
    assert same(warm, cold)
    assert cold.cost.ends_made == 2


def test_the_work_of_a_pair_and_of_an_end(diffmorpher: DiffMorpherConfig, end: End) -> None:
    morpher = diffmorpher.build()
    an_end = STEPS + RECORDED
    first = morpher.morph(end("red"), end("blue"), ALPHAS).cost
    assert (first.ends_made, first.ends_found) == (2, 0)
    assert first.unet_calls == STEPS + 2 * an_end and first.unet_rows == 5 * STEPS + 2 * an_end
    second = morpher.morph(end("red"), end("green"), ALPHAS).cost
    assert (second.ends_made, second.ends_found) == (1, 1)
    assert second.unet_calls == STEPS + an_end
    assert morpher.morph(end("blue"), end("green"), ALPHAS).cost.unet_calls == STEPS


def test_another_frame_is_another_end(morpher: DiffMorpher, end: End) -> None:
    here, there = (morpher.morph(end("red", frame), end("blue", frame), [0.5]) for frame in (0, 3))
    assert not np.array_equal(here.images, there.images)


def test_a_position_does_not_depend_on_the_others(diffmorpher: DiffMorpherConfig, end: End) -> None:
    alone = replace(diffmorpher, alphas_at_once=1).build().morph(end("red"), end("blue"), ALPHAS)
    together = diffmorpher.build().morph(end("red"), end("blue"), ALPHAS)
    # A matrix product of five rows may round otherwise than one of one, and a grey level may tip over.
    assert np.abs(alone.images.astype(int) - together.images).max() <= 2


def test_turning_the_morph_around_changes_nothing(morpher: DiffMorpher, end: End) -> None:
    forth = morpher.morph(end("red"), end("blue"), [0.25, 0.5]).images
    back = morpher.morph(end("blue"), end("red"), [0.75, 0.5]).images
    assert np.abs(forth.astype(int) - back).max() <= 2


def test_attention_and_adapters_have_a_say(diffmorpher: DiffMorpherConfig, end: End, morpher: DiffMorpher) -> None:
    with_both = morpher.morph(end("red"), end("blue"), [0.5]).images
    alone = replace(diffmorpher, attention_share=0.0).build()
    without_attention = alone.morph(end("red"), end("blue"), [0.5])
    assert not np.array_equal(with_both, without_attention.images)
    assert without_attention.cost.unet_calls == 3 * STEPS
    red = end("red")
    assert red.origin is not None
    other_adapter = replace(red, origin=replace(red.origin, clip="green"))
    assert not np.array_equal(with_both, morpher.morph(other_adapter, end("blue"), [0.5]).images)


def test_an_end_is_reproduced_as_well_as_the_vae_allows(diffmorpher: DiffMorpherConfig, end: End) -> None:
    errors = []
    for steps in (6, 24):
        morpher = replace(diffmorpher, steps=steps).build()
        latents, _ = morpher.model.encode(end("green").image[None])
        best = morpher.model.decode(latents, (32, 32))[0].astype(float)
        errors.append(np.abs(morpher.reproduced(end("green")) - best).mean())
    assert errors[1] < 0.7 * errors[0]


def test_memory_that_does_not_suffice_halves_the_batch(
    diffmorpher: DiffMorpherConfig, end: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    morpher = diffmorpher.build()
    expected = morpher.morph(end("red"), end("blue"), ALPHAS)
    predict, largest = morpher.model.predict, 2

    def narrow(latents: torch.Tensor, timestep: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        if len(latents) > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return predict(latents, timestep, text)

    monkeypatch.setattr(morpher.model, "predict", narrow)
    for module in (diffmorpher_module, generation):
        monkeypatch.setattr(module, "free_memory", lambda: None)  # collects garbage, for seconds in a large test run
    halved = morpher.morph(end("red"), end("blue"), ALPHAS)
    assert np.abs(halved.images.astype(int) - expected.images).max() <= 2
    largest = 0
    with pytest.raises(GenerationError, match="out of memory with a single picture: choose a smaller size_px, or"):
        morpher.morph(end("red"), end("blue"), ALPHAS)
    with pytest.raises(GenerationError, match="out of memory while inverting"):
        morpher.morph(end("red", 7), end("blue", 7), ALPHAS)
    assert not any(module._forward_hooks for module in morpher.model.unet.modules())


def test_bad_ends_are_refused(morpher: DiffMorpher, end: End) -> None:
    red = end("red")
    with pytest.raises(ValueError, match="give MorphEnd an origin"):
        morpher.morph(replace(red, origin=None), end("blue"), [0.5])
    assert red.origin is not None
    stranger = replace(red, origin=replace(red.origin, clip="nobody"))
    with pytest.raises(MissingWeightsError, match=r"no adapter: perse quarantine retry .* for clip nobody"):
        morpher.morph(stranger, end("blue"), [0.5])
    with pytest.raises(ValueError, match="between 0 and 1"):
        morpher.morph(red, red, [1.5])


def test_an_adapter_that_diverged_is_named(morpher: DiffMorpher, end: End) -> None:
    from perse.morphing.diffusion import Adapter
    from perse.morphing.diffusion.adapters import load_adapter, save_adapter

    red = end("red")
    assert red.origin is not None
    key = morpher._config.lora.key("red")
    good = load_adapter(red.origin.workspace, key, "red")
    bad = Adapter({name: torch.full_like(tensor, torch.nan) for name, tensor in good.tensors.items()})
    save_adapter(red.origin.workspace, morpher._config.lora.key("diverged"), bad, {})
    diverged = replace(red, origin=replace(red.origin, clip="diverged"))
    with pytest.raises(GenerationError, match="delete the adapter and train it again"):
        morpher.morph(diverged, end("blue"), [0.5])


def test_no_positions_no_pictures_and_no_work(morpher: DiffMorpher, end: End) -> None:
    morph = morpher.morph(end("red"), end("blue"), [])
    assert morph.images.shape == (0, 32, 32, 3) and morph.cost.unet_calls == 0


def test_masks_come_from_the_parser_where_there_is_one(
    diffmorpher: DiffMorpherConfig, end: End, morpher: DiffMorpher, tmp_path
) -> None:  # type: ignore[no-untyped-def]
    class LeftIsHat(torch.nn.Module):
        """Left half headwear (class 17), right half background, whatever it sees."""

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            logits = torch.zeros((pixels.shape[0], 19, pixels.shape[2], pixels.shape[3]))
            logits[:, 17, :, : pixels.shape[3] // 2] = 20.0
            logits[:, 0, :, pixels.shape[3] // 2 :] = 20.0
            return logits

    torch.jit.script(LeftIsHat()).save(str(tmp_path / "parser.pt"))
    parsing = replace(diffmorpher, segmenter=TorchscriptSegmenterConfig(file=tmp_path / "parser.pt")).build()
    parsed = parsing.morph(end("red"), end("blue"), [0.5])
    grown = morpher.morph(end("red"), end("blue"), [0.25, 0.75])
    assert parsed.shapes is not None and grown.shapes is not None
    assert parsed.shapes[0, :, :16].all() and not parsed.shapes[0, :, 16:].any()
    areas = [end("red").shape.sum(), *grown.shapes.sum((1, 2)), end("blue").shape.sum()]
    assert areas == sorted(areas), "without a parser the smaller part grows into the larger one"


# Reschedule


def test_even_positions_even_out_the_pace() -> None:
    positions = np.linspace(0, 1, 11)
    covered = positions**3  # a path that starts slowly
    even = even_positions(list(positions), list(np.diff(covered)), [0.25, 0.5, 0.75])
    assert np.allclose(np.interp(even, positions, covered), [0.25, 0.5, 0.75])
    assert even_positions([0, 0.5, 1], [0, 0], [0.3]) == [0.3], "nothing moves: nothing to even out"


def test_a_rescheduled_morph_says_where_its_pictures_lie(
    diffmorpher: DiffMorpherConfig, end: End, morpher: DiffMorpher
) -> None:
    even = replace(diffmorpher, reschedule=RescheduleConfig()).build()
    morph = even.morph(end("red"), end("blue"), [0.0, 0.25, 0.5, 0.75, 1.0])
    moved = [float(t) for t in morph.positions]
    assert moved[0] == 0 and moved[-1] == 1 and moved == sorted(moved)
    assert not np.allclose(moved, [0, 0.25, 0.5, 0.75, 1])
    # The pictures are those of the positions that it answers, which is where the avatar is to be asked too.
    direct = morpher.morph(end("red"), end("blue"), moved)
    assert np.abs(direct.images.astype(int) - morph.images).max() <= 2
