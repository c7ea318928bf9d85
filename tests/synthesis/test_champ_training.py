"""portrait-Champ's step: noise, loss, state; what it looks at; latents; windows."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers", reason="the production extra is not installed")

from champ_tiny_networks import SIZES, batch, networks
from tolerances import CHAIN

from perse.errors import RecipeError, StageError
from perse.synthesis.production.portrait_champ import (
    BlockLatentsConfig,
    ChampTrainer,
    ChampTrainingConfig,
    EightBitAdamConfig,
    NoiseSchedule,
    SamplingConfig,
)
from perse.synthesis.production.portrait_champ.footage_sampler import (
    Take,
    held_out_frames,
    sample_footage,
    training_frames,
)
from perse.synthesis.production.portrait_champ.latents import NORMAL_STATISTICS, PICTURE_STATISTICS, SdVae
from perse.synthesis.production.portrait_champ.noise import min_snr_weights, offset_noise
from perse.synthesis.production.portrait_champ.sampling import sample
from perse.synthesis.production.portrait_champ.sharing import WholeWeights
from perse.synthesis.production.portrait_champ.training import learning_rate
from perse.synthesis.production.portrait_champ.windows import blended, context_windows, window_weights

STILL = ChampTrainingConfig(iterations=10, batch=2, rate=1e-2, warm_up=2)


# The step


def test_the_loss_falls_under_the_same_noise() -> None:
    trainer, given = ChampTrainer(networks(), replace(STILL, unconditional=0.0)), batch(2)
    before = float(trainer.loss(given)[0].detach())
    for _ in range(25):
        trainer.step(given)
    trainer.step_number = 0  # whose noise the first loss was measured with
    assert float(trainer.loss(given)[0].detach()) < 0.85 * before


def test_a_restored_trainer_goes_on_as_if_never_stopped() -> None:
    straight, first = ChampTrainer(networks(), STILL), ChampTrainer(networks(), STILL)
    for _ in range(4):
        straight.step(batch())
    for _ in range(2):
        first.step(batch())
    second = ChampTrainer(networks(SIZES, speak=False), STILL)
    second.restore(first.step_number, {name: value.clone() for name, value in first.state().items()})
    for _ in range(2):
        second.step(batch())
    expected, found = straight.state(), second.state()
    assert expected.keys() == found.keys()
    assert all(torch.equal(found[name], value) for name, value in expected.items())


def test_a_state_of_other_networks_is_refused() -> None:
    moving = ChampTrainer(networks(moves=True), replace(STILL, frames=2))
    with pytest.raises(RecipeError, match="is of other networks"):
        ChampTrainer(networks(), STILL).restore(1, moving.state())


def test_the_second_stage_moves_motion_modules_alone() -> None:
    trainer = ChampTrainer(networks(moves=True), replace(STILL, frames=3))
    before = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    for _ in range(2):
        trainer.step(batch(1, frames=3))
    changed = {name for name, value in trainer.networks.state_dict().items() if not torch.equal(value, before[name])}
    assert changed and all("motion_modules" in name for name in changed)


def test_averaged_weights_are_lent_and_given_back() -> None:
    trainer = ChampTrainer(networks(), STILL)
    for _ in range(3):
        trainer.step(batch())
    own = {name: value.clone() for name, value in trainer.networks.state_dict().items()}
    with trainer.averaging() as lent:
        name = "denoiser.unet.conv_in.weight"
        assert torch.equal(lent.state_dict()[name], trainer.averaged()[name])
        assert not torch.equal(lent.state_dict()[name], own[name])
    assert all(torch.equal(value, own[name]) for name, value in trainer.networks.state_dict().items())


def test_workers_draw_different_noise_and_the_same_twice() -> None:
    trainers = [ChampTrainer(networks(), STILL, WholeWeights(rank)) for rank in (0, 0, 1)]
    losses = [float(trainer.loss(batch())[0].detach()) for trainer in trainers]
    assert losses[0] == losses[1] != losses[2]


def test_half_precision_and_less_memory_give_nearly_the_same_step() -> None:
    plain = ChampTrainer(networks(), STILL).step(batch())
    lean = ChampTrainer(networks(), replace(STILL, precision="bfloat16", save_memory=True)).step(batch())
    # bfloat16 keeps eight bits: half a per cent in every product.
    assert lean.loss == pytest.approx(plain.loss, rel=0.03) and lean.gradient == pytest.approx(plain.gradient, rel=0.1)


def test_the_rate_rises_and_falls() -> None:
    config = replace(STILL, iterations=100, warm_up=10, final_rate=0.1)
    rates = [learning_rate(config, step) / config.rate for step in range(100)]
    assert rates[0] == pytest.approx(0.1) and max(rates) == rates[9] and rates[99] == pytest.approx(0.109)
    constant = replace(config, final_rate=1.0)
    assert learning_rate(constant, 99) == constant.rate


def test_eight_bit_moments_need_their_package() -> None:
    if importlib.util.find_spec("bitsandbytes") is not None:
        pytest.skip("bitsandbytes is installed")
    with pytest.raises(RecipeError, match="pip install bitsandbytes, or use AdamConfig"):
        ChampTrainer(networks(), replace(STILL, optimiser=EightBitAdamConfig()))


# Noise


def test_the_schedule_ends_without_signal_and_sampling_starts_there() -> None:
    scheduler = NoiseSchedule().build()
    # Float32: the schedule is shifted to end at zero.
    assert float(scheduler.alphas_cumprod[-1]) == pytest.approx(0, abs=1e-7)
    scheduler.set_timesteps(20)
    assert int(scheduler.timesteps[0]) == 999


def test_min_snr_weights() -> None:
    signal = torch.tensor([0.999, 0.9, 0.5, 0.0])
    snr = signal / (1 - signal)
    expected = torch.minimum(snr + 1, torch.tensor(5.0)) / (snr + 1)
    found = min_snr_weights(signal, torch.arange(4), 5.0)
    torch.testing.assert_close(found, expected)
    assert found[-1] == 1 and found[0] < 0.01  # by hand: (1 / 1000) · 5 is .005


def test_offset_noise_shifts_whole_pictures_and_all_frames_of_a_clip_alike() -> None:
    def drawn(strength: float) -> Tensor:
        return offset_noise((2, 2, 3, 4, 5, 5), strength, torch.Generator().manual_seed(0))

    shift = drawn(0.5) - drawn(0.0)
    # Float32: a difference of two numbers about one.
    assert (shift - shift[:, :, :1, :, :1, :1]).abs().max() < 1e-5 and shift.std() > 0.1


# What is looked at

TAKES = [Take(str(i), f"{i}.mp4", 40 + i, 512 if i % 2 else 256, 24 if i < 4 else 16) for i in range(8)]


def test_a_steps_samples_fit_into_one_batch_and_leave_held_out_frames_alone() -> None:
    buckets = set()
    by_key = {take.key: take for take in TAKES}
    for step in range(60):
        ranks = [
            sample_footage(TAKES, seed=0, step=step, rank=rank, world=2, batch=6, frames=24, stride=2, held_out_every=5)
            for rank in range(2)
        ]
        samples = [one for rank in ranks for one in rank]
        assert len(samples) == 6
        sizes = {(by_key[one.key].size_px, len(one.frames)) for one in samples}
        assert len(sizes) == 1
        buckets |= sizes
        assert ranks[0] != ranks[1]
        for one in samples:
            held = set(held_out_frames(by_key[one.key].frames, 5))
            assert not held & {one.reference, *one.frames} and list(one.frames) == sorted(set(one.frames))
    assert buckets == {(512, 24), (256, 24), (512, 16), (256, 16)}


def test_frames_are_held_out_evenly_and_never_the_first() -> None:
    assert held_out_frames(10, 4) == [2, 6] and training_frames(10, 4) == [0, 1, 3, 4, 5, 7, 8, 9]
    assert held_out_frames(6, 2) == [1, 3, 5]


def test_a_batch_that_workers_cannot_share_is_one_line() -> None:
    with pytest.raises(StageError, match="a batch of 5 samples cannot be shared by 2 workers"):
        sample_footage(TAKES, seed=0, step=0, rank=0, world=2, batch=5, frames=1, stride=1, held_out_every=5)
    with pytest.raises(StageError, match="no video"):
        sample_footage([], seed=0, step=0, rank=0, world=1, batch=1, frames=1, stride=1, held_out_every=5)


# Latents


def test_all_frequencies_are_an_exact_inverse_and_few_are_the_nearest_smooth_picture() -> None:
    pictures = torch.rand(2, 3, 16, 24)
    exact = BlockLatentsConfig(block_px=8, kept=8).build(torch.device("cpu"))
    # Float32: two products of 64 terms.
    torch.testing.assert_close(exact.decode_pictures(exact.encode_pictures(pictures)), pictures, atol=1e-5, rtol=0)
    few = BlockLatentsConfig(block_px=8, kept=1).build(torch.device("cpu"))
    means = pictures.reshape(2, 3, 2, 8, 3, 8).mean((3, 5))
    found = few.decode_pictures(few.encode_pictures(pictures))
    torch.testing.assert_close(found[:, :, ::8, ::8], means, atol=1e-5, rtol=0)  # float32: a mean of 64 terms


def test_normals_are_brought_to_the_pictures_statistics_and_back() -> None:
    import tiny_checkpoints

    torch.manual_seed(3)
    vae = SdVae(tiny_checkpoints._vae(4).eval())
    pictures = torch.rand(2, 3, 16, 16)
    both = vae.encode(pictures, pictures)
    standard = [(both[:, 0] - NORMAL_STATISTICS[0]) / NORMAL_STATISTICS[1],
                (both[:, 1] - PICTURE_STATISTICS[0]) / PICTURE_STATISTICS[1]]  # fmt: skip
    torch.testing.assert_close(standard[0], standard[1])
    # Latents are brought to other statistics and back, then go through the network.
    torch.testing.assert_close(vae.decode_normals(both[:, 1]), vae.decode_pictures(both[:, 0]), **CHAIN)


def test_latents_are_in_float32_whatever_the_vae_is_in() -> None:
    """The UNets' weights are: on a GPU, where the VAE is in half precision, they would refuse anything else."""
    import tiny_checkpoints

    torch.manual_seed(3)
    vae = SdVae(tiny_checkpoints._vae(4).to(torch.bfloat16).eval())
    pictures = torch.rand(1, 3, 16, 16)
    found = vae.encode_pictures(pictures), vae.encode(pictures, pictures), vae.decode_pictures(torch.rand(1, 4, 8, 8))
    assert {one.dtype for one in found} == {torch.float32}


