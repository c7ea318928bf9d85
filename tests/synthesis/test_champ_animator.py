"""portrait-Champ as an animator: what a clip must have, what is kept, what is refused. Tiny random networks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("diffusers", reason="the production extra is not installed")

from champ_tiny_networks import OWN_ENDS, networks

from perse.attributes import Category, Part
from perse.data import AttributePrompt, EditedPortrait, PartMasks, TrackedPortrait
from perse.data.keys import content_key
from perse.errors import GenerationError, MissingWeightsError, RecipeError
from perse.head import HeadModel
from perse.synthesis.motion import load_motion
from perse.synthesis.production.guidance import GuidanceConfig, PictureKeypointMapsConfig
from perse.synthesis.production.keypoints import OpenposeKeypointsConfig
from perse.synthesis.production.model_store import Weights, require
from perse.synthesis.production.portrait_champ import (
    BlockLatentsConfig,
    ChampSizes,
    DescriptorTokensConfig,
    GuidanceEncoderSizes,
    PortraitChamp,
    PortraitChampConfig,
    SamplingConfig,
)
from perse.synthesis.production.portrait_champ.storage import networks_to_files
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig, TorchscriptSegmenterConfig
from perse.synthesis.seams import Shot

LATENTS = BlockLatentsConfig(block_px=8, kept=4)
SIZES = ChampSizes(
    unet=replace(OWN_ENDS.unet, latent_channels=LATENTS.channels, token_width=512),
    motion=OWN_ENDS.motion,
    guidance=GuidanceEncoderSizes(channels=(4, 4, 4, 8), heads=2),
    normals="own ends",
)


@dataclass(frozen=True)
class EverythingIsHead:
    """Configuration and segmenter in one: skin everywhere, unless told that nobody is there."""

    empty: bool = False

    def build(self, device: str = "") -> EverythingIsHead:
        return self

    def segment(self, image: np.ndarray) -> PartMasks:
        soft = np.zeros((len(Part), *image.shape[:2]), np.uint8)
        soft[Part.BACKGROUND if self.empty else Part.SKIN] = 255
        return PartMasks(soft, 255 - soft[Part.BACKGROUND])

    def parse(self, image: np.ndarray, landmarks_px: np.ndarray) -> PartMasks:
        return self.segment(image)

    def knows(self, category: Category) -> bool:
        return True


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("champ")
    for name, content in networks_to_files(networks(SIZES, moves=True), {}, "champ-tiny").items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def config(weights: Path, tmp_path: Path) -> PortraitChampConfig:
    return PortraitChampConfig(
        weights=Weights(name="portrait-champ", folder=weights), sizes=SIZES, latents=LATENTS,
        tokens=DescriptorTokensConfig(), sampling=SamplingConfig(steps=2, guidance=1.0, window=3, overlap=1),
        size_px=64, segmenter=EverythingIsHead(), guidance_folder=tmp_path / "guidance",
    )  # type: ignore[arg-type]  # fmt: skip


@pytest.fixture
def shot(head_model: HeadModel) -> Shot:
    numbers = np.array([0, 40, 80, 120], np.int32)
    return Shot(numbers, load_motion(head_model).frame(torch.from_numpy(numbers).long()), 96)


def edit(portrait: TrackedPortrait, image: np.ndarray) -> EditedPortrait:
    prompt = AttributePrompt("hat-0000", Category.HAT, (), "a hat", 0)
    everything = np.full(image.shape[:2], 255, np.uint8)
    return EditedPortrait("edit", prompt, image, portrait.masks, everything, (), None, ())


def test_a_clip_has_what_a_clip_must_have_twice_the_same(
    config: PortraitChampConfig, head_model: HeadModel, tracked_astronaut: TrackedPortrait, shot: Shot
) -> None:
    animator = config.build(head_model)
    clip = animator.animate(tracked_astronaut, None, shot)
    assert clip.images.shape == (4, 96, 96, 3) and clip.alphas.shape == clip.parts.shape == (4, 96, 96)
    assert torch.equal(clip.parameters.pose, shot.motion.pose)
    assert torch.equal(clip.parameters.betas, tracked_astronaut.head.betas)
    again = config.build(head_model).animate(tracked_astronaut, None, shot)
    assert all((a == b).all() for a, b in zip(clip.images, again.images, strict=True))
    other = replace(config, seed=1).build(head_model).animate(tracked_astronaut, None, shot)
    assert any((a != b).any() for a, b in zip(clip.images, other.images, strict=True))


def test_guidance_is_drawn_once_for_all_edits_and_kept_as_pictures(
    config: PortraitChampConfig, head_model: HeadModel, tracked_astronaut: TrackedPortrait, shot: Shot,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    animator = config.build(head_model)
    first = animator.guidance(tracked_astronaut, shot)
    monkeypatch.setattr(PortraitChamp, "_drawn", lambda *_: pytest.fail("the maps were drawn a second time"))
    again = config.build(head_model).guidance(tracked_astronaut, shot)
    assert (again.normals == first.normals).all() and animator.guidance(tracked_astronaut, shot) is first
    assert config.guidance_folder is not None
    (folder,) = config.guidance_folder.iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["depth", "guidance.json", "keypoints", "normals"]
    assert len(list((folder / "depth").iterdir())) == len(shot.frame_numbers)


def test_the_folder_for_guidance_need_not_be_there_and_is_no_part_of_a_clips_key(
    config: PortraitChampConfig, tmp_path: Path
) -> None:
    """It is made, and what lies in it changes no clip."""
    sound = replace(config, segmenter=LandmarkSegmenterConfig())
    require(sound)
    assert content_key(sound) == content_key(replace(sound, guidance_folder=tmp_path / "elsewhere"))
    with pytest.raises(MissingWeightsError, match="there is no such file"):
        require(replace(config, segmenter=TorchscriptSegmenterConfig(file=tmp_path / "gone.ts")))


def test_an_edit_without_a_face_and_one_that_cannot_be_parsed_are_one_line(
    config: PortraitChampConfig, head_model: HeadModel, tracked_astronaut: TrackedPortrait, shot: Shot
) -> None:
    wall = np.full_like(tracked_astronaut.image, 120)
    with pytest.raises(GenerationError, match="no face is seen in the edit where the portrait has its own"):
        config.build(head_model).animate(tracked_astronaut, edit(tracked_astronaut, wall), shot)
    blind = replace(config, segmenter=EverythingIsHead(empty=True))  # type: ignore[arg-type]
    with pytest.raises(GenerationError, match="the edit cannot be parsed"):
        blind.build(head_model).animate(
            tracked_astronaut, edit(tracked_astronaut, tracked_astronaut.image), shot
        )  # fmt: skip


def test_nan_and_black_frames_are_one_line(
    config: PortraitChampConfig, head_model: HeadModel, tracked_astronaut: TrackedPortrait, shot: Shot
) -> None:
    animator = config.build(head_model)
    out = animator._networks.denoiser.unet.conv_out
    with torch.no_grad():
        out.bias.fill_(float("nan"))
    with pytest.raises(GenerationError, match="frame 0 of the clip has NaN"):
        animator.animate(tracked_astronaut, None, shot)
    with torch.no_grad():
        out.weight.zero_()
        out.bias.zero_()
        out.bias[::16] = 1e3  # v of the blocks' means: everything far below black
    with pytest.raises(GenerationError, match="frame 0 of the clip is black"):
        animator.animate(tracked_astronaut, None, shot)


def test_what_cannot_work_is_refused_before_any_work(config: PortraitChampConfig, head_model: HeadModel) -> None:
    found_in_pictures = GuidanceConfig(keypoints=PictureKeypointMapsConfig(detector=OpenposeKeypointsConfig()))
    with pytest.raises(RecipeError, match="need a driver that films the motion"):
        replace(config, guidance=found_in_pictures)
    with pytest.raises(MissingWeightsError, match="of another model"):
        replace(config, sizes=OWN_ENDS).build(head_model)
    with pytest.raises(MissingWeightsError, match="of another model"):
        require(replace(config, sizes=OWN_ENDS, segmenter=LandmarkSegmenterConfig()))  # a build, before anything
    with pytest.raises(MissingWeightsError, match=r"portrait-champ.*train-champ"):
        replace(config, weights=Weights(name="portrait-champ")).build(head_model)
