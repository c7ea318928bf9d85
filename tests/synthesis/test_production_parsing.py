"""Segmenters with declared label maps, and keypoint pictures."""

from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from perse.attributes import Category, Part
from perse.errors import GenerationError, MissingWeightsError
from perse.synthesis.production.keypoints import (
    OPENPOSE_FILES,
    AuxKeypoints,
    DwposeKeypointsConfig,
    LandmarkKeypointsConfig,
    MediapipeKeypointsConfig,
    OpenposeKeypointsConfig,
)
from perse.synthesis.production.label_maps import CELEBA_MASK_HQ, FACE_SYNTHETICS, LabelMap
from perse.synthesis.production.model_store import Weights
from perse.synthesis.production.segmenter import (
    LandmarkSegmenterConfig,
    PartEdges,
    TorchscriptSegmenterConfig,
    TransformersSegmenterConfig,
    to_parts,
)


def halves() -> np.ndarray:
    """Dark above, light below, [96, 80, 3]."""
    image = np.zeros((96, 80, 3), np.uint8)
    image[48:] = 230
    return image


def test_built_in_label_maps_have_nineteen_classes() -> None:
    assert FACE_SYNTHETICS.n_classes == CELEBA_MASK_HQ.n_classes == 19
    assert FACE_SYNTHETICS.parts[14] is Part.BEARD and FACE_SYNTHETICS.parts[17] is Part.HEADWEAR
    assert all(FACE_SYNTHETICS.knows(c) for c in (Category.BEARD, Category.HAT, Category.HAIR))
    assert not FACE_SYNTHETICS.knows(Category.EARRINGS) and not FACE_SYNTHETICS.knows(Category.HEADPHONES)
    assert CELEBA_MASK_HQ.knows(Category.EARRINGS) and not CELEBA_MASK_HQ.knows(Category.BEARD)


def test_a_torchscript_segmenter_finds_its_classes_as_our_parts(tiny_weights: SimpleNamespace) -> None:
    segmenter = TorchscriptSegmenterConfig(file=tiny_weights.torchscript, size_px=(64, 64)).build()
    masks = segmenter.segment(halves())
    assert masks.soft.shape == (len(Part), 96, 80)
    assert (masks.soft.astype(int).sum(0) == 255).all()
    assert (masks.labels[:40, 20:] == Part.HAIR).all() and (masks.labels[56:, 20:] == Part.SKIN).all()
    assert (masks.labels[:, :8] == Part.BACKGROUND).all() and not masks.person[:, :8].any()
    assert (segmenter.parse(halves(), np.zeros((478, 3), np.float32)).soft == masks.soft).all()


def test_a_transformers_checkpoint_loads_from_its_folder(tiny_weights: SimpleNamespace) -> None:
    weights = Weights(name="tiny", folder=tiny_weights.segformer)
    segmenter = TransformersSegmenterConfig(weights=weights).build()
    masks = segmenter.segment(halves())
    assert masks.soft.shape == (len(Part), 96, 80) and (masks.soft.astype(int).sum(0) == 255).all()
    assert (segmenter.segment(halves()).soft == masks.soft).all()
    assert segmenter.knows(Category.HAT) and not segmenter.knows(Category.BEARD)
    two = LabelMap("two", (Part.BACKGROUND, Part.SKIN))
    with pytest.raises(MissingWeightsError, match="19 classes and the label map two 2"):
        TransformersSegmenterConfig(weights=weights, labels=two).build()


def test_files_that_are_no_torchscript_are_never_unpickled(tmp_path: Path, tiny_weights: SimpleNamespace) -> None:
    torch.save({"weight": torch.zeros(2)}, tmp_path / "pickle.pt")
    with pytest.raises(MissingWeightsError, match="no TorchScript"):
        TorchscriptSegmenterConfig(file=tmp_path / "pickle.pt").build()
    (tmp_path / "noise.pt").write_bytes(b"noise")
    with pytest.raises(MissingWeightsError, match="no TorchScript"):
        TorchscriptSegmenterConfig(file=tmp_path / "noise.pt").build()
    with pytest.raises(MissingWeightsError, match="no segmentation checkpoint"):
        TransformersSegmenterConfig(weights=Weights(name="x", folder=tiny_weights.vae)).build()