# Windows


@pytest.mark.parametrize("frames", [1, 5, 24, 25, 44, 45, 100, 513])
def test_windows_cover_every_frame_and_overlap(frames: int) -> None:
    windows = context_windows(frames, 24, 4)
    assert windows[0][0] == 0 and windows[-1][1] == frames
    assert {end - start for start, end in windows} == {min(frames, 24)}
    assert all(before[1] - after[0] >= 4 for before, after in pairwise(windows))


def test_windows_that_agree_blend_to_what_they_say() -> None:
    truth = torch.randn(2, 50, 3)
    torch.testing.assert_close(blended(lambda a, b: truth[:, a:b], 50, 24, 4, axis=1), truth)


def test_windows_that_disagree_fade_into_each_other() -> None:
    found = blended(lambda a, b: torch.full((b - a,), float(a > 0)), 12, 8, 4, axis=0)
    expected = []
    for frame in range(12):
        first = float(window_weights(8, 4)[frame]) if frame < 8 else 0.0
        second = float(window_weights(8, 4)[frame - 4]) if frame >= 4 else 0.0
        expected.append(second / (first + second))
    torch.testing.assert_close(found, torch.tensor(expected))
    assert (found.diff() >= 0).all() and found[0] == 0 and found[-1] == 1


def test_a_window_must_be_longer_than_its_overlap() -> None:
    with pytest.raises(ValueError, match="cannot share"):
        context_windows(10, 4, 4)


