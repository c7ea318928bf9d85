"""Drawn portraits whose parts are known, and the training of the part network on them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perse.data import TrackedPortrait
from perse.errors import InputError
from perse.tracking.kinds import KIND_PARTS, PixelKind
from perse.tracking.learned.part_network import PartInputs, _places
from perse.training.parsing import painting
from perse.training.parsing.examples import PartExample, prepare_example
from perse.training.parsing.fit import ACROSS, PartTrainingConfig, parts_loss, train_parts
from perse.training.parsing.painting import LabelledPortrait
from perse.training.parsing.part_polygons import read_labels
from perse.training.parsing.sources import packaged_walls
from perse.training.parsing.variations import EXAMPLE_PX, VariationConfig, vary


@pytest.fixture(scope="module")
def portrait(tracked_astronaut: TrackedPortrait) -> LabelledPortrait:
    labels = tracked_astronaut.masks.labels
    kinds = np.zeros(labels.shape, np.int16)
    for kind, parts in KIND_PARTS.items():
        kinds[np.isin(labels, parts)] = kind
    return LabelledPortrait(tracked_astronaut.image, kinds, tracked_astronaut.landmarks_px, "astronaut")


@pytest.fixture(scope="module")
def example(portrait: LabelledPortrait) -> PartExample:
    return prepare_example(portrait, 3, packaged_walls(), VariationConfig())


@pytest.mark.parametrize(
    ("painter", "kind"),
    [
        (painting.long_hair, PixelKind.HAIR),
        (painting.veil, PixelKind.HEADWEAR),
        (painting.hat, PixelKind.HEADWEAR),
        (painting.beard, PixelKind.BEARD),
        (painting.hand, PixelKind.SKIN),
        (painting.new_clothes, PixelKind.CLOTHES),
    ],
)
def test_what_is_painted_is_labelled_and_the_rest_stays(portrait: LabelledPortrait, painter, kind: PixelKind) -> None:  # type: ignore[no-untyped-def]
    gained = []
    for seed in range(4):
        after = painter(np.random.default_rng(seed), portrait)
        became = (after.kinds == kind) & (portrait.kinds != kind)
        gained.append(became.sum())
        # Where nothing changed its kind and no kind was repainted, the picture is the same.
        near = np.abs(after.image.astype(int) - portrait.image).max(-1) > 0
        relabelled = after.kinds != portrait.kinds
        assert near[relabelled].mean() > 0.9
        eyes = portrait.landmarks_px[[33, 133, 362, 263], :2].astype(int)
        if painter is not painting.hand:  # nothing is painted over the eyes
            assert all(not relabelled[y, x] for x, y in eyes)
    assert kind is PixelKind.CLOTHES or max(gained) > 200


def test_a_variation_follows_from_its_seed(portrait: LabelledPortrait) -> None:
    walls = packaged_walls()
    one, again, other = (vary(np.random.default_rng(seed), portrait, walls, VariationConfig()) for seed in (5, 5, 6))
    np.testing.assert_array_equal(one.image, again.image)
    np.testing.assert_array_equal(one.kinds, again.kinds)
    assert one.image.shape == (EXAMPLE_PX, EXAMPLE_PX, 3) and (one.image != other.image).any()
    assert set(np.unique(one.kinds)) <= {-1, *map(int, PixelKind)}


def test_landmarks_move_with_the_picture(portrait: LabelledPortrait) -> None:
    """The lips' centre is skin before and after, and the face keeps its place in the labels."""
    plain = VariationConfig(none=1.0)
    for seed in range(5):
        after = vary(np.random.default_rng(seed), portrait, (), plain)
        for mark in (1, 33, 263, 152):
            x, y = after.landmarks_px[mark, :2]
            before = portrait.landmarks_px[mark, :2].astype(int)
            assert after.kinds[int(y), int(x)] == portrait.kinds[before[1], before[0]]


