"""The diffusion pipelines, on tiny checkpoints of the real classes through the real loading code."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from perse.errors import GenerationError, MissingWeightsError
from perse.synthesis.production import generation
from perse.synthesis.production.generation import Batches, PipelineSettings, PromptCache, outcomes, seeded
from perse.synthesis.production.inpainting import (
    FluxControlNetInpainterConfig,
    FluxFillInpainterConfig,
    Inpainter,
    InpainterConfig,
    InpaintRequest,
    SdxlInpainterConfig,
)
from perse.synthesis.production.mask_portrait import MaskPortraitRequest, SdxlMaskPortraitConfig
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.segmenter import TransformersSegmenterConfig

PAIRS = PipelineSettings(batch_size=2)
WORKING = {"size_px": 64, "steps": 2, "settings": PAIRS}
KINDS = ("flux", "fill", "sdxl")

# One grey level is rounding; a matrix product of two rows may round otherwise than one of one.
SAME = 2


def local(folder: Path) -> Weights:
    return Weights(name=folder.name, folder=folder)


def inpainter_config(kind: str, tiny: SimpleNamespace) -> InpainterConfig:
    if kind == "flux":
        return FluxControlNetInpainterConfig(base=local(tiny.flux), controlnet=local(tiny.flux_controlnet), **WORKING)
    if kind == "fill":
        return FluxFillInpainterConfig(base=local(tiny.flux_fill), **WORKING)
    return SdxlInpainterConfig(base=local(tiny.sdxl_inpainting), vae=local(tiny.vae), **WORKING)


@pytest.fixture(scope="module")
def inpainters(tiny_weights: SimpleNamespace) -> dict[str, Inpainter]:
    return {kind: inpainter_config(kind, tiny_weights).build() for kind in KINDS}


def requests(count: int = 3) -> list[InpaintRequest]:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (48, 48, 3), np.uint8)
    mask = np.zeros((48, 48), np.float32)
    mask[8:30, 8:30] = 1
    return [InpaintRequest(image, mask, f"a person with hat number {'abc'[i]}", seed=i) for i in range(count)]


def difference(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b).max())


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_depends_on_itself_alone(inpainters: dict[str, Inpainter], kind: str) -> None:
    together = inpainters[kind].inpaint(requests())
    assert all(isinstance(one, np.ndarray) and one.shape == (48, 48, 3) for one in together)
    for request, found in zip(requests(), together, strict=True):
        alone = inpainters[kind].inpaint([request])[0]
        assert difference(alone, found) <= SAME
    assert difference(together[0], together[1]) > 10 * SAME


@pytest.mark.parametrize("kind", KINDS)
def test_seed_and_sentence_matter(inpainters: dict[str, Inpainter], kind: str) -> None:
    first = requests(1)[0]
    other_seed = InpaintRequest(first.image, first.mask, first.text, seed=99)
    other_text = InpaintRequest(first.image, first.mask, "zzz qqq", first.seed)
    a, b, c = inpainters[kind].inpaint([first, other_seed, other_text])
    assert difference(a, b) > SAME and difference(a, c) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_sentences_are_encoded_once(
    inpainters: dict[str, Inpainter], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[list[str]] = []
    original = inpainters[kind]._encode  # type: ignore[attr-defined]
    monkeypatch.setattr(
        inpainters[kind], "prompts", PromptCache(lambda texts: calls.append(texts) or original(texts), 8)
    )
    same = requests(1)[0]
    twice = [same, InpaintRequest(same.image, same.mask, same.text, 5)]
    inpainters[kind].inpaint([*twice, *twice])
    assert calls == [[same.text]]


def test_the_controlnet_and_its_mask_have_a_say(
    inpainters: dict[str, Inpainter], tiny_weights: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perse.synthesis.production import flux_controlnet

    plain = inpainters["flux"].inpaint(requests(1))[0]
    silent = FluxControlNetInpainterConfig(
        base=local(tiny_weights.flux), controlnet=local(tiny_weights.flux_controlnet), control_scale=0.0, **WORKING
    )
    assert difference(silent.build().inpaint(requests(1))[0], plain) > SAME
    tokens = flux_controlnet.mask_tokens
    monkeypatch.setattr(flux_controlnet, "mask_tokens", lambda mask, scale: 1 - tokens(mask, scale))
    assert difference(inpainters["flux"].inpaint(requests(1))[0], plain) > 0


def test_the_stock_controlnet_cannot_load_what_ours_does(tiny_weights: SimpleNamespace) -> None:
    from diffusers import FluxControlNetModel

    from perse.synthesis.production.flux_controlnet import MaskedFluxControlNet

    net = MaskedFluxControlNet.from_pretrained(tiny_weights.flux_controlnet, local_files_only=True)
    assert net.controlnet_x_embedder.in_features == net.config.in_channels + 4
    with pytest.raises((ValueError, RuntimeError)):
        FluxControlNetModel.from_pretrained(tiny_weights.flux_controlnet, local_files_only=True)
    tokens = torch.zeros(1, 4, 16)
    with pytest.raises(ValueError, match="needs a mask"):
        net(tokens, controlnet_cond=tokens)


def test_mask_tokens_lie_where_the_pipeline_packs_a_seventeenth_latent_channel() -> None:
    from diffusers import FluxControlNetInpaintPipeline

    from perse.synthesis.production.flux_controlnet import mask_tokens

    mask = (torch.rand(2, 1, 64, 96) > 0.5).float()
    small = torch.nn.functional.interpolate(mask, (8, 12))
    stacked = torch.cat([torch.zeros(2, 16, 8, 12), 1 - small], 1)
    packed = FluxControlNetInpaintPipeline._pack_latents(stacked, 2, 17, 8, 12)
    assert torch.equal(mask_tokens(mask, 8), packed[..., 64:])


@pytest.mark.parametrize("union", [False, True])
def test_mask_portraits_follow_keypoints_seed_and_size(tiny_weights: SimpleNamespace, union: bool) -> None:
    config = SdxlMaskPortraitConfig(
        base=local(tiny_weights.sdxl),
        controlnet=local(tiny_weights.union if union else tiny_weights.pose),
        union_mode=0 if union else None,
        vae=local(tiny_weights.vae) if union else None,
        **WORKING,
    )
    maker = config.build()
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, 256, (2, 64, 64, 3), np.uint8)
    wanted = [MaskPortraitRequest(drawn[k], "a person with a hat", s, (40, 40)) for k, s in ((0, 0), (1, 0), (0, 1))]
    a, b, c = maker.make(wanted)
    assert a.shape == (40, 40, 3)
    assert difference(a, b) > 0, "the keypoints have a say"
    assert difference(a, c) > SAME
    assert difference(maker.make(wanted[1:2])[0], b) <= SAME


def test_a_union_condition_that_is_not_there_is_named(tiny_weights: SimpleNamespace) -> None:
    config = SdxlMaskPortraitConfig(
        base=local(tiny_weights.sdxl), controlnet=local(tiny_weights.union), union_mode=6, vae=None
    )
    with pytest.raises(MissingWeightsError, match="0 to 5"):
        config.build()


def test_folders_of_another_kind_are_refused(tiny_weights: SimpleNamespace, tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="does not hold"):
        FluxFillInpainterConfig(base=local(tiny_weights.vae)).build()
    with pytest.raises(MissingWeightsError, match="no folder"):
        FluxFillInpainterConfig(base=local(tmp_path / "nothing")).build()
    with pytest.raises(MissingWeightsError, match=r"fetch flux\.1-fill-dev"):
        FluxFillInpainterConfig().build()


@pytest.mark.parametrize("content", [b"noise", pickle.dumps({"weight": 1}), b""])
def test_whatever_calls_itself_safetensors_and_is_not_is_refused(
    tiny_weights: SimpleNamespace, tmp_path: Path, content: bytes
) -> None:
    for name in ("vae", "flux_controlnet", "sdxl", "segformer"):
        folder = tmp_path / name
        shutil.copytree(getattr(tiny_weights, name), folder)
        for file in folder.rglob("*.safetensors"):
            file.write_bytes(content)
    vae, controlnet = local(tmp_path / "vae"), local(tmp_path / "flux_controlnet")
    configs = (
        SdxlInpainterConfig(base=local(tiny_weights.sdxl_inpainting), vae=vae, **WORKING),
        FluxControlNetInpainterConfig(base=local(tiny_weights.flux), controlnet=controlnet, **WORKING),
        SdxlInpainterConfig(base=local(tmp_path / "sdxl"), vae=None, **WORKING),
        TransformersSegmenterConfig(weights=local(tmp_path / "segformer")),
    )
    for config in configs:
        with pytest.raises(MissingWeightsError, match=str(tmp_path)) as caught:
            config.build()
        assert "\n" not in str(caught.value)


def test_batches_are_halved_for_good_and_a_row_that_never_fits_is_an_error() -> None:
    sizes: list[int] = []

    def call(chunk):  # type: ignore[no-untyped-def]
        sizes.append(len(chunk))
        if len(chunk) > 2 or "huge" in chunk:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB")
        return [np.full((1, 1, 3), len(item), np.uint8) for item in chunk]

    batches: Batches[str] = Batches(8, "less")
    items = ["a", "bb", "ccc", "huge", "eeeee"]
    found = batches.run(items, call)
    assert [one if isinstance(one, GenerationError) else int(one[0, 0, 0]) for one in found][:3] == [1, 2, 3]
    assert isinstance(found[3], GenerationError) and "single picture: less" in str(found[3])
    assert int(found[4][0, 0, 0]) == 5
    assert sizes[0] == 5 and sizes[1] == 2 and batches.size == 1
    assert batches.run(["a"], call)[0][0, 0, 0] == 1


def test_other_errors_are_not_taken_for_memory() -> None:
    def broken(chunk):  # type: ignore[no-untyped-def]
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes"):
        Batches(4, "less").run(["a"], broken)


def test_pictures_that_show_nothing_are_errors_with_reasons() -> None:
    good = np.random.default_rng(0).random((16, 16, 3))
    broken = good.copy()
    broken[3, 3] = np.nan
    output = SimpleNamespace(
        images=[np.zeros((16, 16, 3)), np.full((16, 16, 3), 0.6), broken, good, good],
        nsfw_content_detected=[False, False, False, True, False],
    )
    black, flat, nan, filtered, fine = outcomes(output, [(8, 8)] * 5)
    for outcome, word in ((black, "black"), (flat, "uniform"), (nan, "NaN"), (filtered, "safety")):
        assert isinstance(outcome, GenerationError) and word in str(outcome)
    assert fine.shape == (8, 8, 3)


def test_prompts_are_forgotten_oldest_first() -> None:
    calls: list[list[str]] = []

    def encode(texts: list[str]) -> list[tuple[torch.Tensor, ...]]:
        calls.append(texts)
        return [(torch.full((1, 2), float(len(text))),) for text in texts]

    cache = PromptCache(encode, 2)
    assert cache(["a", "bb", "a"])[0][:, 0].tolist() == [1, 2, 1]
    cache(["ccc"])  # forgets a, which was used before bb
    cache(["bb"])
    cache(["a"])
    assert calls == [["a", "bb"], ["ccc"], ["a"]]


def test_generators_are_per_row() -> None:
    a, b = (torch.randn(3, generator=one) for one in seeded([7, 2**63 + 7]))
    assert torch.equal(a, b)
    assert not torch.equal(a, torch.randn(3, generator=seeded([8])[0]))


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_fits_together(
    tiny_weights: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    # Only "cpu" is forced to float32; by another name it takes the path of a GPU.
    monkeypatch.setattr(generation, "device", lambda: "cpu:0")
    brain_float = PipelineSettings(precision="bfloat16", offload=False, batch_size=2)
    config = replace(inpainter_config(kind, tiny_weights), settings=brain_float)
    inpainter = config.build()
    assert inpainter.pipeline.vae.dtype == torch.bfloat16  # type: ignore[attr-defined]
    for found in inpainter.inpaint(requests(2)):
        assert isinstance(found, np.ndarray), found
