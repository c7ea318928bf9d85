"""Both encoders keep one contract; the embedded one tells edits apart, CLIP's is loaded and fed as CLIP was."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from shape_checker import unchecked

from perse.errors import MissingWeightsError
from perse.features import EmbeddedEncoder, OpenClipEncoder, PromptImageEncoder, UnrelatedEncoderConfig
from perse.features.embedded import describe_text

TEXTS = ["A person wearing a red beanie", "A person with long curly blond hair", "A person with a full gray beard"]


@pytest.fixture(scope="module")
def clip_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CLIP of the real classes with two thin layers, saved as a checkpoint and known to open_clip by name."""
    open_clip = pytest.importorskip("open_clip")
    folder = tmp_path_factory.mktemp("clip")
    layers = {"width": 64, "layers": 2}
    config = {
        "embed_dim": 512,
        "vision_cfg": {"image_size": 64, "patch_size": 32, "head_width": 32, **layers},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "heads": 2, **layers},
    }
    (folder / "tiny-test-clip.json").write_text(json.dumps(config))
    open_clip.add_model_config(folder / "tiny-test-clip.json")
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-test-clip", pretrained=None)
    path = folder / "weights.safetensors"
    save_file({name: value.contiguous() for name, value in model.state_dict().items()}, path)
    return path


@pytest.fixture(params=["embedded", "open_clip", "unrelated"])
def encoder(request: pytest.FixtureRequest) -> PromptImageEncoder:
    if request.param == "embedded":
        return EmbeddedEncoder()
    if request.param == "unrelated":
        return UnrelatedEncoderConfig().build()
    return OpenClipEncoder(request.getfixturevalue("clip_checkpoint"), architecture="tiny-test-clip")


@pytest.fixture
def portraits(astronaut: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same portrait with a red cap, with a yellow shirt, and as it is."""
    hat, shirt, plain = astronaut[:256, 100:356].copy(), astronaut[:256, 100:356].copy(), astronaut[:256, 100:356]
    hat[20:75, 70:180] = (200, 20, 30)
    shirt[190:, 30:230] = (240, 220, 40)
    return np.stack([hat, shirt, plain])


def test_contract(encoder: PromptImageEncoder, portraits: NDArray[np.uint8]) -> None:
    features = encoder.encode(portraits, TEXTS)
    for values in (features.image, features.text):
        assert values.shape == (3, 512) and values.dtype == torch.float32 and not values.requires_grad
        torch.testing.assert_close(values.norm(dim=1), torch.ones(3))
    again = encoder.encode(portraits, TEXTS)
    assert torch.equal(features.image, again.image) and torch.equal(features.text, again.text)
    alone = encoder.encode(portraits[1:2], TEXTS[1:2])
    # Float32: products of a batch of three are summed in another order than of one.
    torch.testing.assert_close(alone.image[0], features.image[1], atol=1e-5, rtol=0)
    torch.testing.assert_close(alone.text[0], features.text[1], atol=1e-5, rtol=0)  # as above
    nobody = encoder.encode(portraits[:0], [])
    assert nobody.image.shape == nobody.text.shape == (0, 512)


def test_wrong_arguments_are_named(encoder: PromptImageEncoder, portraits: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="one text an image"):
        encoder.encode(portraits, TEXTS[:2])
    with pytest.raises(ValueError, match="uint8"):
        unchecked(type(encoder).encode)(encoder, portraits.astype(np.float32), TEXTS)


def test_edits_are_far_apart_and_noise_is_not(portraits: NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(0).integers(-4, 5, portraits.shape)
    noisy = (portraits + noise).clip(0, 255).astype(np.uint8)
    clean, disturbed = (EmbeddedEncoder().encode(p, TEXTS).image for p in (portraits, noisy))
    within = (clean - disturbed).norm(dim=1).max()
    between = torch.cdist(clean, clean)[~torch.eye(3, dtype=torch.bool)].min()
    assert float(between) > 5 * float(within)
    assert float(between) > 0.1


def test_size_does_not_matter(portraits: NDArray[np.uint8]) -> None:
    half = portraits.reshape(3, 128, 2, 128, 2, 3).mean((2, 4)).astype(np.uint8)
    a, b = (EmbeddedEncoder().encode(p, TEXTS).image for p in (portraits, half))
    assert float((a * b).sum(1).min()) > 0.995


def test_similar_sentences_are_near() -> None:
    texts = [
        "A person with long curly blond hair",
        "A person with long, curly blonde hair.",
        "A person with short straight black hair",
        "A person wearing a red beanie",
    ]
    text = EmbeddedEncoder().encode(np.zeros((4, 8, 8, 3), np.uint8), texts).text
    same, other_hair, hat = (text[0] @ text[1:].T).tolist()
    assert same > 0.7 > other_hair > hat
    assert hat < 0.35


def test_a_sentence_without_words_is_zero() -> None:
    text = EmbeddedEncoder().encode(np.zeros((1, 8, 8, 3), np.uint8), ["…"]).text
    assert float(text.abs().max()) == 0


def test_unrelated_features_tell_subjects_apart_and_nothing_else() -> None:
    pictures, texts = np.zeros((3, 8, 8, 3), np.uint8), ["a red cap", "a red cap ", "a yellow shirt"]
    features = UnrelatedEncoderConfig().build().encode(pictures, texts)
    for values in (features.image, features.text):
        assert float((values @ values.T - torch.eye(3)).abs().max()) < 0.2  # nearly the same words are as far as others


def test_another_process_finds_the_same() -> None:
    # Python's own hash of strings differs from process to process.
    code = (
        "from perse.features.embedded import describe_text; import numpy as np; "
        "print((describe_text('a gray beard') * np.arange(512)).sum())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(found) == float((describe_text("a gray beard") * np.arange(512)).sum())


def test_clip_sees_pictures_as_it_was_trained(clip_checkpoint: Path, portraits: NDArray[np.uint8]) -> None:
    from open_clip.transform import image_transform

    encoder = OpenClipEncoder(clip_checkpoint, architecture="tiny-test-clip")
    expected = image_transform(64, is_train=False)(PIL.Image.fromarray(portraits[0]))
    found = encoder.prepare(portraits[:1])[0]
    assert found.shape == (3, 64, 64)
    # Pillow rounds to 8 bits after each of the two passes of its resampling.
    assert float((found - expected).abs().max()) < 4 / 255 / 0.26
    assert float((found - expected).abs().mean()) < 1 / 255 / 0.26


def test_clip_without_weights_says_so(clip_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingWeightsError, match="found no file"):
        OpenClipEncoder(tmp_path / "absent.safetensors")
    with pytest.raises(MissingWeightsError, match="does not hold the weights of tiny-test-clip"):
        save_file({"something": torch.zeros(2)}, tmp_path / "other.safetensors")
        OpenClipEncoder(tmp_path / "other.safetensors", architecture="tiny-test-clip")
    torch.save({"something": torch.zeros(2)}, tmp_path / "other.pt")
    with pytest.raises(MissingWeightsError, match=r"pickled.*perse models convert .*other\.pt"):
        OpenClipEncoder(tmp_path / "other.pt", architecture="tiny-test-clip")
    with pytest.raises(MissingWeightsError, match="no architecture"):
        OpenClipEncoder(clip_checkpoint, architecture="no-such-model")