def test_examples_come_back_from_bytes(example: PartExample) -> None:
    back = PartExample.from_bytes(example.to_bytes())
    assert back.source == "astronaut"
    np.testing.assert_array_equal(back.kinds, example.kinds)
    for name, values in vars(example.inputs).items():
        torch.testing.assert_close(getattr(back.inputs, name), values)


def test_the_channel_that_mirrors_is_the_coordinate_across(portrait: LabelledPortrait, example: PartExample) -> None:
    places = _places(portrait.landmarks_px, portrait.image.shape[0])
    across = example.inputs.fine[0, ACROSS].float().numpy()
    assert across[:, 0].max() < -1 and across[:, -1].min() > 1  # falls from one side to the other
    np.testing.assert_allclose(np.abs(across), example.inputs.fine[0, ACROSS + 1].float().numpy(), atol=1e-2)
    assert places[0].min() < 0 < places[0].max()


def slow_loss(logits: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """`parts_loss`, pixel by pixel."""
    entropy, weight = torch.zeros((), dtype=logits.dtype), 0.0
    overlap, area, seen = [0.0] * len(PixelKind), [0.0] * len(PixelKind), [0] * len(PixelKind)
    batch, _, rows, columns = logits.shape
    for b in range(batch):
        for y in range(rows):
            for x in range(columns):
                kind = int(wanted[b, y, x])
                if kind < 0:
                    continue
                shares = torch.exp(logits[b, :, y, x] - torch.logsumexp(logits[b, :, y, x], 0))
                entropy = entropy - weights[kind] * torch.log(shares[kind])
                weight += float(weights[kind])
                seen[kind] += 1
                for k in range(len(PixelKind)):
                    overlap[k] = overlap[k] + 2 * shares[k] * (k == kind)
                    area[k] = area[k] + shares[k] + (k == kind)
    dice = [1 - (overlap[k] + 1) / (area[k] + 1) for k in range(len(PixelKind)) if seen[k]]
    return entropy / weight + 0.5 * sum(dice) / len(dice)


def test_the_loss_and_its_gradient_are_those_of_a_slow_twin() -> None:
    torch.manual_seed(1)
    logits = torch.randn(2, len(PixelKind), 3, 4, dtype=torch.float64, requires_grad=True)
    wanted = torch.randint(-1, 4, (2, 3, 4))
    weights = torch.tensor([1.0, 2.0, 1.5, 1.0, 1.0, 3.0], dtype=torch.float64)
    fast, slow = parts_loss(logits, wanted, weights), slow_loss(logits, wanted, weights)
    torch.testing.assert_close(fast, slow)
    torch.testing.assert_close(*(torch.autograd.grad(value, logits)[0] for value in (fast, slow)))


def test_training_lowers_the_loss_and_repeats_itself(example: PartExample) -> None:
    config = PartTrainingConfig(steps=8, batch=1, rate=1e-2, noise=0.0)
    losses: list[float] = []
    first = train_parts([example], config, lambda step, loss: losses.append(loss))
    again = train_parts([example], config)
    assert losses[-1] < 0.9 * losses[0]
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    inputs = PartInputs(*(values.float() for values in vars(example.inputs).values()))
    assert torch.isfinite(first(inputs)).all()


def test_labels_know_their_pictures(tmp_path: Path) -> None:
    picture = tmp_path / "a.jpg"
    picture.write_bytes(b"pixels")
    polygons = [{"part": "hair", "points": [[0, 0], [4, 0], [4, 4]]}]
    known = {"name": "a", "sha256": hashlib.sha256(b"pixels").hexdigest(), "polygons": polygons}
    file = tmp_path / "labels.json"
    file.write_text(json.dumps({"pictures": [known]}))
    (labels,) = read_labels(file)
    assert labels.matches(picture)
    picture.write_bytes(b"others")
    assert not labels.matches(picture)
    for damaged in ("{", '{"pictures": [{"name": "a"}]}', "[]"):
        file.write_text(damaged)
        with pytest.raises(InputError, match="cannot be read"):
            read_labels(file)
