"""Encoders are deterministic, give unit vectors, keep different edits apart and load real checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.errors import MissingWeightsError
from perse.features import EmbeddedEncoder, OpenClipEncoder, OpenClipEncoderConfig, PromptImageEncoder

ARCHITECTURE = "test-ViT-512"


@pytest.fixture(scope="module")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real open_clip model of the same class, small and random, saved the way users' weights are."""
    import json

    import open_clip
    from safetensors.torch import save_model

    folder = tmp_path_factory.mktemp("clip")
    sizes = {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 64, "head_width": 32, "patch_size": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }
    (folder / f"{ARCHITECTURE}.json").write_text(json.dumps(sizes))
    open_clip.add_model_config(folder)
    torch.manual_seed(3)
    save_model(open_clip.create_model(ARCHITECTURE, pretrained=None), str(folder / "clip.safetensors"))
    return folder / "clip.safetensors"


@pytest.fixture(params=["embedded", "open_clip"])
def encoder(request: pytest.FixtureRequest) -> PromptImageEncoder:
    if request.param == "embedded":
        return EmbeddedEncoder()
    checkpoint = request.getfixturevalue("clip_checkpoint")
    return OpenClipEncoder(OpenClipEncoderConfig(checkpoint=checkpoint, architecture=ARCHITECTURE))


def _edits(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The portrait, dark brows, and a red hat painted as a block."""
    brows, hat = astronaut.copy(), astronaut.copy()
    brows[100:106, 195:245] = 20
    hat[0:60, 150:300] = (200, 20, 20)
    return np.stack([astronaut, brows, hat])


TEXTS = ["a person with a red wool beanie", "a person with a blue wool beanie", "thick dark eyebrows"]


def test_unit_vectors_of_the_right_width(encoder: PromptImageEncoder, astronaut: NDArray[np.uint8]) -> None:
    features = encoder.encode(_edits(astronaut), TEXTS)
    for vectors in (features.image, features.text):
        assert vectors.shape == (3, 512) and vectors.dtype == torch.float32
        assert torch.allclose(vectors.norm(dim=-1), torch.ones(3), atol=1e-5)


def test_a_batch_is_its_members(encoder: PromptImageEncoder, astronaut: NDArray[np.uint8]) -> None:
    images = _edits(astronaut)
    together = encoder.encode(images, TEXTS)
    for row in range(3):
        alone = encoder.encode(images[row : row + 1], TEXTS[row : row + 1])
        assert torch.allclose(alone.image[0], together.image[row], atol=1e-5)
        assert torch.allclose(alone.text[0], together.text[row], atol=1e-5)


def test_wrong_batches_are_refused(encoder: PromptImageEncoder, astronaut: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="sentence"):
        encoder.encode(astronaut[None], TEXTS)
    with pytest.raises(ValueError, match="uint8"):
        encoder.encode(astronaut[None] / 255.0, TEXTS[:1])


def test_small_edits_move_the_picture_little_and_large_ones_more(astronaut: NDArray[np.uint8]) -> None:
    portrait, brows, hat = EmbeddedEncoder().encode(_edits(astronaut), TEXTS).image
    assert 1e-4 < (brows - portrait).norm() < (hat - portrait).norm()


def test_sentences_that_share_words_are_near(astronaut: NDArray[np.uint8]) -> None:
    red, blue, thick = EmbeddedEncoder().encode(_edits(astronaut), TEXTS).text
    assert red @ blue > 0.5 > abs(red @ thick)
    assert not torch.equal(red, blue)


def test_weights_must_exist_fit_and_be_safe(clip_checkpoint: Path, tmp_path: Path) -> None:
    def build(path: Path, architecture: str = ARCHITECTURE) -> Callable[[], OpenClipEncoder]:
        return lambda: OpenClipEncoder(OpenClipEncoderConfig(checkpoint=path, architecture=architecture))

    with pytest.raises(MissingWeightsError, match="not there"):
        build(tmp_path / "absent.safetensors")()
    pickled = tmp_path / "model.pt"
    pickled.write_bytes(b"x")
    with pytest.raises(MissingWeightsError, match="refused"):
        build(pickled)()
    with pytest.raises(MissingWeightsError, match="does not hold"):
        build(clip_checkpoint, "ViT-B-32")()