# Sampling


@torch.no_grad()
def test_sampling_is_deterministic_guided_and_knows_every_window() -> None:
    made, given = networks(moves=True), batch(1, frames=7)
    config = SamplingConfig(steps=3, guidance=1.0, window=4, overlap=1)

    def drawn(config: SamplingConfig, seed: int = 0) -> Tensor:
        return sample(made, given.reference, given.tokens, given.maps[0], config, seed=seed)

    plain = drawn(config)
    assert plain.shape == (2, 7, 4, 8, 8) and torch.isfinite(plain).all()
    assert torch.equal(plain, drawn(config)) and not torch.equal(plain, drawn(config, seed=1))
    # With guidance 1 the unconditional pass counts nothing; a little more moves the result a little.
    near = drawn(replace(config, guidance=1.0001))
    assert 0 < (near - plain).abs().max() < 0.05 and (drawn(replace(config, guidance=3.0)) - plain).abs().max() > 0.05


@torch.no_grad()
def test_v_and_latents_stay_in_float32_where_the_networks_compute_in_half(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU; a CPU is never asked to."""
    assert not SamplingConfig().arithmetic(torch.device("cpu"))._enabled
    monkeypatch.setattr(SamplingConfig, "arithmetic", lambda *_: torch.autocast("cpu", torch.bfloat16))
    made, given = networks(moves=True), batch(b=1, frames=3)
    seen: list[torch.dtype] = []
    made.denoiser.unet.mid_block.register_forward_hook(lambda *told: seen.append(told[2].dtype))
    config = SamplingConfig(steps=2, guidance=3.0)
    found = sample(made, given.reference, given.tokens, given.maps[0], config, seed=0)
    assert found.dtype == torch.float32 and found.isfinite().all()
    assert seen == [torch.bfloat16] * 4, "two steps, with the portrait and without it"
