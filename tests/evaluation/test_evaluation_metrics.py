"""The paper's metrics against other people's implementations, and what they say without weights."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from tolerances import DOUBLE

from perse.errors import MissingWeightsError
from perse.evaluation.learned_distance import LearnedDistance
from perse.evaluation.metrics import (
    Metric,
    MetricTable,
    embedding_similarity,
    frechet_distance,
    kernel_distance,
    measured,
    path_lengths,
    set_distances,
    subject_consistency,
)
from perse.evaluation.metrics.sets import INCEPTION_FILE, EmbeddedFeatures, InceptionFeatures
from perse.evaluation.metrics.similarity import DinoFeatures
from perse.synthesis.production.model_store import Weights


@pytest.fixture
def features() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(12, 12))
    return rng.normal(size=(60, 12)) @ mixing, rng.normal(size=(60, 12)) @ mixing * 1.3 + 0.4


def test_frechet_distance_of_known_gaussians() -> None:
    """Of two isotropic Gaussians: w (σ_a − σ_b)² + |μ_a − μ_b|²."""
    rng = np.random.default_rng(1)
    a, b = rng.normal(size=(200_000, 4)), 3 + 2 * rng.normal(size=(200_000, 4))
    # 200,000 samples: a mean is known to .2 %, a variance to .3 %.
    assert frechet_distance(a, b) == pytest.approx(4 * 1 + 4 * 9, rel=0.01)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-9)  # float64: the root of a product of covariances


def test_set_distances_agree_with_torchmetrics(features) -> None:  # type: ignore[no-untyped-def]
    fid = pytest.importorskip("torchmetrics.image.fid")
    kid = pytest.importorskip("torchmetrics.image.kid")
    a, b = features
    means = [torch.from_numpy(one.mean(0)) for one in (a, b)]
    covariances = [torch.from_numpy(np.cov(one, rowvar=False)) for one in (a, b)]
    theirs = float(fid._compute_fid(means[0], covariances[0], means[1], covariances[1]))
    # Float64 of the same covariances, whose root is taken in two ways.
    assert frechet_distance(a, b) == pytest.approx(theirs, rel=1e-6)
    value, deviation = kernel_distance(a, b)
    assert value == pytest.approx(float(kid.poly_mmd(torch.from_numpy(a), torch.from_numpy(b))), rel=DOUBLE)
    assert deviation == 0  # one subset holds them all


def test_the_kernel_distance_of_one_distribution_is_nothing_on_average() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 400, 8))
    same, _ = kernel_distance(a, b)
    other, _ = kernel_distance(a, b + 0.7)
    assert abs(same) < 0.05 * other
    with pytest.raises(ValueError, match="two pictures"):
        kernel_distance(a[:1], b)


def test_fid_takes_a_supplied_network_and_no_other(tmp_path) -> None:  # type: ignore[no-untyped-def]
    class Pool(torch.nn.Module):
        def forward(self, pictures: torch.Tensor) -> torch.Tensor:
            return pictures.float().mean((2, 3))

    weights = Weights(name="inception-fid", folder=tmp_path)
    with pytest.raises(MissingWeightsError):
        InceptionFeatures(weights)
    torch.jit.script(Pool()).save(str(tmp_path / INCEPTION_FILE))
    pictures = np.random.default_rng(0).integers(0, 255, (20, 8, 8, 3), np.uint8)
    found = set_distances(pictures, pictures, InceptionFeatures(weights))
    assert found.frechet == pytest.approx(0, abs=1e-6) and found.pictures == 20  # float64: features up to 255, squared
    # Float32: means of 64 numbers.
    np.testing.assert_allclose(InceptionFeatures(weights)(pictures), pictures.mean((1, 2)), rtol=1e-5)


def test_embedded_distances_grow_with_the_difference() -> None:
    rng = np.random.default_rng(3)
    real = rng.integers(0, 255, (12, 32, 32, 3), np.uint8)
    near = np.clip(real + rng.integers(-20, 20, real.shape), 0, 255).astype(np.uint8)
    far = (0.5 * real).astype(np.uint8)
    a, b = (set_distances(real, one, EmbeddedFeatures()) for one in (near, far))
    assert 0 < a.frechet < b.frechet and a.kernel < b.kernel


def test_lpips_agrees_with_torchmetrics(tmp_path) -> None:  # type: ignore[no-untyped-def]
    theirs = pytest.importorskip("torchmetrics.functional.image.lpips")
    pytest.importorskip("lpips")
    from safetensors.torch import save_file

    net = theirs._LPIPS(pretrained=True, net="vgg", pnet_rand=True, eval_mode=True)
    state = {f"features.{name.split('.', 1)[1]}": value for name, value in net.net.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, tmp_path / "vgg.safetensors")
    a, b = np.random.default_rng(0).integers(0, 255, (2, 1, 40, 40, 3), np.uint8)
    signed = [torch.from_numpy(one).permute(0, 3, 1, 2).float() / 127.5 - 1 for one in (a, b)]
    with torch.no_grad():
        wanted = float(net(*signed))
    # Float32 through thirteen convolutions.
    assert LearnedDistance(tmp_path / "vgg.safetensors")(a, b) == pytest.approx(wanted, rel=1e-4)


def test_path_lengths_are_sum_and_deviation_of_the_steps() -> None:
    places = np.array([0, 10, 30, 40])
    path = np.broadcast_to(places[:, None, None, None], (4, 2, 2, 3)).astype(np.uint8)
    found = path_lengths([path, path], lambda a, b: float(np.abs(a.astype(int) - b).mean()))
    assert found.total == 40 and found.paths == 2
    assert found.deviation == pytest.approx(np.std([10, 20, 10]))
    with pytest.raises(ValueError, match="two pictures"):
        path_lengths([path[:1]], lambda a, b: 0.0)


def test_consistency_and_identity_are_cosines() -> None:
    def describe(pictures: np.ndarray) -> np.ndarray:
        return pictures[:, 0, 0, :].astype(np.float32)

    class Embedder:
        def embed(self, image: np.ndarray) -> np.ndarray | None:
            return image[0, 0].astype(np.float32) if image.any() else None

    frames = np.zeros((3, 1, 1, 3), np.uint8)
    frames[:, 0, 0] = [[1, 0, 0], [1, 0, 0], [0, 1, 0]]
    assert subject_consistency(frames, describe) == pytest.approx((1 + 0) / 2)
    assert embedding_similarity(Embedder(), frames[:2], frames[1:]) == pytest.approx(0.5)
    assert math.isnan(embedding_similarity(Embedder(), 0 * frames, frames))


def test_dino_loads_the_real_architecture_from_a_file(tmp_path) -> None:  # type: ignore[no-untyped-def]
    timm = pytest.importorskip("timm")
    from safetensors.torch import save_file

    weights = Weights(name="dino-vit-s16", folder=tmp_path)
    with pytest.raises(MissingWeightsError):
        DinoFeatures(weights)
    network = timm.create_model("vit_small_patch16_224.dino", pretrained=False, num_classes=0)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    pictures = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    found = DinoFeatures(weights)(pictures)
    assert found.shape == (2, 384) and not np.allclose(found[0], found[1])
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(MissingWeightsError, match="does not hold"):
        DinoFeatures(weights)


def test_a_metric_without_weights_says_so_in_its_table() -> None:
    def absent() -> float:
        raise MissingWeightsError("weights inception-fid are not\n  there; put them into a folder")

    row = {"PSNR": measured(lambda: 31.5), "FID": measured(absent), "identity": Metric(float("nan"))}
    table = MetricTable("Table 1", {"part bases": row})
    text = table.markdown()
    assert "| part bases | 31.5000 | no weights | – |" in text
    assert text.splitlines()[-1] == "FID: weights inception-fid are not there; put them into a folder"
    cells = json.loads(table.json())["rows"]["part bases"]
    assert cells["FID"]["value"] is None and cells["identity"]["value"] is None and cells["PSNR"]["value"] == 31.5
    with pytest.raises(ZeroDivisionError):
        measured(lambda: 1 / 0)
    with pytest.raises(ValueError, match="same columns"):
        MetricTable("t", {"a": row, "b": {}})
