"""The diffusion animator on a tiny checkpoint of the real classes: loading, guidance, windows, geometry."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from perse.body.animation.diffusion_animator import DiffusionBodyAnimatorConfig
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed, performed
from perse.body.animation.skeleton_pictures import skeleton_pictures
from perse.body.animation.studio_camera import looking_at
from perse.errors import MissingWeightsError
from perse.synthesis.production.model_store import Weights

FRAMES, SIZE = 5, 32


def save_tiny_video_model(folder: Path, *, guided: bool) -> None:
    """As `StableVideoDiffusionPipeline` saves itself, and our pose encoder beside it."""
    from diffusers import (
        AutoencoderKLTemporalDecoder,
        EulerDiscreteScheduler,
        StableVideoDiffusionPipeline,
        UNetSpatioTemporalConditionModel,
    )
    from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModelWithProjection

    from perse.body.animation.pose_video import FOLDER, PoseEncoder

    torch.manual_seed(0)
    StableVideoDiffusionPipeline(
        unet=UNetSpatioTemporalConditionModel(
            block_out_channels=(32, 64),
            down_block_types=("CrossAttnDownBlockSpatioTemporal", "DownBlockSpatioTemporal"),
            up_block_types=("UpBlockSpatioTemporal", "CrossAttnUpBlockSpatioTemporal"), layers_per_block=1,
            cross_attention_dim=16, num_attention_heads=(2, 2), addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=24, sample_size=SIZE // 2,
        ),
        vae=AutoencoderKLTemporalDecoder(
            block_out_channels=(32, 32), down_block_types=("DownEncoderBlock2D",) * 2, layers_per_block=1,
            latent_channels=4,
        ),
        image_encoder=CLIPVisionModelWithProjection(
            CLIPVisionConfig(
                hidden_size=16, intermediate_size=16, projection_dim=16, num_hidden_layers=1, num_attention_heads=2,
                image_size=224, patch_size=56,
            )
        ),
        scheduler=EulerDiscreteScheduler(
            prediction_type="v_prediction", use_karras_sigmas=True, sigma_min=0.002, sigma_max=700.0,
            timestep_type="continuous", interpolation_type="linear",
        ),
        feature_extractor=CLIPImageProcessor(),
    ).save_pretrained(folder)  # fmt: skip
    poses = PoseEncoder(channels=32, width=4, halvings=1)
    if guided:
        torch.nn.init.normal_(poses.last.weight, std=3.0)
    poses.save_pretrained(folder / FOLDER)


def config(folder: Path, **changes: object) -> DiffusionBodyAnimatorConfig:
    from perse.body.animation.pose_video import PoseVideoConfig

    video = PoseVideoConfig(weights=Weights(name="tiny", folder=folder), steps=2, window=3, overlap=1)
    return DiffusionBodyAnimatorConfig(video=replace(video, **changes), drawn_px=SIZE)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("video")
    save_tiny_video_model(folder, guided=True)
    return folder


def test_it_films_a_motion_in_windows(checkpoint: Path, dressed: DressedPerson) -> None:
    animator = config(checkpoint).build()
    clip = animator.film(dressed, Filmed("wave", FRAMES), 24)
    assert clip.image.shape == (FRAMES, 24, 24, 3) and (clip.image[clip.alpha == 0] == 255).all()
    assert (clip.depth > 0).any() and clip.pose.shape == (FRAMES, 55, 3)
    again = animator.film(dressed, Filmed("wave", FRAMES), 24)
    assert np.array_equal(clip.image, again.image)
    other = config(checkpoint, seed=1).build().film(dressed, Filmed("wave", FRAMES), 24)
    assert not np.array_equal(clip.image, other.image)


def test_the_skeleton_guides(checkpoint: Path) -> None:
    video = config(checkpoint).build()._video
    person = np.full((SIZE, SIZE, 3), 128, np.uint8)
    still = np.zeros((FRAMES, SIZE, SIZE, 3), np.uint8)
    told = still.copy()
    told[:, 8:24, 8:24] = 255
    assert not np.array_equal(video.frames(person, still, 0), video.frames(person, told, 0))
    with torch.no_grad():
        video._poses.last.weight.zero_()
    assert np.array_equal(video.frames(person, still, 0), video.frames(person, told, 0))


def test_skeletons_show_the_pose(dressed: DressedPerson) -> None:
    camera = looking_at((0.0, -0.7, 0.0), 4.0, 240.0, 128, 128)
    motion = performed(dressed.model, dressed.parameters, "wave", (0.0, 0.5))
    low, high = skeleton_pictures(dressed.model, motion, camera)
    assert low.any() and high.any() and not np.array_equal(low, high)
    assert np.nonzero(high.any(-1))[0].min() <= np.nonzero(low.any(-1))[0].min()  # the hand goes up


def test_missing_weights_are_said_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="there is no folder"):
        config(tmp_path / "nowhere").build()
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingWeightsError, match="does not hold"):
        config(tmp_path / "empty").build()
