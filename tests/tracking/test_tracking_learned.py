"""The network that corrects parts: what it builds on, when it says nothing, and what a correction changes."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from tolerances import SINGLE_SUM

from perse.attributes import Part
from perse.data import TrackedPortrait
from perse.errors import MissingWeightsError
from perse.tracking.detection import person_probability
from perse.tracking.kinds import KIND_PARTS, FoundKinds, PixelKind
from perse.tracking.learned import weights
from perse.tracking.learned.correction import LEAST_RADIUS, SURE_BY, SURE_OF_PIECE, skin_pieces, with_missed_skin
from perse.tracking.learned.parser import LearnedParser
from perse.tracking.learned.part_network import WORK_PX, PartInputs, PartNetwork, estimate_of
from perse.tracking.learned.person_features import person_features, person_network
from perse.tracking.learned.weights import PACKAGED, load_network, packaged_digest, read_recipe, weights_bytes
from perse.tracking.parser import ProceduralParser


def found_in(portrait: TrackedPortrait) -> FoundKinds:
    """What the portrait's masks say, without its soft skin parts."""
    masks = portrait.masks
    shares = np.stack([sum(masks[part] for part in KIND_PARTS[kind]) for kind in PixelKind]).astype(np.float32)
    nothing = np.zeros_like(shares[0])
    parts = (Part.MOUTH, Part.EYES, Part.BROWS, Part.NOSE, Part.EARS, Part.NECK)
    return FoundKinds(shares, 1 - shares[PixelKind.BACKGROUND], {part: nothing for part in parts})


class Convinced(torch.nn.Module):
    """A network that is sure of one kind inside a rectangle, and of nothing else."""

    def __init__(self, kind: PixelKind, rows: slice, columns: slice) -> None:
        super().__init__()
        self.kind, self.rows, self.columns = kind, rows, columns

    def forward(self, inputs: PartInputs) -> torch.Tensor:
        logits = inputs.fine[:, -len(PixelKind) :].clamp(min=0.02).log()
        logits[:, self.kind, self.rows, self.columns] += 20
        return logits


def test_the_layers_run_here_give_mediapipes_own_mask(astronaut: np.ndarray) -> None:
    small = np.asarray(cv2.resize(astronaut, (256, 256), interpolation=cv2.INTER_AREA), np.uint8)
    ours = person_features(small)[person_network().output][0, 0].numpy()
    theirs = person_probability(small)
    assert theirs.std() > 0.3  # there is a person, and something else
    np.testing.assert_allclose(ours, theirs, atol=1e-3)  # one network in two libraries: a quarter of a grey level


def moved(portrait: TrackedPortrait, found: FoundKinds, network: torch.nn.Module) -> FoundKinds:
    return with_missed_skin(found, portrait.image, portrait.landmarks_px, portrait.face_width_px, network)  # type: ignore[arg-type]


def test_an_untrained_network_believes_the_colour_models(tracked_astronaut: TrackedPortrait) -> None:
    found = found_in(tracked_astronaut)
    assert moved(tracked_astronaut, found, PartNetwork().eval()) is found


def test_a_piece_becomes_skin_and_nothing_else_changes(tracked_astronaut: TrackedPortrait) -> None:
    found = found_in(tracked_astronaut)
    after = moved(tracked_astronaut, found, Convinced(PixelKind.SKIN, slice(100, 120), slice(50, 80)))  # on the collar
    np.testing.assert_allclose(after.shares.sum(0), found.shares.sum(0), atol=SINGLE_SUM)
    np.testing.assert_array_equal(after.person, found.person)
    was = found.shares.argmax(0)[404:476, 204:316]
    assert (was == PixelKind.CLOTHES).mean() > 0.9
    assert (after.shares.argmax(0)[404:476, 204:316] == PixelKind.SKIN).mean() > 0.9
    away = np.ones(found.person.shape, bool)
    away[370:510, 170:350] = False
    np.testing.assert_array_equal(after.shares[:, away], found.shares[:, away])


def test_nothing_becomes_hair_clothes_or_headwear(tracked_astronaut: TrackedPortrait) -> None:
    """Measured on pictures that were left out: there the colour models are the better ones."""
    found = found_in(tracked_astronaut)
    for kind in (PixelKind.BACKGROUND, PixelKind.HAIR, PixelKind.CLOTHES, PixelKind.HEADWEAR):
        assert moved(tracked_astronaut, found, Convinced(kind, slice(20, 120), slice(30, 100))) is found


def test_pieces_must_be_thick_and_sure() -> None:
    size, width = 64, 40.0
    estimate = np.zeros((len(PixelKind), size, size), np.float32)
    estimate[PixelKind.CLOTHES] = 1
    likely = estimate.copy()

    def claim(rows: slice, columns: slice, share: float) -> None:
        likely[PixelKind.SKIN, rows, columns], likely[PixelKind.CLOTHES, rows, columns] = share, 1 - share

    claim(slice(5, 15), slice(5, 15), 0.9)
    claim(slice(40, 50), slice(5, 15), 0.5 + 0.4 * SURE_BY)  # hardly likelier than before
    claim(slice(20, 30), slice(20, 30), 0.5 + 0.4 * SURE_OF_PIECE)  # all of it a little likelier
    claim(slice(5, 60), slice(40, 44), 0.9)  # large, and no thicker than an outline
    assert 2 < LEAST_RADIUS * width < 5
    wanted = np.zeros((size, size), bool)
    wanted[5:15, 5:15] = True
    np.testing.assert_array_equal(skin_pieces(estimate, likely, width), wanted)


def test_the_packaged_weights_leave_the_sample_portrait_alone(tracked_astronaut: TrackedPortrait) -> None:
    """Its parts are right, and every published figure was measured with them."""
    image, points = tracked_astronaut.image, tracked_astronaut.landmarks_px
    plain = ProceduralParser().parse(image, points, inside=tracked_astronaut.inside)
    np.testing.assert_array_equal(tracked_astronaut.masks.soft, plain.soft)
    np.testing.assert_array_equal(tracked_astronaut.masks.person, plain.person)


def test_the_packaged_weights_say_how_they_were_made() -> None:
    path = Path(weights.__file__).parent / PACKAGED
    recipe = read_recipe(path)
    assert {"examples", "seeds", "sources", "training", "variation"} <= recipe.keys()
    assert path.stat().st_size < 1 << 20
    assert packaged_digest() in repr(LearnedParser())  # other weights, other keys


def test_weights_come_back_with_their_recipe(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = PartNetwork()
    torch.nn.init.normal_(network.head.weight)
    file = tmp_path / "w.safetensors"
    file.write_bytes(weights_bytes(network, {"examples": "3"}))
    assert read_recipe(file) == {"examples": "3"}
    for name, value in load_network(file).state_dict().items():
        torch.testing.assert_close(value, network.state_dict()[name], atol=1e-3, rtol=1e-3)  # kept as float16: 5e-4
    with pytest.raises(MissingWeightsError):
        load_network(tmp_path / "nothing.safetensors")


def test_the_estimate_is_shrunk_to_probabilities() -> None:
    shares = np.random.default_rng(0).random((len(PixelKind), 256, 256)).astype(np.float32)
    small = estimate_of(shares)
    assert small.shape == (len(PixelKind), WORK_PX, WORK_PX)
    np.testing.assert_allclose(small.sum(0), 1, atol=SINGLE_SUM)
