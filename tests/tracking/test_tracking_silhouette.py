"""The silhouette in several views, and who decides where they disagree."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.tracking import silhouette
from perse.tracking.person import person_matte
from perse.tracking.silhouette import person_silhouette

WALL, SHIRT, HAIR = (70, 120, 80), (180, 60, 60), (30, 26, 24)
PIGTAIL = (slice(70, 150), slice(160, 200))


def scene() -> NDArray[np.uint8]:
    """A person of 100 px, hair above and a shirt below, with a pigtail of the hair's colour on the right."""
    image = np.empty((256, 256, 3), np.float32)
    image[:] = WALL
    image[40:150, 78:160] = HAIR
    image[150:256, 50:190] = SHIRT
    image[PIGTAIL] = HAIR
    image += np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)


def network() -> NDArray[np.float32]:
    """What a network says that sees no pigtail."""
    likely = np.zeros((256, 256), np.float32)
    likely[40:150, 78:160] = 1
    likely[150:256, 50:190] = 1
    return likely


def face() -> NDArray[np.float32]:
    hull = np.zeros((256, 256), np.float32)
    hull[90:140, 100:140] = 1
    return hull


def test_colours_decide_where_one_view_sees_the_person() -> None:
    """The pigtail is hair's colour and taken; as much of the wall, as possible by the network's word, is not."""
    likely, possible = network(), network()
    possible[PIGTAIL] = 0.5
    possible[40:140, 20:60] = 0.5
    plain = person_matte(scene(), 80.0, face(), probability=likely)
    assert plain[80:140, 172:195].mean() < 0.1  # far from the outline nothing but the network is asked
    after = person_matte(scene(), 80.0, face(), probability=likely, possible=possible)
    assert after[80:140, 165:195].mean() > 0.9
    assert after[50:130, 24:56].mean() < 0.1


def test_colours_decide_where_a_sure_opinion_is_doubted() -> None:
    """The network takes a piece of wall beside the shoulders for the person; doubted, it is wall again, and
    doubted hair stays hair."""
    likely, doubtful = network(), np.zeros((256, 256), np.float32)
    likely[60:165, 16:80] = 1
    doubtful[:, :78] = 1
    doubtful[40:90, 78:160] = 1
    believed = person_matte(scene(), 80.0, face(), probability=likely)
    assert believed[80:140, 30:65].mean() > 0.9
    after = person_matte(scene(), 80.0, face(), probability=likely, doubtful=doubtful)
    assert after[80:140, 30:65].mean() < 0.1
    assert after[60:85, 105:150].mean() > 0.9


def test_the_views_are_put_together_in_the_pictures_own_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that answers with its picture's green: every view must say the same of every pixel."""
    seen: list[tuple[int, ...]] = []

    def green(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        seen.append(image.shape)
        return np.asarray(image[..., 1] / 255, np.float32)

    monkeypatch.setattr(silhouette, "person_probability", green)
    rows, columns = np.mgrid[:200, :200]
    image = np.zeros((200, 200, 3), np.uint8)
    image[..., 1] = np.clip(60 + rows / 4 + columns / 2, 0, 255)
    found = person_silhouette(image, (90.0, 110.0), 60.0)
    assert len(seen) == 3
    # Five 8-bit levels: views are resampled, and the ramp has half a level a pixel.
    np.testing.assert_allclose(found.likely, image[..., 1] / 255, atol=0.02)
    assert (found.possible >= found.likely - 0.02).all()


def test_a_view_that_sees_more_makes_it_possible_and_not_certain(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([0.0, 0.0, 1.0])
    monkeypatch.setattr(
        silhouette, "person_probability", lambda image: np.full(image.shape[:2], next(answers), np.float32)
    )
    found = person_silhouette(np.zeros((200, 200, 3), np.uint8), (100.0, 110.0), 60.0)
    assert found.possible[98, 100] > 0.99 and 0.3 < found.likely[98, 100] < 0.4
    assert found.possible[5, 5] == 0  # beyond the near view
