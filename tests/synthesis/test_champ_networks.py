"""portrait-Champ's networks: the walk over diffusers' blocks, reference attention, the normal domain, storage."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

pytest.importorskip("diffusers", reason="the production extra is not installed")

from champ_tiny_networks import OWN_ENDS, SIZES, batch, networks
from tolerances import CHAIN

from perse.errors import MissingWeightsError
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.portrait_champ import ChampNetworks, ChampSizes, PretrainedStart
from perse.synthesis.production.portrait_champ.reference_attention import ReferenceReader, self_attentions
from perse.synthesis.production.portrait_champ.storage import TENSORS, load_networks, networks_to_files

BOTH = pytest.mark.parametrize("sizes", [SIZES, OWN_ENDS], ids=["shared trunk", "own ends"])


def predict(made: ChampNetworks, *, frames: int = 1, refer: bool = True) -> Tensor:
    given = batch(frames=frames)
    features = made.look(given.reference, given.tokens) if refer else None
    return made.denoiser(
        given.latents, torch.tensor([10, 700]), given.tokens, made.guide(given.maps), features
    )  # fmt: skip


@torch.no_grad()
def test_without_guidance_and_reference_the_picture_is_the_plain_unets() -> None:
    made, given = networks(), batch()
    silent = torch.zeros(2, 1, 8, 8, 8)
    found = made.denoiser(given.latents, torch.tensor([10, 700]), given.tokens, silent, None)
    unet = made.denoiser.unet
    expected = unet(given.latents[:, 0, 0], torch.tensor([10, 700]), encoder_hidden_states=given.tokens).sample
    # The same layers in the same order, in batches of another size: rounding only.
    torch.testing.assert_close(found[:, 0, 0], expected, **CHAIN)


@torch.no_grad()
def test_with_equal_first_layers_the_shared_trunk_treats_both_domains_alike() -> None:
    made, given = networks(), batch()
    twice = given.latents[:, :1].repeat(1, 2, 1, 1, 1, 1)
    features = made.look(given.reference, given.tokens)
    found = made.denoiser(twice, torch.tensor([5, 5]), given.tokens, made.guide(given.maps), features)
    torch.testing.assert_close(found[:, 0], found[:, 1], **CHAIN)
    made.denoiser.normal_in.weight.mul_(2)
    found = made.denoiser(twice, torch.tensor([5, 5]), given.tokens, made.guide(given.maps), features)
    assert (found[:, 0] - found[:, 1]).abs().max() > 1e-2


@torch.no_grad()
def test_own_ends_see_each_other_through_the_trunk() -> None:
    made, given = networks(OWN_ENDS), batch()
    silent, time = torch.zeros(2, 1, 8, 8, 8), torch.tensor([10, 700])
    before = made.denoiser(given.latents, time, given.tokens, silent, None)
    changed = given.latents.clone()
    changed[:, 1] += 1
    after = made.denoiser(changed, time, given.tokens, silent, None)
    assert (after - before)[:, 0].abs().max() > 1e-3 and (after - before)[:, 1].abs().max() > 1e-3


@BOTH
@torch.no_grad()
def test_fresh_motion_modules_change_nothing(sizes: ChampSizes) -> None:
    still, moving = networks(sizes), networks(sizes, moves=True, speak=False)
    missing, odd = moving.load_state_dict(still.state_dict(), strict=False)
    assert not odd and missing and all("motion_modules" in name for name in missing)
    one_by_one, together = predict(still, frames=3), predict(moving, frames=3)
    torch.testing.assert_close(together, one_by_one, **CHAIN)


@BOTH
@torch.no_grad()
def test_every_frame_sees_its_own_guidance_and_its_own_portrait(sizes: ChampSizes) -> None:
    made, given = networks(sizes), batch(frames=2)
    features = made.look(given.reference, given.tokens)
    time = torch.tensor([10, 700])

    def found(maps: Tensor, reference: Tensor) -> Tensor:
        shown = made.look(reference, given.tokens)
        return made.denoiser(given.latents, time, given.tokens, made.guide(maps), shown)

    plain = made.denoiser(given.latents, time, given.tokens, made.guide(given.maps), features)
    maps, reference = given.maps.clone(), given.reference.clone()
    maps[0, 1] = 1 - maps[0, 1]
    reference[1] += 1
    moved = (found(maps, reference) - plain).abs().amax((1, 3, 4, 5))  # [b, f]
    assert moved[0, 0] < 1e-5 < moved[0, 1] and (moved[1] > 1e-4).all()


@torch.no_grad()
def test_fresh_guidance_says_nothing_and_its_last_layer_hears_the_maps() -> None:
    encoder = networks(SIZES, speak=False).guidance.encoders["depth"]
    maps = torch.rand(2, 3, 16, 16)
    assert not encoder(maps).any()
    heard = encoder.steps(torch.nn.functional.silu(encoder.conv_in(maps)))
    assert heard.std() > 0.1


@torch.no_grad()
def test_reference_attention_equals_its_readable_twin() -> None:
    unet = networks().denoiser.unet
    name, attention = next(self_attentions(unet))
    reader = ReferenceReader(unet)
    own, reference = torch.randn(4, 5, 8), torch.randn(2, 7, 8)
    reader.show({other: reference for other, _ in self_attentions(unet)}, frames=2)
    found = attention(own)
    for picture in range(4):
        seen = torch.cat([own[picture], reference[picture // 2]])
        heads = []
        for head in range(2):
            part = slice(4 * head, 4 * head + 4)
            query, key = attention.to_q(own[picture])[:, part], attention.to_k(seen)[:, part]
            weights = (query @ key.T / 4**0.5).softmax(-1)
            heads.append(weights @ attention.to_v(seen)[:, part])
        expected = attention.to_out[0](torch.cat(heads, 1))
        torch.testing.assert_close(found[picture], expected, **CHAIN)
    reader.show(None, frames=2)
    assert (attention(own) - found).abs().max() > 1e-3, name


@BOTH
def test_saving_memory_leaves_gradients_alone(sizes: ChampSizes) -> None:
    gradients = []
    for saving in (False, True):
        made = networks(sizes).train()
        if saving:
            made.save_memory()
        predict(made).square().mean().backward()
        gradients.append({name: p.grad for name, p in made.frame_parameters() if p.grad is not None})
    plain, saved = gradients
    assert plain.keys() == saved.keys() and any(name.startswith("reference.") for name in plain)
    for name, gradient in plain.items():
        # Float32: recomputed activations are summed in another order.
        torch.testing.assert_close(saved[name], gradient, rtol=1e-3, atol=1e-6, msg=name)


@BOTH
def test_what_the_first_stage_trains_is_what_the_loss_reaches(sizes: ChampSizes) -> None:
    made = networks(sizes)
    predict(made).square().mean().backward()
    trained = {name for name, _ in made.frame_parameters()}
    reached = {name for name, p in made.named_parameters() if p.grad is not None}
    frozen = reached - trained
    assert all(name.startswith("reference.up_blocks.1.") for name in frozen)
    # The reference's cross-attention behind its last self-attention that is looked at leads nowhere.
    assert trained <= reached
    assert not list(made.motion_parameters()) and list(networks(sizes, moves=True).motion_parameters())


@torch.no_grad()
def test_weights_survive_storage(tmp_path: Path) -> None:
    made = networks(OWN_ENDS, moves=True)
    for name, content in networks_to_files(made, {}, "champ-tiny").items():
        (tmp_path / name).write_bytes(content)
    torch.testing.assert_close(predict(load_networks(tmp_path, OWN_ENDS), frames=2), predict(made, frames=2))


def test_weights_of_another_model_are_one_line(tmp_path: Path) -> None:
    for name, content in networks_to_files(networks(SIZES, moves=True), {}, "champ-tiny").items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(MissingWeightsError, match=r"of another model: it lacks denoiser\.normal_first.*recipe names"):
        load_networks(tmp_path, OWN_ENDS)
    with pytest.raises(MissingWeightsError, match=r"conv_in.weight is \[8, 4, 3, 3\], expected \[12, 4, 3, 3\]"):
        wider = ChampSizes(unet=type(SIZES.unet)(**{**vars(SIZES.unet), "channels": (12, 16)}), motion=SIZES.motion,
                           guidance=SIZES.guidance)  # fmt: skip
        load_networks(tmp_path, wider)
    with pytest.raises(MissingWeightsError, match="there is no file"):
        load_networks(tmp_path / "nowhere", SIZES)
    (tmp_path / TENSORS).write_bytes(b"no tensors")
    with pytest.raises(MissingWeightsError, match="no safetensors file"):
        load_networks(tmp_path, SIZES)


@torch.no_grad()
def test_training_starts_from_stable_diffusion_and_animatediff(tmp_path: Path) -> None:
    torch.manual_seed(7)
    unet, motion = SIZES.unet.build(), SIZES.motion.build(SIZES.unet)
    unet.save_pretrained(tmp_path / "sd" / "unet")
    motion.save_pretrained(tmp_path / "motion")
    start = PretrainedStart(
        unet=Weights(name="sd", folder=tmp_path / "sd"), motion=Weights(name="motion", folder=tmp_path / "motion")
    )
    made = networks(OWN_ENDS, moves=True)
    start.apply(made)
    for one in (made.reference, made.denoiser.unet):
        assert all(torch.equal(one.state_dict()[name], value) for name, value in unet.state_dict().items())
    assert torch.equal(made.denoiser.normal_in.weight, unet.conv_in.weight)
    name = "down_blocks.1.motion_modules.0.proj_in.weight"
    assert torch.equal(made.denoiser.unet.state_dict()[name], motion.state_dict()[name])
    with pytest.raises(MissingWeightsError, match="no motion modules of the recipe's sizes"):
        PretrainedStart(unet=start.unet, motion=Weights(name="motion", folder=tmp_path / "sd" / "unet")).apply(made)


def test_the_papers_sizes_are_stable_diffusions() -> None:
    with torch.device("meta"):
        unet = ChampSizes().unet.build()
    # 859,520,964 parameters, as published for Stable Diffusion 1.5.
    assert sum(p.numel() for p in unet.parameters()) == 859_520_964
