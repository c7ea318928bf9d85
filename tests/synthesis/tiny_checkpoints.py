"""Tiny randomly initialised checkpoints of the real classes, saved as their authors save them.

They go through the same ``from_pretrained(local folder)`` path as the real ones. All together: about 5 MB.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

TEXT = 24
"""Width of the tiny text encoders."""
CHARACTERS = "abcdefghijklmnopqrstuvwxyz,"
START, END = "<|startoftext|>", "<|endoftext|>"


def _clip_tokenizer():  # type: ignore[no-untyped-def]
    from transformers import CLIPTokenizer

    tokens = [START, END, *CHARACTERS, *(f"{c}</w>" for c in CHARACTERS)]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _t5_tokenizer():  # type: ignore[no-untyped-def]
    from transformers import T5TokenizerFast

    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0), *((c, -3.0) for c in CHARACTERS)]
    return T5TokenizerFast(vocab=pieces, extra_ids=0, additional_special_tokens=[])


def _clip_config():  # type: ignore[no-untyped-def]
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=64, hidden_size=TEXT, intermediate_size=32, projection_dim=TEXT, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=77, bos_token_id=0, eos_token_id=1, pad_token_id=1,
        hidden_act="gelu",
    )  # fmt: skip


def _vae(latents: int, **extra: object):  # type: ignore[no-untyped-def]
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=[8, 16], in_channels=3, out_channels=3, latent_channels=latents, norm_num_groups=4,
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2, **extra,
    )  # fmt: skip


def _flux_parts(conditioned: int = 0) -> dict[str, object]:
    """Components of a FLUX pipeline; `conditioned` extra input channels (Fill: masked latents and mask)."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import CLIPTextModel, T5Config, T5EncoderModel

    torch.manual_seed(0)
    t5 = T5Config(
        vocab_size=64,
        d_model=TEXT,
        d_kv=6,
        d_ff=32,
        num_layers=1,
        num_heads=4,
        decoder_start_token_id=0,
        pad_token_id=0,
    )
    return {
        "scheduler": FlowMatchEulerDiscreteScheduler(),
        "text_encoder": CLIPTextModel(_clip_config()).eval(),
        "text_encoder_2": T5EncoderModel(t5).eval(),
        "tokenizer": _clip_tokenizer(),
        "tokenizer_2": _t5_tokenizer(),
        "transformer": FluxTransformer2DModel(
            in_channels=16 + conditioned, out_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=TEXT, pooled_projection_dim=TEXT, axes_dims_rope=[4, 4, 8],
            guidance_embeds=True,
        ).eval(),
        "vae": _vae(4, shift_factor=0.06, scaling_factor=1.5, use_quant_conv=False, use_post_quant_conv=False).eval(),
    }  # fmt: skip


def save_flux(folder: Path) -> None:
    """A FLUX.1-dev look-alike, as `FluxPipeline` saves it."""
    from diffusers import FluxPipeline

    FluxPipeline(**_flux_parts()).save_pretrained(folder)


def save_flux_fill(folder: Path) -> None:
    """A FLUX.1-Fill-dev look-alike: masked latents (16) and the mask's pixels (2 × 2 · 2 × 2 = 16) as input too."""
    from diffusers import FluxFillPipeline

    FluxFillPipeline(**_flux_parts(conditioned=16 + 16)).save_pretrained(folder)


def _fill_zero_layers(net: torch.nn.Module) -> None:
    """A fresh ControlNet is silent: its last layers are zero. Give it a say."""
    for parameter in net.parameters():
        if not parameter.any() and parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.5)


def save_flux_controlnet(folder: Path) -> None:
    """An inpainting ControlNet with 4 extra condition channels; its zero layers are filled, so that it has a say."""
    from perse.synthesis.production.flux_controlnet import MaskedFluxControlNet

    torch.manual_seed(1)
    net = MaskedFluxControlNet(
        in_channels=16, num_layers=1, num_single_layers=0, attention_head_dim=16, num_attention_heads=2,
        joint_attention_dim=TEXT, pooled_projection_dim=TEXT, axes_dims_rope=[4, 4, 8], guidance_embeds=True,
    )  # fmt: skip
    _fill_zero_layers(net)
    net.save_pretrained(folder)
    # As its authors' file says: a stock class name, with a key that the stock class does not know.
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "_class_name": "FluxControlNetModel"}))


