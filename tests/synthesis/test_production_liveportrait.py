"""LivePortrait's networks: the published tensors fit, the algebra is what the paper writes, wrong files are refused."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from scipy.spatial.transform import Rotation
from tiny_liveportrait import TINY, converted_weights, tiny_networks
from tolerances import CHAIN
from torch import Tensor

from benchmarks.liveportrait import PUBLISHED_MS, SMALL, Variant, works
from perse.errors import MissingWeightsError
from perse.recipes import recipe_named
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.production.liveportrait import LivePortraitConfig, RenderedDriving
from perse.synthesis.production.liveportrait.heads import KeypointHead
from perse.synthesis.production.liveportrait.keypoints import (
    AbsoluteMotion,
    HeadKeypoints,
    RelativeMotion,
    mean_degrees,
    rotation_of_degrees,
    stitched,
)
from perse.synthesis.production.liveportrait.layers import SpectralConv2d
from perse.synthesis.production.liveportrait.motion_extractor import MotionExtractor
from perse.synthesis.production.liveportrait.networks import (
    FILES,
    HEADS_FILE,
    LivePortraitNetworks,
)
from perse.synthesis.production.liveportrait.shape import LivePortraitShape
from perse.synthesis.production.model_store import require
from perse.synthesis.production.segmenter import LandmarkSegmenterConfig
from perse.synthesis.production.weights_table import entry_named

PARAMETERS_M = {
    "appearance": 0.84, "motion": 28.1, "warping": 45.5, "generator": 55.4, "stitching": 0.045, "lips": 0.037,
    "eyes": 0.145,
}  # fmt: skip
"""Millions, as published."""


@cache
def published() -> dict[str, dict[str, tuple[int, ...]]]:
    """Names and shapes by network, from the committed list."""
    tensors: dict[str, dict[str, tuple[int, ...]]] = {}
    network = ""
    for line in Path(__file__).with_name("liveportrait_tensors.txt").read_text().splitlines():
        if line.startswith("["):
            network = line.strip("[]")
            tensors[network] = {}
        elif not line.startswith("#"):
            name, *shape = line.split()
            tensors[network][name] = tuple(map(int, shape))
    return tensors


@pytest.mark.parametrize("network", list(PARAMETERS_M))
def test_every_published_tensor_has_its_place(network: str) -> None:
    with torch.device("meta"):
        made = getattr(LivePortraitNetworks.of_shape(LivePortraitShape()), network)
    assert {name: tuple(one.shape) for name, one in made.state_dict().items()} == published()[network]
    millions = sum(one.numel() for one in made.parameters()) / 1e6
    assert millions == pytest.approx(PARAMETERS_M[network], rel=0.02)  # the paper prints two digits


def test_published_tensors_are_as_many_as_published() -> None:
    assert [len(published()[name]) for name in FILES] == [107, 212, 97, 182]


FULL_SHAPES = {
    "appearance": (32, 16, 64, 64), "pitch": (66,), "yaw": (66,), "roll": (66,), "translation": (3,),
    "expression": (63,), "scale": (1,), "canonical": (63,), "stitching": (65,), "lips": (63,), "eyes": (63,),
    "features": (256, 64, 64), "flow": (16, 64, 64, 3), "visible": (1, 64, 64), "generator": (3, 512, 512),
}  # fmt: skip


def small_outputs(made: LivePortraitNetworks, device: str) -> dict[str, Tensor]:
    """Of F, M and the heads, on one picture."""
    picture = torch.rand(1, 3, 256, 256, device=device)
    source, driving = 0.3 * torch.randn(2, 1, 21, 3, device=device)
    return {
        "appearance": made.appearance(picture),
        **made.motion(picture)._asdict(),
        "stitching": made.stitching(source, driving),
        "lips": made.lips(source, torch.rand(1, 2, device=device)),
        "eyes": made.eyes(source, torch.rand(1, 3, device=device)),
    }


def large_outputs(made: LivePortraitNetworks, device: str) -> dict[str, Tensor]:
    """Of W and G, for one frame."""
    source, driving = 0.3 * torch.randn(2, 1, 21, 3, device=device)
    warp = made.warping(torch.randn(1, 32, 16, 64, 64, device=device), source, driving)
    return {**warp._asdict(), "generator": made.generator(warp.features)}


def test_shapes_at_full_size() -> None:
    with torch.device("meta"):
        made = LivePortraitNetworks.of_shape(LivePortraitShape())
    found = {**small_outputs(made, "meta"), **large_outputs(made, "meta")}
    assert {name: tuple(one.shape[1:]) for name, one in found.items()} == FULL_SHAPES


@pytest.mark.parametrize("run_networks", [small_outputs, pytest.param(large_outputs, marks=pytest.mark.heavy)])
def test_every_network_runs_at_full_size(run_networks: Callable[..., dict[str, Tensor]]) -> None:
    """On random weights: finite, of the published shape. W and G take a quarter of a minute."""
    with torch.inference_mode():
        found = run_networks(LivePortraitNetworks.of_shape(LivePortraitShape()), "cpu")
    assert all(tuple(one.shape[1:]) == FULL_SHAPES[name] for name, one in found.items())
    assert all(bool(one.isfinite().all()) for one in found.values())


def test_a_picture_does_not_depend_on_its_batch() -> None:
    made, inputs = tiny_networks(), []
    torch.manual_seed(1)
    for shape in ((3, 3, 128, 128), (3, 21, 3), (3, 21, 3)):
        inputs.append(torch.rand(shape))
    with torch.inference_mode():

        def drawn(rows: slice) -> Tensor:
            picture, source, driving = (one[rows] for one in inputs)
            return made.generator(made.warping(made.appearance(picture), source, driving).features)

        together = drawn(slice(None))
        alone = torch.cat([drawn(slice(i, i + 1)) for i in range(3)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-3)  # other sums, amplified by normalisations
    assert float((together[0] - together[1]).abs().max()) > 0.01


def test_keypoints_that_do_not_move_leave_the_features_in_place() -> None:
    """Equal keypoints give the identity flow, whatever the weights: cells stay where they are."""
    with torch.inference_mode():
        made = tiny_networks()
        source = 0.3 * torch.randn(1, 21, 3)
        features = torch.randn(1, TINY.volume_channels, TINY.volume_depth, 32, 32)
        still = made.warping(features, source, source).flow[0]
        moved = made.warping(features, source, source + torch.tensor([0.1, 0.0, 0.0])).flow[0]
    line = torch.linspace(-1, 1, 32)
    # Float32: a softmax's sum over masks.
    torch.testing.assert_close(still[..., 0], line.expand(TINY.volume_depth, 32, 32), rtol=0, atol=1e-5)
    # As above.
    torch.testing.assert_close(still[..., 1], line[:, None].expand(TINY.volume_depth, 32, 32), rtol=0, atol=1e-5)
    assert (moved[..., 0] <= still[..., 0] + 1e-6).all() and (moved[..., 0] < still[..., 0] - 1e-3).any()


def test_half_precision_leaves_the_flow_in_full() -> None:
    """A flow rounded to bfloat16 would be up to 0.004 off, and so would weights that do not sum to one."""
    with torch.inference_mode():
        made = tiny_networks()
        features = torch.randn(1, TINY.volume_channels, TINY.volume_depth, 32, 32)
        source = 0.3 * torch.randn(1, 21, 3)
        driving = source + 0.05 * torch.randn(1, 21, 3)
        whole = made.warping(features, source, driving)
        with torch.autocast("cpu", torch.bfloat16):
            half = made.warping(features, source, driving)
            still = made.warping(features, source, source)
    assert half.features.dtype == torch.bfloat16 and half.flow.dtype == torch.float32
    assert float((half.flow - whole.flow).abs().max()) < 2e-4 < 0.005 < float((whole.flow - still.flow).abs().max())
    edge = torch.tensor([-1.0, 1.0])
    torch.testing.assert_close(still.flow[0, 0, 0, [0, -1], 0], edge, rtol=0, atol=1e-5)  # as above


@pytest.mark.heavy
def test_compiled_networks_draw_the_same() -> None:
    """Compiling takes a minute on one core."""
    made = tiny_networks()
    features = torch.randn(2, TINY.volume_channels, TINY.volume_depth, 32, 32)
    source, driving = 0.3 * torch.randn(2, 2, 21, 3)
    with torch.inference_mode():
        eager = made.generator(made.warping(features, source, driving).features)
        made.compile()
        compiled = made.generator(made.warping(features, source, driving).features)
    torch.testing.assert_close(compiled, eager, rtol=0, atol=1e-3)  # fused kernels sum in another order


@pytest.mark.parametrize("half", [False, True])
def test_the_benchmark_runs_every_network_on_several_frames_in_either_precision(half: bool) -> None:
    """What it does on a GPU, on small networks here."""
    found = works(Variant("a variant", "cpu", half=half, frames=2), SMALL)
    assert found.keys() == PUBLISHED_MS.keys()
    for run in found.values():
        run()


def test_spectral_normalisation_is_torchs() -> None:
    torch.manual_seed(2)
    theirs = torch.nn.utils.spectral_norm(torch.nn.Conv2d(6, 5, 3, padding=1)).eval()
    ours = SpectralConv2d(6, 5, 3)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 6, 9, 9)
    # Sums of 54 products, divided by a norm that is a sum too: 2e-5 of a value apart with SSE instructions alone.
    torch.testing.assert_close(ours(x), theirs(x), **CHAIN)


def test_the_motion_extractor_sees_brightness_of_single_pixels() -> None:
    """A network of zeros in disguise would not."""
    made = tiny_networks().motion
    picture = torch.rand(1, 3, 128, 128)
    changed = picture.clone()
    changed[:, :, 50:55, 50:55] = 1 - changed[:, :, 50:55, 50:55]
    with torch.inference_mode():
        before, after = made(picture), made(changed)
    assert all(float((a - b).abs().max()) > 1e-7 for a, b in zip(before, after, strict=True))


# Keypoints


def keypoints(rows: int, seed: int = 0) -> HeadKeypoints:
    torch.manual_seed(seed)
    angles = (20 * torch.randn(rows) for _ in range(3))
    return HeadKeypoints(
        canonical=torch.randn(rows, 21, 3),
        rotation=rotation_of_degrees(*angles),
        expression=0.1 * torch.randn(rows, 21, 3),
        scale=1 + 0.1 * torch.rand(rows, 1),
        translation=0.1 * torch.randn(rows, 3),
    )


def test_angles_are_means_of_bins() -> None:
    logits = torch.full((2, 66), -50.0)
    logits[0, 0] = logits[1, 32] = logits[1, 33] = 50.0
    torch.testing.assert_close(mean_degrees(logits), torch.tensor([-97.5, 0.0]))


def test_rotations_are_transposed_products_about_the_axes() -> None:
    angles = torch.tensor([[10.0, -25.0], [30.0, 5.0], [-15.0, 40.0]])
    found = rotation_of_degrees(*angles)
    for i in range(2):
        pitch, yaw, roll = (float(x) for x in angles[:, i])
        expected = Rotation.from_euler("xyz", [pitch, yaw, roll], degrees=True).as_matrix().T  # extrinsic: x first
        torch.testing.assert_close(found[i].double(), torch.from_numpy(expected.copy()), rtol=0, atol=1e-6)


def test_placing_is_the_papers_equation() -> None:
    head = keypoints(3)
    for i in range(3):
        expected = head.scale[i] * (head.canonical[i] @ head.rotation[i] + head.expression[i])
        expected[:, :2] += head.translation[i, :2]
        torch.testing.assert_close(head.placed()[i], expected)


def test_relative_motion_gives_a_driver_himself_back() -> None:
    """Source and anchor the same: the source does exactly what the driver does."""
    driving = keypoints(5)
    source = driving[:1]
    same = HeadKeypoints(
        source.canonical.expand(5, -1, -1), driving.rotation, driving.expression, driving.scale, driving.translation
    )
    torch.testing.assert_close(RelativeMotion().transfer(source, driving, source).placed(), same.placed())


def test_relative_motion_at_the_anchor_is_the_source() -> None:
    source, driving = keypoints(1, seed=1), keypoints(4, seed=2)
    at_rest = RelativeMotion().transfer(source, driving[2:3], driving[2:3]).placed()
    torch.testing.assert_close(at_rest, source.placed())


def test_absolute_motion_takes_pose_and_expression_but_no_identity() -> None:
    source, driving = keypoints(1, seed=1), keypoints(4, seed=2)
    moved = AbsoluteMotion().transfer(source, driving, driving[:1])
    assert torch.equal(moved.rotation, driving.rotation) and torch.equal(moved.translation, driving.translation)
    assert torch.equal(moved.scale, source.scale.expand(4, 1))
    assert torch.equal(moved.expression[:, 14], driving.expression[:, 14])
    assert torch.equal(moved.expression[:, 0], source.expression[:, 0].expand(4, 3))
    assert torch.equal(moved.expression[:, 3, 1], driving.expression[:, 3, 1])
    assert torch.equal(moved.expression[:, 3, 0], source.expression[:, 3, 0].expand(4))


class _Says(KeypointHead):
    """A head that says the same of everything."""

    def __init__(self, answer: Tensor) -> None:
        super().__init__(1, (), 1)
        self.answer = answer

    def forward(self, keypoints: Tensor, change: Tensor) -> Tensor:
        return self.answer.expand(len(keypoints), -1)


def test_stitching_moves_each_keypoint_and_all_of_them() -> None:
    each = torch.arange(63.0) / 100
    head = _Says(torch.cat([each, torch.tensor([0.5, -0.25])])[None])
    source, driving = torch.zeros(1, 21, 3), torch.randn(4, 21, 3)
    moved = stitched(head, source, driving) - driving
    expected = each.view(21, 3) + torch.tensor([0.5, -0.25, 0.0])
    torch.testing.assert_close(moved, expected.expand(4, 21, 3))


# Files


def test_published_pickles_become_safetensors_that_load(tmp_path: Path) -> None:
    made = tiny_networks()
    weights = converted_weights(made, tmp_path)
    loaded = LivePortraitNetworks.load(weights.locate(), TINY, "cpu")
    for ours, theirs in zip(loaded.all(), made.all(), strict=True):
        for (name, one), other in zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True):
            assert torch.equal(one, other), name
    assert not any(one.requires_grad for network in loaded.all() for one in network.parameters())
    assert isinstance(loaded.motion, MotionExtractor) and not loaded.motion.training


def test_what_is_fetched_is_what_is_loaded() -> None:
    entry = entry_named("liveportrait")
    files = {f"liveportrait/{file}.safetensors" for file in (*FILES.values(), HEADS_FILE)}
    assert set(entry.required) == files and entry.tensor_pickles and entry.commercial and entry.licence == "MIT"
    assert {pattern.replace(".pth", ".safetensors") for pattern in entry.patterns} == files
    tensors = sum(math.prod(shape) for network in published().values() for shape in network.values())
    assert entry.size_gib == pytest.approx(tensors * 4 / 2**30, abs=0.05)  # GiB: the table is rounded to a tenth


@pytest.mark.parametrize("place", [FILES["motion"], HEADS_FILE])
def test_a_state_dict_of_another_model_is_refused_in_one_line(tmp_path: Path, place: str) -> None:
    weights = converted_weights(tiny_networks(), tmp_path)
    path = tmp_path / "liveportrait" / f"{place}.safetensors"
    save_file({"conv_in.weight": torch.zeros(4, 4)}, path)
    with pytest.raises(MissingWeightsError, match=r"should be .* and is nothing") as caught:
        LivePortraitNetworks.load(weights.locate(), TINY, "cpu")
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    config = LivePortraitConfig(driving=RenderedDriving(film=ProceduralAnimatorConfig()), weights=weights, shape=TINY)
    recipe = replace(recipe_named("tiny"), animator=replace(config, segmenter=LandmarkSegmenterConfig()))
    with pytest.raises(MissingWeightsError, match=r"should be .* and is nothing"):
        require(recipe)  # what a build does before it does anything
    converted_weights(tiny_networks(), tmp_path)
    require(recipe)


def test_weights_of_another_size_and_tensors_too_many_are_refused(tmp_path: Path) -> None:
    weights = converted_weights(tiny_networks(), tmp_path)
    with pytest.raises(MissingWeightsError, match=r"appearance network: first\.conv\.weight should be \(64, 3, 3, 3\)"):
        LivePortraitNetworks.load(weights.locate(), LivePortraitShape(), "cpu")
    path = tmp_path / "liveportrait" / f"{FILES['generator']}.safetensors"
    save_file({**tiny_networks().generator.state_dict(), "more": torch.zeros(1)}, path)
    with pytest.raises(MissingWeightsError, match="has more, which that network does not know"):
        LivePortraitNetworks.load(weights.locate(), TINY, "cpu")
