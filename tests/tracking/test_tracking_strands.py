"""Hair over a garment of its own tone: told apart by streaks, wherever they lie."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from perse.tracking.colors import to_lab
from perse.tracking.frame import FaceCoordinates
from perse.tracking.materials import Material, estimate_materials
from perse.tracking.strands import discriminant, hair_or_cloth, looks, place_of_cloth

SIZE, WIDTH = 512, 150.0


def frame(size: int = SIZE, width: float = WIDTH) -> FaceCoordinates:
    rows, columns = np.mgrid[:size, :size].astype(np.float32) + 0.5
    across, down = (columns - 256 * size / SIZE) / width, (rows - 210 * size / SIZE) / width
    return FaceCoordinates(width, across, down, chin=0.75, nose=0.35, mouth=0.52, brow=-0.18)


def streaks(seed: int) -> NDArray[np.float32]:
    """Vertical shine [512, 512] of mean zero."""
    noise = np.random.default_rng(seed).normal(0, 1, (1, SIZE)).astype(np.float32)
    wave = np.sin(np.linspace(0, 30, SIZE, dtype=np.float32))[:, None]
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), 1.2) * (1 + 0.5 * wave), np.float32)


def long_black_hair() -> tuple[NDArray[np.uint8], dict[str, NDArray[np.bool_]]]:
    """A face, black hair down to the chest, and a black pullover of the very same mean colour; grey wall."""
    f = frame()
    head = np.hypot(f.across / 0.75, (f.down - 0.05) / 0.95) < 1
    lock = (np.abs(f.across) > 0.42) & (np.abs(f.across) < 0.8) & (f.down > 0) & (f.down < 1.7)
    face = np.hypot(f.across / 0.46, (f.down - 0.12) / 0.63) < 1
    body = (f.down > 0.95) & (np.abs(f.across) < 1.5)
    throat = (np.abs(f.across) < 0.25) & (f.down > 0.5) & (f.down < 0.95)
    hair = (head & (f.down < 0.3) | lock) & ~face
    person = head & (f.down < 0.3) | lock | face | body | throat
    image = np.full((SIZE, SIZE, 3), 130.0, np.float32)
    noise = np.random.default_rng(1).normal(0, 2, (SIZE, SIZE, 1))
    for where, color in ((body, (24, 24, 24)), (throat | face, (200, 150, 130)), (hair, (24, 24, 24))):
        image[where] = color
    image += np.where(hair, 14 * streaks(2) * 0.8, 0)[..., None] + noise
    cloth = body & ~hair & ~face
    return np.clip(image, 0, 255).astype(np.uint8), {"hair": hair, "cloth": cloth, "person": person, "face": face}


def parted(image: NDArray[np.uint8], at: dict[str, NDArray[np.bool_]]) -> dict[Material, NDArray[np.float32]]:
    person, hull = at["person"].astype(np.float32), at["face"].astype(np.float32)
    return estimate_materials(image, to_lab(image), person, hull, frame())


@pytest.fixture(scope="module")
def found() -> dict[Material, NDArray[np.float32]]:
    return parted(*long_black_hair())


def test_strands_on_a_garment_of_their_colour_are_hair(found: dict[Material, NDArray[np.float32]]) -> None:
    _, at = long_black_hair()
    f = frame()
    low = (f.down > 1.05) & (f.down < 1.55)
    inner = cv2.erode(at["hair"].astype(np.uint8), np.ones((13, 13), np.uint8)) > 0
    cloth = cv2.erode(at["cloth"].astype(np.uint8), np.ones((25, 25), np.uint8)) > 0
    assert found[Material.HAIR][low & inner].mean() > 0.85
    assert found[Material.CLOTHES][low & cloth].mean() > 0.85


def test_the_mirrored_picture_has_the_mirrored_parts(found: dict[Material, NDArray[np.float32]]) -> None:
    image, at = long_black_hair()
    mirrored = parted(np.ascontiguousarray(image[:, ::-1]), {name: mask[:, ::-1] for name, mask in at.items()})
    for material in Material:
        assert np.abs(found[material] - mirrored[material][:, ::-1]).mean() < 0.02


def test_the_discriminant_is_fishers() -> None:
    """With plain covariances it is the difference of the two Gaussians' log-densities, written out here."""
    rng = np.random.default_rng(0)
    values = rng.normal(0, 1, (40, 50, 3)) @ np.array([[1, 0, 0], [0.4, 1, 0], [0, 0.2, 2]])
    first = np.zeros((40, 50), bool)
    first[:20] = True
    values[first] += (2, 0, 6)
    found = discriminant(values.astype(np.float32), first, ~first)
    groups = [values[first], values[~first]]
    shared = np.mean([np.cov(group.T) for group in groups], 0)
    scale = np.sqrt(np.diag(shared))
    shared = 0.9 * shared + 0.1 * np.diag(scale**2)
    away = [values - group.mean(0) for group in groups]
    density = [-0.5 * np.einsum("hwi,ij,hwj->hw", d, np.linalg.inv(shared), d) for d in away]
    np.testing.assert_allclose(found, density[0] - density[1], atol=1e-3)  # float32: squares of some tens
    assert (found[first] > 0).mean() > 0.95 and (found[~first] < 0).mean() > 0.95


def test_what_lies_outside_does_not_count() -> None:
    """A bright wall behind black hair is no shine of the hair."""
    rng = np.random.default_rng(0)
    lab = np.zeros((256, 256, 3), np.float32)
    lab[..., 0] = 10 + rng.normal(0, 0.5, (256, 256))
    inside = np.zeros((128, 128), bool)
    inside[:, 62:] = True
    plain = looks(lab, inside, 60.0)
    lab[:, :116, 0] += 70
    # What lies outside weighs `_BORDER` instead of nothing: 0.02 of L* here, of a wall that is 70 brighter.
    np.testing.assert_allclose(looks(lab, inside, 60.0)[:, 66:], plain[:, 66:], atol=0.1)


@pytest.mark.parametrize("missing", ["hair", "cloth"])
def test_nothing_is_said_without_an_example_of_both(missing: str) -> None:
    f, half = frame(), frame(256, 75.0)
    lab = np.zeros((SIZE, SIZE, 3), np.float32)
    shares = {"hair": (half.down < 0).astype(np.float32), "cloth": (half.down > 1).astype(np.float32)}
    free, nowhere = np.ones((256, 256), bool), np.zeros((256, 256), np.float32)
    assert hair_or_cloth(lab, shares["hair"], shares["cloth"], free, nowhere, (half.across, half.down), f) is not None
    shares[missing] = nowhere
    assert hair_or_cloth(lab, shares["hair"], shares["cloth"], free, nowhere, (half.across, half.down), f) is None


def test_a_shoulder_may_be_higher_than_the_throat() -> None:
    f = frame()
    prior = place_of_cloth(f.across, f.down, f)
    beside = (np.abs(f.down - 0.5) < 0.01) & (np.abs(f.across) > 1.1)  # face widths: a row of the picture, no tolerance
    assert prior[beside].min() > -1
    # Face widths: a row of the picture, no tolerance.
    assert prior[(np.abs(f.down - 0.5) < 0.01) & (np.abs(f.across) < 0.5)].max() < -5
