"""CLIP's opinion and networks of one's own in the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from perse.attributes import Category
from perse.data import AttributePrompt, EditedPortrait, TrackedPortrait
from perse.errors import MissingWeightsError
from perse.features import OpenClipEncoderConfig
from perse.synthesis.production.identity_net import NetworkEmbedderConfig, aligned
from perse.synthesis.production.production_screen import ProductionScreen, ProductionScreenConfig
from perse.synthesis.screen import ProceduralScreenConfig


class Averages(torch.nn.Module):
    """A descriptor: mean colours of the four quarters of a face."""

    def forward(self, face: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(face, (2, 2)).flatten(1)


def number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + varint(value)


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])


def text(field: int, value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return bytes([field << 3 | 2]) + varint(len(content)) + content


def averages_as_onnx(size: int) -> bytes:
    """The same mean colours (of the whole face) as an ONNX file, written field by field: no exporter is installed."""

    def tensor(name: str, *shape: int) -> bytes:
        dimensions = b"".join(text(1, number(1, length)) for length in shape)
        return text(1, name) + text(2, text(1, number(1, 1) + text(2, dimensions)))

    pool = text(1, "face") + text(2, "mean") + text(4, "GlobalAveragePool")
    flat = text(1, "mean") + text(2, "descriptor") + text(4, "Flatten")
    graph = text(1, pool) + text(1, flat) + text(2, "averages")
    graph += text(11, tensor("face", 1, 3, size, size)) + text(12, tensor("descriptor", 1, 3))
    return number(1, 8) + text(7, graph) + text(8, text(1, "") + number(2, 13))


def edit_of(portrait: TrackedPortrait, image: np.ndarray, sentence: str) -> EditedPortrait:
    mask = np.full(image.shape[:2], 255, np.uint8)
    mask[:300] = 0
    prompt = AttributePrompt("hat-0000", Category.HAT, (), sentence, 0)
    return EditedPortrait("k", prompt, image, portrait.masks, mask, (), None, ())


def test_clip_scores_join_the_measurements(tracked_astronaut: TrackedPortrait, tiny_clip: Path) -> None:
    encoder = OpenClipEncoderConfig(checkpoint=tiny_clip, architecture="perse-tiny-clip")
    image = tracked_astronaut.image.copy()
    image[330:500, 100:400] = (200, 30, 30)
    edit = edit_of(tracked_astronaut, image, "a person in a red shirt")
    loose = ProductionScreen(ProductionScreenConfig(encoder=encoder, min_agreement=-1, min_gain=-1))
    verdict = loose.screen(tracked_astronaut, edit)
    scores = dict(verdict.scores)
    assert verdict.accepted and -1 <= scores["clip_agreement"] <= 1 and scores["clip_gain"] != 0
    assert "identity_distance" in scores and list(verdict.scores) == sorted(verdict.scores)
    strict = ProductionScreen(ProductionScreenConfig(encoder=encoder, min_agreement=0.99, min_gain=0.9))
    refused = strict.screen(tracked_astronaut, edit)
    assert not refused.accepted and len(refused.reasons) == 2 and "CLIP agreement" in refused.reasons[0]


def test_an_unchanged_picture_gains_nothing(tracked_astronaut: TrackedPortrait, tiny_clip: Path) -> None:
    config = ProductionScreenConfig(
        encoder=OpenClipEncoderConfig(checkpoint=tiny_clip, architecture="perse-tiny-clip"), min_agreement=-1
    )
    verdict = ProductionScreen(config).screen(
        tracked_astronaut, edit_of(tracked_astronaut, tracked_astronaut.image, "x")
    )
    # A difference of two float32 cosines of the same picture.
    assert dict(verdict.scores)["clip_gain"] == pytest.approx(0, abs=1e-6)
    assert not verdict.accepted, "nothing changed, say the measurements"


def test_embedders_from_files(tracked_astronaut: TrackedPortrait, tmp_path: Path) -> None:
    torch.jit.script(Averages()).save(str(tmp_path / "face.pt"))
    (tmp_path / "face.onnx").write_bytes(averages_as_onnx(112))
    image = tracked_astronaut.image
    for name, length in (("face.pt", 12), ("face.onnx", 3)):
        embedder = NetworkEmbedderConfig(file=tmp_path / name).build()
        descriptor = embedder.embed(image)
        assert descriptor is not None and descriptor.shape == (length,)
        assert np.linalg.norm(descriptor) == pytest.approx(1, abs=1e-5)  # float32: a norm
        mirrored = embedder.embed(np.ascontiguousarray(image[..., ::-1]))
        assert mirrored is not None and np.linalg.norm(descriptor - mirrored) > 1e-3
        assert embedder.embed(np.zeros((64, 64, 3), np.uint8)) is None
    screen = ProductionScreen(
        ProductionScreenConfig(
            embedder=NetworkEmbedderConfig(file=tmp_path / "face.pt"),
            measurements=ProceduralScreenConfig(max_identity_distance=1e-6),
        )
    )
    verdict = screen.screen(tracked_astronaut, edit_of(tracked_astronaut, np.roll(image, 1, 0), "x"))
    assert any("another person" in reason for reason in verdict.reasons)


def test_the_networks_agree_on_what_they_average(tracked_astronaut: TrackedPortrait, tmp_path: Path) -> None:
    (tmp_path / "face.onnx").write_bytes(averages_as_onnx(112))
    rgb = NetworkEmbedderConfig(file=tmp_path / "face.onnx").build().embed(tracked_astronaut.image)
    bgr = NetworkEmbedderConfig(file=tmp_path / "face.onnx", bgr=True).build().embed(tracked_astronaut.image)
    assert np.allclose(rgb, bgr[::-1], atol=1e-5)  # float32: means of 12,544 pixels, by two programs
    face = aligned(tracked_astronaut.image, tracked_astronaut.landmarks_px, 112)
    mean = (face.astype(np.float32) / 127.5 - 1).mean((0, 1))
    # The embedder detects the landmarks again, in the crop: they differ by a fraction of a pixel.
    assert float(mean @ rgb / np.linalg.norm(mean)) > 0.99


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="no file"):
        NetworkEmbedderConfig(file=tmp_path / "face.onnx").build()
    (tmp_path / "noise.onnx").write_bytes(b"noise")
    with pytest.raises(MissingWeightsError, match="ONNX"):
        NetworkEmbedderConfig(file=tmp_path / "noise.onnx").build()