def test_soft_edges_survive_and_specks_do_not() -> None:
    probability = np.zeros((19, 100, 100), np.float32)
    ramp = np.clip((np.arange(100) - 40) / 20, 0, 1).astype(np.float32)
    probability[13] = ramp
    probability[1] = 1 - ramp
    probability[:, 10:12, 10:12] = 0
    probability[14, 10:12, 10:12], probability[1, 10:12, 10:12] = 0.6, 0.4
    masks = to_parts(probability, FACE_SYNTHETICS, PartEdges(sharpness=1.0, min_area=1e-3))
    assert not masks.soft[Part.BEARD].any() and (masks.soft[Part.SKIN, 10:12, 10:12] == 255).all()
    assert len(np.unique(masks.soft[Part.HAIR, 50])) > 10
    kept = to_parts(probability, FACE_SYNTHETICS, PartEdges(sharpness=1.0, min_area=1e-5))
    assert kept.soft[Part.BEARD].any()
    sharper = to_parts(probability, FACE_SYNTHETICS, PartEdges(sharpness=3.0))
    soft = ((masks.soft[Part.HAIR] > 20) & (masks.soft[Part.HAIR] < 235)).sum()
    assert ((sharper.soft[Part.HAIR] > 20) & (sharper.soft[Part.HAIR] < 235)).sum() < soft


def test_the_weightless_segmenter_parses_a_photograph_and_says_when_there_is_no_face(tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    segmenter = LandmarkSegmenterConfig().build()
    masks = segmenter.segment(tracked_astronaut.image)
    assert masks[Part.HAIR].sum() > 1000
    with pytest.raises(GenerationError, match="no face"):
        segmenter.segment(np.full((128, 128, 3), 90, np.uint8))


@pytest.mark.parametrize("config", [LandmarkKeypointsConfig(), MediapipeKeypointsConfig()])
def test_keypoints_lie_on_the_portraits_face(tracked_astronaut, config) -> None:  # type: ignore[no-untyped-def]
    drawn = config.build().draw(tracked_astronaut, 256)
    assert drawn.shape == (256, 256, 3) and drawn.dtype == np.uint8 and not drawn[:20].any()
    points = tracked_astronaut.landmarks_px[:468, :2] * 256 / tracked_astronaut.image.shape[1]
    low, high = points.min(0) - 3, points.max(0) + 3
    rows, columns = np.nonzero(drawn.min(-1) > 200 if isinstance(config, LandmarkKeypointsConfig) else drawn.any(-1))
    assert len(rows) > 100
    assert low[0] <= columns.min() and columns.max() <= high[0] and low[1] <= rows.min() and rows.max() <= high[1]


def test_other_detectors_name_what_they_lack(tmp_path: Path, tracked_astronaut) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MissingWeightsError, match="fetch openpose"):
        OpenposeKeypointsConfig().build()
    detector, pose = tmp_path / "det.pth", tmp_path / "pose.pth"
    with pytest.raises(MissingWeightsError, match=r"det\.pth"):
        DwposeKeypointsConfig(detector=detector, pose=pose).build()
    for file in (detector, pose):
        file.write_bytes(pickle.dumps(print))
    with pytest.raises(MissingWeightsError, match="may be code"):
        DwposeKeypointsConfig(detector=detector, pose=pose).build()
    with pytest.raises(GenerationError, match="nobody"):
        AuxKeypoints(lambda image, **_: np.zeros((64, 64, 3), np.uint8)).draw(tracked_astronaut, 64)


class Reader(torch.nn.Module):
    """A network that reads a file of the machine it runs on."""

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return pixels + torch.from_file("/etc/hostname", False, 1)


def test_torchscript_that_reaches_files_is_not_loaded(tmp_path: Path) -> None:
    torch.jit.script(Reader()).save(str(tmp_path / "reader.pt"))
    with pytest.raises(MissingWeightsError, match=r"calls torch\.from_file"):
        TorchscriptSegmenterConfig(file=tmp_path / "reader.pt").build()


def test_openpose_is_built_from_safetensors_alone(tmp_path: Path) -> None:
    """Its real networks with zeros for weights, under the names of its files."""
    from controlnet_aux.open_pose import body, face, hand, model
    from safetensors.torch import save_file

    networks = {"Body": model.bodypose_model(), "Hand": model.handpose_model(), "Face": face.FaceNet()}
    for part, file in OPENPOSE_FILES.items():
        state = networks[part].state_dict()
        # OpenPose's files name a layer without the block that it is in; the face's are plain.
        names = {name if part == "Face" else name.partition(".")[2]: value for name, value in state.items()}
        save_file({name: torch.zeros_like(value) for name, value in names.items()}, tmp_path / file)
    drawer = OpenposeKeypointsConfig(weights=Weights(name="openpose", folder=tmp_path)).build()
    assert isinstance(drawer, AuxKeypoints)
    detector = drawer._detector
    assert isinstance(detector.body_estimation, body.Body) and isinstance(detector.hand_estimation, hand.Hand)
    assert not any(value.any() for value in detector.face_estimation.model.state_dict().values())
    save_file({"conv1.weight": torch.zeros(1)}, tmp_path / OPENPOSE_FILES["Hand"])
    with pytest.raises(MissingWeightsError, match="hand network"):
        OpenposeKeypointsConfig(weights=Weights(name="openpose", folder=tmp_path)).build()
    (tmp_path / "body_pose_model.pth").write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match="convert"):
        OpenposeKeypointsConfig(weights=Weights(name="openpose", folder=tmp_path)).build()
