"""What a request says about attributes, and the latent code that comes of it."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data.images import encode_image
from perse.errors import MissingWeightsError
from perse.features import EmbeddedEncoder, EmbeddedEncoderConfig, OpenClipEncoderConfig
from perse.features.encoder import Features
from perse.viewing import Described, Encoders
from perse.viewing.attribute_mixes import AttributeMixer
from perse.viewing.picture_framing import framed
from perse_ray.serving.drawing.loaded_avatar import LoadedAvatar
from perse_ray.serving.drawing.tasks import Understand
from perse_ray.serving.schema.errors import UnknownName
from perse_ray.serving.schema.requests import RenderRequest


def code(loaded: LoadedAvatar, attributes: dict[str, Any]) -> torch.Tensor:
    return loaded.resolve(RenderRequest.model_validate({"attributes": attributes})).look.code


def test_a_sentence_names_the_learned_edits_that_are_nearest(loaded: LoadedAvatar) -> None:
    (found,) = Understand("a red hat")(loaded)
    assert found.category is Category.HAT and found.text == "a red hat"
    shares = [near.share for near in found.nearest]
    # Each share is rounded to three digits.
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=0.01)
    assert code(loaded, {"hat": {"text": found.text}}).isfinite().all()
    with pytest.raises(UnknownName, match="learned no nose"):
        Understand("a long nose")(loaded)


def test_what_nothing_learned_has_is_said(loaded: LoadedAvatar) -> None:
    hat, nose = Understand("a green hat with feathers and a long nose")(loaded)
    assert hat.category is Category.HAT and hat.not_learned == ["feather"] and hat.nearest
    assert nose.category is Category.NOSE and nose.nearest == []
    (hat,) = Understand("a red hat")(loaded)
    assert hat.not_learned == ["red"], "hair may be red; no hat is"


def test_none_is_as_photographed(loaded: LoadedAvatar) -> None:
    hair, hat = Understand("green hair without a hat")(loaded)
    assert hair.nearest and not hair.none
    assert hat.none and hat.nearest == [] and hat.not_learned == []


def hat(loaded: LoadedAvatar) -> tuple[str, str]:
    return next((s.key, s.text) for s in loaded.avatar.subjects if s.category is Category.HAT)


def test_a_subject_answers_to_its_id_its_prompt_and_words_of_it(loaded: LoadedAvatar) -> None:
    key, text = hat(loaded)
    own = loaded.avatar.subject_codes()[loaded.avatar.row(key)].detach()
    for name in (key, text, text.upper(), " ".join(text.split()[-2:])):
        # Float32 rounding of latents about one.
        assert torch.allclose(code(loaded, {"hat": {name: 1.0}}), own, atol=1e-6), name


def test_a_sum_adds_up(loaded: LoadedAvatar) -> None:
    key, text = hat(loaded)
    whole = code(loaded, {"hat": {key: 0.75}})
    # Float32 rounding of latents about one.
    assert torch.allclose(code(loaded, {"hat": [{key: 0.5}, {text: 0.25}]}), whole, atol=1e-6)


def test_a_description_in_a_learned_prompts_words_is_that_subject(loaded: LoadedAvatar) -> None:
    key, text = hat(loaded)
    named, described = code(loaded, {"hat": {key: 1}}), code(loaded, {"hat": {"text": text}})
    assert torch.allclose(named, described, atol=1e-4)  # float32: features of words go through the encoder twice
    half = code(loaded, {"hat": {"text": text, "weight": 0.5}})
    assert torch.allclose(half, code(loaded, {"hat": {key: 0.5}}), atol=1e-4)  # as above


def test_a_picture_of_somebody_is_framed_as_portraits_are(astronaut: NDArray[np.uint8]) -> None:
    picture = framed(astronaut)
    assert picture.shape == (512, 512, 3)
    assert (picture[:20, :20] > 240).all(), "the background is white"
    smaller = framed(np.pad(astronaut[:, :, :], ((100, 60), (80, 90), (0, 0)), mode="edge"))
    assert np.abs(picture.astype(int) - smaller).mean() < 12, "wherever the face was"
    nobody = np.full((40, 30, 3), 99, np.uint8)
    assert (framed(nobody) == nobody).all()


def test_a_picture_describes_too(loaded: LoadedAvatar) -> None:
    picture = base64.b64encode(encode_image(np.full((40, 30, 3), 99, np.uint8), "jpeg")).decode()
    described = code(loaded, {"hat": {"image": picture}})
    others = [k for k in range(len(described)) if k != Category.HAT.index]
    assert torch.equal(described[others], code(loaded, {})[others])
    assert not torch.equal(described, code(loaded, {}))


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({"hat": {"zebra": 1}}, "there is no hat 'zebra'; choose among"),
        ({"hat": {"image": base64.b64encode(b"GIF89a").decode()}}, "not a PNG, JPEG"),
        ({"nose": {"long": 1}}, "learned no nose"),
        ({"nose": {"text": "long"}}, "learned no nose"),
    ],
)
def test_what_cannot_be_understood_is_explained(loaded: LoadedAvatar, attributes: dict[str, Any], says: str) -> None:
    if not any(s.category is Category.NOSE for s in loaded.avatar.subjects) or "nose" not in attributes:
        with pytest.raises(UnknownName, match=says):
            code(loaded, attributes)


def test_an_encoder_of_another_avatar_is_not_believed(loaded: LoadedAvatar) -> None:
    class Other(EmbeddedEncoder):
        def encode(self, images: Any, texts: Any) -> Features:
            found = super().encode(images, texts)
            return Features(found.image.flip(-1), found.text.flip(-1))

    class Others(Encoders):
        def named(self, name: str) -> Other:
            return Other()

    with pytest.raises(UnknownName, match="other weights"):
        AttributeMixer(loaded.avatar, Others()).mixed({Category.HAT: (Described("red"),)})


def test_encoders_by_name(tmp_path: Path) -> None:
    assert isinstance(Encoders().named(EmbeddedEncoderConfig().name), EmbeddedEncoder)
    assert isinstance(Encoders().named(""), EmbeddedEncoder)
    clip = OpenClipEncoderConfig(checkpoint=tmp_path / "clip.pt")
    with pytest.raises(UnknownName, match="without CLIP's weights"):
        Encoders().named(clip.name)
    with pytest.raises(MissingWeightsError, match="found no file"):
        Encoders(clip.checkpoint).named(clip.name)
    with pytest.raises(UnknownName, match="'my own'"):
        Encoders().named("my own")


def test_the_record_tells_what_was_worn(loaded: LoadedAvatar) -> None:
    key, text = hat(loaded)
    worn = RenderRequest.model_validate({"attributes": {"hat": [{text: 0.5}, {"text": "a crown"}]}})
    found = loaded.provenance([loaded.resolve(worn)]).edits
    assert {(edit.subject, edit.text, edit.weight) for edit in found} == {
        (key, text, 0.5),
        ("described", "a crown", 1.0),
    }