def _sdxl_parts(channels: int) -> dict[str, object]:
    from diffusers import EulerDiscreteScheduler, UNet2DConditionModel
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    torch.manual_seed(2)
    return {
        "scheduler": EulerDiscreteScheduler(
            beta_start=0.00085,
            beta_end=0.012,
            beta_schedule="scaled_linear",
            timestep_spacing="leading",
            steps_offset=1,
        ),
        "text_encoder": CLIPTextModel(_clip_config()).eval(),
        "text_encoder_2": CLIPTextModelWithProjection(_clip_config()).eval(),
        "tokenizer": _clip_tokenizer(),
        "tokenizer_2": _clip_tokenizer(),
        "unet": UNet2DConditionModel(
            in_channels=channels,
            out_channels=4,
            sample_size=32,
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            **_UNET,
        ).eval(),
        "vae": _vae(4).eval(),
    }


_UNET = {
    "block_out_channels": (16, 32), "layers_per_block": 1, "norm_num_groups": 4, "attention_head_dim": (2, 4),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"), "use_linear_projection": True,
    "addition_embed_type": "text_time", "addition_time_embed_dim": 8, "transformer_layers_per_block": (1, 1),
    "projection_class_embeddings_input_dim": 6 * 8 + TEXT, "cross_attention_dim": 2 * TEXT,
}  # fmt: skip


def save_sdxl(folder: Path) -> None:
    """An SDXL base look-alike."""
    from diffusers import StableDiffusionXLPipeline

    StableDiffusionXLPipeline(**_sdxl_parts(4)).save_pretrained(folder)


def save_sdxl_inpainting(folder: Path) -> None:
    """An SDXL inpainting look-alike: 9 input channels, half-precision files as on the hub."""
    from diffusers import StableDiffusionXLInpaintPipeline

    pipeline = StableDiffusionXLInpaintPipeline(**_sdxl_parts(9))
    pipeline.save_pretrained(folder, variant="fp16")


def save_sdxl_controlnet(folder: Path, *, union: bool) -> None:
    """A pose ControlNet for `save_sdxl`, or a union ControlNet of six conditions."""
    from diffusers import ControlNetModel, ControlNetUnionModel

    torch.manual_seed(3)
    if union:
        net = ControlNetUnionModel(
            in_channels=4, conditioning_embedding_out_channels=(8, 16), num_control_type=6, num_trans_channel=16,
            num_trans_head=2, num_trans_layer=1, num_proj_channel=16, **_UNET,
        )  # fmt: skip
    else:
        net = ControlNetModel(in_channels=4, conditioning_embedding_out_channels=(8, 16), **_UNET)
    _fill_zero_layers(net)
    net.save_pretrained(folder)


def save_vae(folder: Path) -> None:
    """A VAE of its own folder, as sdxl-vae-fp16-fix is."""
    torch.manual_seed(4)
    _vae(4).save_pretrained(folder)


def save_segformer(folder: Path, classes: int = 19) -> None:
    """A SegFormer with its image processor."""
    from transformers import SegformerConfig, SegformerForSemanticSegmentation, SegformerImageProcessor

    torch.manual_seed(5)
    config = SegformerConfig(
        num_encoder_blocks=2, depths=[1, 1], sr_ratios=[2, 1], hidden_sizes=[8, 16], patch_sizes=[7, 3], strides=[4, 2],
        num_attention_heads=[1, 2], mlp_ratios=[2, 2], decoder_hidden_size=16, num_labels=classes,
    )  # fmt: skip
    SegformerForSemanticSegmentation(config).save_pretrained(folder)
    SegformerImageProcessor(size={"height": 64, "width": 64}).save_pretrained(folder)


class ColourSegmenter(torch.nn.Module):
    """Classes by brightness: dark pixels are class 13, light ones class 1, and the left eighth class 0."""

    def __init__(self, classes: int = 19) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        bright = pixels.mean(1)
        logits = torch.full((pixels.shape[0], self.classes, pixels.shape[2], pixels.shape[3]), -20.0)
        logits[:, 13] = -4 * bright
        logits[:, 1] = 4 * bright
        logits[:, 0, :, : pixels.shape[3] // 8] = 20
        return logits


def save_torchscript_segmenter(file: Path) -> None:
    """`ColourSegmenter`, exported."""
    torch.jit.script(ColourSegmenter()).save(str(file))


def save_open_clip(file: Path) -> None:
    """ViT-B-32's architecture cannot be tiny; `tiny_clip` registers a small one with 512 features."""
    import open_clip
    from safetensors.torch import save_file

    torch.manual_seed(6)
    model = open_clip.create_model("perse-tiny-clip", pretrained=None, load_weights=False)
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, str(file))


def register_tiny_clip(folder: Path) -> None:
    """Make open_clip know a small architecture with 512 features."""
    import open_clip

    config = {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2, "layers": 1},
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "perse-tiny-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder)
