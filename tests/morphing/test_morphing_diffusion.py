"""What the diffusion teachers stand on: latents, DDIM both ways, adapters by row, attention that is put back."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_diffusion import discs, save_tiny_diffusion, tiny_config
from tolerances import SINGLE, SINGLE_SUM

from perse.data.workspace import Workspace
from perse.errors import GenerationError, MissingWeightsError, WorkspaceError
from perse.morphing.diffusion import Adapter, LatentDiffusion, LatentDiffusionConfig, lerp_adapters
from perse.morphing.diffusion.adapters import adapter_file, load_adapter, save_adapter
from perse.morphing.diffusion.attention import (
    Attending,
    AttentionInputs,
    AttentionToEnds,
    KeyValueInput,
    decoder_self_attention,
    processors,
    self_attention,
)
from perse.morphing.diffusion.batched_lora import RowAdapters, adapted
from perse.morphing.diffusion.ddim import invert, sample
from perse.morphing.diffusion.latents import adain, keep_low_frequencies, slerp
from perse.synthesis.production.model_store import Weights


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def random_adapter(model: LatentDiffusion, seed: int, scale: float = 0.3) -> Adapter:
    """Factors of rank 4 for all attention, as peft names them."""
    generator, tensors = torch.Generator().manual_seed(seed), {}
    for name, module in model.unet.named_modules():
        if name.rsplit(".", 1)[-1] in ("to_q", "to_k", "to_v") or name.endswith("to_out.0"):
            out, into = module.weight.shape
            tensors[f"{name}.lora_A.weight"] = scale * torch.randn(4, into, generator=generator)
            tensors[f"{name}.lora_B.weight"] = scale * torch.randn(out, 4, generator=generator)
    return Adapter(tensors)


# Latents


@given(st.floats(0, 1))
def test_slerp_keeps_the_length_of_noise(t: float) -> None:
    a, b = noise(4, 16, 16), noise(4, 16, 16, seed=1)
    lengths = a.norm(), b.norm()
    between = slerp(a, b, [t])[0].norm()
    # A lerp's middle would be shorter by a third.
    assert min(lengths) * 0.97 < between < max(lengths) * 1.03


def test_slerp_starts_and_stops_at_its_ends() -> None:
    a, b = noise(4, 8, 8), noise(4, 8, 8, seed=1)
    assert torch.allclose(slerp(a, b, [0.0, 1.0]), torch.stack([a, b]), atol=SINGLE)


def test_slerp_of_the_same_is_the_same() -> None:
    a = noise(4, 8, 8)
    assert torch.allclose(slerp(a, a, [0.3])[0], a, atol=SINGLE)


def test_slerp_walks_at_an_even_pace() -> None:
    a, b = noise(4, 8, 8), noise(4, 8, 8, seed=1)
    path = slerp(a, b * (a.norm() / b.norm()), [i / 8 for i in range(9)])
    steps = (path[1:] - path[:-1]).flatten(1).norm(dim=1)
    assert torch.allclose(
        steps, steps.mean().expand_as(steps), rtol=1e-4
    )  # differences of neighbours: three of seven digits cancel


def test_adain_gives_the_statistics_that_lie_between() -> None:
    a, b = 2 * noise(4, 16, 16) + 1, 0.5 * noise(4, 16, 16, seed=1) - 3
    mixed = adain(noise(2, 4, 16, 16, seed=2), a, b, [0.25, 0.75])
    for row, t in zip(mixed, (0.25, 0.75), strict=True):
        mean = (1 - t) * a.mean((1, 2)) + t * b.mean((1, 2))
        std = (1 - t) * a.std((1, 2)) + t * b.std((1, 2))
        assert torch.allclose(row.mean((1, 2)), mean, atol=1e-4)  # over 64 values, divided by their deviation
        assert torch.allclose(row.std((1, 2)), std, rtol=1e-3)


def test_low_frequencies_stay_and_high_ones_are_the_noises() -> None:
    rows = torch.arange(16.0)
    slow = torch.cos(2 * torch.pi * rows / 16)[:, None].expand(1, 16, 16)
    fast = torch.cos(torch.pi * rows)[:, None].expand(1, 16, 16)
    mixed = keep_low_frequencies((slow + fast)[None], torch.zeros(1, 16, 16), 0.8)
    assert torch.allclose(mixed[0], slow, atol=SINGLE_SUM)
    everything = keep_low_frequencies((slow + fast)[None], noise(1, 16, 16), 1.0)
    assert torch.allclose(everything[0], slow + fast, atol=SINGLE_SUM)


# DDIM


def test_sampling_leads_back_to_what_was_inverted(tiny_model: LatentDiffusion) -> None:
    latents, _ = tiny_model.encode(discs(2, 5))
    errors = []
    for steps in (10, 40):
        up = invert(tiny_model, latents, tiny_model.text(""), steps)
        back = sample(tiny_model, up, tiny_model.text(""), steps)
        errors.append(float((back - latents).pow(2).mean().sqrt() / latents.std()))
    # Inversion takes each step's prediction from the other end of the step: an error of first order in its length, a
    # quarter where steps are short; these are long (0.38 here). An error of half an order would leave a half.
    assert errors[1] < 0.5 * errors[0]
    # Sampling multiplies every error by 1/sqrt(ᾱ_T), about 15: 0.34 is left here, and 1 is a picture of noise.
    assert errors[1] < 0.6


def test_a_part_of_the_way_is_a_part_of_the_way(tiny_model: LatentDiffusion) -> None:
    latents, text = noise(1, *tiny_model.latent_shape), tiny_model.text("")
    half = sample(tiny_model, latents, text, 6, last=3)
    assert torch.equal(sample(tiny_model, half, text, 6, first=3), sample(tiny_model, latents, text, 6))


def test_the_unets_work_is_counted(tiny_diffusion: LatentDiffusionConfig) -> None:
    model = tiny_diffusion.load()
    sample(model, noise(3, *model.latent_shape), model.text(""), 5)
    assert (model.unet_calls, model.unet_rows) == (5, 15)


# Adapters


def test_each_row_has_its_own_adapter(tiny_model: LatentDiffusion) -> None:
    adapters = [random_adapter(tiny_model, seed) for seed in range(3)]
    latents, text = noise(3, *tiny_model.latent_shape), tiny_model.text("")
    time = torch.tensor(500)
    with torch.no_grad():
        with adapted(tiny_model.unet, RowAdapters.of(adapters, torch.float32)):
            together = tiny_model.predict(latents, time, text)
        for row, adapter in enumerate(adapters):
            with adapted(tiny_model.unet, RowAdapters.of([adapter], torch.float32)):
                alone = tiny_model.predict(latents[row : row + 1], time, text)
            # A product of three rows may be summed in another order than one of one.
            assert torch.allclose(together[row], alone[0], atol=SINGLE_SUM)
        plain = tiny_model.predict(latents, time, text)
        assert (together - plain).abs().max() > 500 * SINGLE_SUM, "the adapters do something"


def test_interpolated_adapters_are_the_lerp_that_peft_would_load(tiny_diffusion: LatentDiffusionConfig) -> None:
    from peft import LoraConfig, set_peft_model_state_dict

    model = tiny_diffusion.load()
    first, second = random_adapter(model, 0), random_adapter(model, 1)
    latents, text = noise(1, *model.latent_shape), model.text("")
    time = torch.tensor(300)
    with torch.no_grad(), adapted(model.unet, RowAdapters.between(first, second, [0.3], torch.float32)):
        ours = model.predict(latents, time, text)
    model.unet.add_adapter(LoraConfig(r=4, lora_alpha=4, target_modules=["to_q", "to_k", "to_v", "to_out.0"]))
    set_peft_model_state_dict(model.unet, dict(lerp_adapters(first, second, 0.3).tensors))
    with torch.no_grad():
        theirs = model.predict(latents, time, text)
    assert torch.allclose(ours, theirs, atol=SINGLE_SUM)


def test_the_lerp_of_factors_is_not_the_sum_of_products(tiny_model: LatentDiffusion) -> None:
    first, second = random_adapter(tiny_model, 0), random_adapter(tiny_model, 1)
    layer = first.layers[0]
    middle = lerp_adapters(first, second, 0.5)

    def product(adapter: Adapter) -> torch.Tensor:
        return adapter.tensors[f"{layer}.lora_B.weight"] @ adapter.tensors[f"{layer}.lora_A.weight"]

    # A hundred times float32's rounding: they differ for another reason.
    assert not torch.allclose(product(middle), (product(first) + product(second)) / 2, atol=1e-3)
    assert torch.allclose(product(lerp_adapters(first, second, 1.0)), product(second), atol=SINGLE)


def test_an_adapter_comes_back_to_the_bit(tiny_model: LatentDiffusion, tmp_path: Path) -> None:
    workspace, adapter = Workspace.open(tmp_path), random_adapter(tiny_model, 0)
    save_adapter(workspace, "k", adapter, {"clip": "c"})
    loaded = load_adapter(workspace, "k", "c")
    assert loaded.tensors.keys() == adapter.tensors.keys()
    assert all(torch.equal(loaded.tensors[name], tensor) for name, tensor in adapter.tensors.items())


def test_missing_damaged_and_foreign_adapters_are_named(tiny_model: LatentDiffusion, tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    with pytest.raises(MissingWeightsError, match=r"quarantine retry.*adapters/k\.safetensors for clip c"):
        load_adapter(workspace, "k", "c")
    workspace.write(adapter_file("k"), b"half a file")
    with pytest.raises(WorkspaceError, match="damaged"):
        load_adapter(workspace, "k", "c")
    layer = random_adapter(tiny_model, 0).layers[0]
    foreign = Adapter({f"{layer}.lora_A.weight": torch.zeros(4, 99), f"{layer}.lora_B.weight": torch.zeros(16, 4)})
    with (
        pytest.raises(MissingWeightsError, match="another UNet"),
        adapted(tiny_model.unet, RowAdapters.of([foreign], torch.float32)),
    ):
        pass
    with pytest.raises(ValueError, match="same configuration"):
        lerp_adapters(random_adapter(tiny_model, 0), foreign, 0.5)


# Attention


def test_attention_to_its_own_input_changes_nothing(tiny_model: LatentDiffusion) -> None:
    latents, text, time = noise(2, *tiny_model.latent_shape), tiny_model.text(""), torch.tensor(700)
    inputs = AttentionInputs()
    with torch.no_grad():
        ordinary = tiny_model.predict(latents, time, text)
        with processors(tiny_model.unet, decoder_self_attention, lambda n, o: KeyValueInput(n, o, inputs, True)):
            tiny_model.predict(latents, time, text)
            inputs.given = dict(inputs.seen)
            assert inputs.given and all(name.startswith("up_blocks") for name in inputs.given)
            same = tiny_model.predict(latents, time, text)
            inputs.given = {name: seen.flip(0) for name, seen in inputs.given.items()}
            other = tiny_model.predict(latents, time, text)
    assert torch.equal(same, ordinary)
    assert not torch.allclose(other, ordinary, atol=1e-4)  # far above float32's rounding


def test_attention_to_oneself_is_ordinary_and_to_an_end_is_the_ends(tiny_model: LatentDiffusion) -> None:
    latents, text, time = noise(3, *tiny_model.latent_shape), tiny_model.text(""), torch.tensor(700)
    attending = Attending()
    with torch.no_grad():
        ordinary = tiny_model.predict(latents, time, text)
        with processors(tiny_model.unet, self_attention, lambda _, o: AttentionToEnds(o, attending)):
            assert torch.equal(tiny_model.predict(latents, time, text), ordinary)
            attending.set(torch.tensor([[0.0, 1, 0]] * 3))
            assert torch.allclose(tiny_model.predict(latents, time, text), ordinary, atol=SINGLE_SUM)
            attending.set(torch.tensor([[0.0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]]))
            mixed = tiny_model.predict(latents, time, text)
    assert torch.allclose(mixed[[0, 2]], ordinary[[0, 2]], atol=SINGLE_SUM), "the ends look at themselves"
    assert not torch.allclose(mixed[1], ordinary[1], atol=1e-4)  # far above float32's rounding


def test_the_unet_is_put_back_even_after_an_error(tiny_model: LatentDiffusion) -> None:
    before = dict(tiny_model.unet.attn_processors)
    rows = RowAdapters.of([random_adapter(tiny_model, 0)], torch.float32)
    with (
        pytest.raises(KeyError),
        adapted(tiny_model.unet, rows),
        processors(tiny_model.unet, self_attention, lambda _, o: AttentionToEnds(o, Attending())),
    ):
        raise KeyError("in the middle")
    assert tiny_model.unet.attn_processors == before
    assert not any(module._forward_hooks for module in tiny_model.unet.modules())


# Bad checkpoints


@pytest.fixture
def copied(tiny_diffusion: LatentDiffusionConfig, tmp_path: Path) -> LatentDiffusionConfig:
    assert tiny_diffusion.weights.folder is not None
    folder = tmp_path / "copy"
    shutil.copytree(tiny_diffusion.weights.folder, folder)
    return replace(tiny_diffusion, weights=Weights(name="copy", folder=folder))


def rewrite(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def test_a_scheduler_without_ddim_is_refused(copied: LatentDiffusionConfig) -> None:
    rewrite(copied.weights.place() / "scheduler/scheduler_config.json", _class_name="FlowMatchEulerDiscreteScheduler")
    for look in (copied.load, copied.check_weights):
        with pytest.raises(MissingWeightsError, match="FlowMatchEulerDiscreteScheduler has no DDIM form"):
            look()


def test_another_unet_is_refused(copied: LatentDiffusionConfig, tmp_path: Path) -> None:
    save_tiny_diffusion(copied.weights.place(), channels=9)
    for look in (copied.load, copied.check_weights):
        with pytest.raises(MissingWeightsError, match="maps 9 to 4 channels"):
            look()
    save_tiny_diffusion(copied.weights.place(), text=16)
    for look in (copied.load, copied.check_weights):
        with pytest.raises(MissingWeightsError, match="other text than the encoder's 24"):
            look()


def test_the_folders_own_notes_are_enough_to_refuse_it(copied: LatentDiffusionConfig) -> None:
    """Before a build pays for edits and clips; no tensor is read."""
    place = copied.weights.place()
    for file in place.rglob("*.safetensors"):
        file.write_bytes(b"no tensors")
    copied.check_weights()
    for content in ("{half a note", "[]", "[1]"):
        (place / "unet/config.json").write_text(content)
        with pytest.raises(MissingWeightsError, match=r"unet/config\.json cannot be read.*in diffusers' layout"):
            copied.check_weights()


def test_what_is_missing_is_named(copied: LatentDiffusionConfig) -> None:
    shutil.rmtree(copied.weights.place() / "unet")
    with pytest.raises(MissingWeightsError, match="UNet2DConditionModel"):
        copied.load()
    with pytest.raises(MissingWeightsError, match=r"sd-2.1-base.*perse models fetch"):
        LatentDiffusionConfig().load()


def test_an_odd_size_is_refused(tiny_diffusion: LatentDiffusionConfig) -> None:
    for look in (replace(tiny_diffusion, size_px=30).load, replace(tiny_diffusion, size_px=30).check_weights):
        with pytest.raises(MissingWeightsError, match="multiple of 4"):
            look()


def test_a_vae_that_makes_nan_is_refused(tmp_path: Path) -> None:
    """One NaN among its weights, and every picture was black: a target like any other."""
    save_tiny_diffusion(tmp_path)
    model = tiny_config(tmp_path).load()
    model.vae.decoder.conv_out.weight.data[0, 0, 0, 0] = torch.nan
    with pytest.raises(GenerationError, match=r"the VAE.s pictures are NaN or infinite.*fetch the weights again"):
        model.decode(torch.zeros(1, *model.latent_shape), (32, 32))


def test_nan_latents_are_refused(tiny_model: LatentDiffusion) -> None:
    with pytest.raises(GenerationError, match="NaN or infinite"):
        tiny_model.decode(torch.full((1, *tiny_model.latent_shape), torch.nan), (32, 32))


def test_pictures_of_another_size_are_resized_both_ways(tiny_model: LatentDiffusion) -> None:
    latents, _ = tiny_model.encode(np.zeros((1, 48, 48, 3), np.uint8))
    assert latents.shape[1:] == tiny_model.latent_shape
    assert tiny_model.decode(latents, (48, 48))[0].shape == (48, 48, 3)
