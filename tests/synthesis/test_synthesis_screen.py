"""The quality screen accepts what a person would accept and says why it rejects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category
from perse.data import EditedPortrait, TrackedPortrait
from perse.head import HeadModel
from perse.synthesis.procedural.editing import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.prompts import prompt_stream
from perse.synthesis.screen import ProceduralScreen, ProceduralScreenConfig


@pytest.fixture(scope="module")
def good(head_model: HeadModel, tracked_astronaut: TrackedPortrait) -> EditedPortrait:
    editor = ProceduralEditor(ProceduralEditorConfig(), head_model)
    return editor.edit(tracked_astronaut, next(prompt_stream(Category.BEARD, 0)))


class SameFace:
    """Everybody looks alike: isolates the other checks from the face network."""

    def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.zeros(128, np.float32)


class ByBrightness:
    """A dark picture is another person, an empty one nobody."""

    def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
        return None if image.max() == 0 else np.full(128, float(image.mean() < 40), np.float32)


def fast_screen(portrait: TrackedPortrait, embedder: object | None = None) -> ProceduralScreen:
    return ProceduralScreen(
        ProceduralScreenConfig(),
        embedder=embedder or SameFace(),  # type: ignore[arg-type]
        find_landmarks=lambda image: portrait.landmarks_px,
    )


def test_a_good_edit_is_accepted_by_the_real_measures(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    verdict = ProceduralScreen(ProceduralScreenConfig()).screen(tracked_astronaut, good)
    assert verdict.accepted and verdict.reasons == ()
    scores = dict(verdict.scores)
    assert 0 < scores["identity_distance"] < 0.6 and scores["leaked_pixels"] == 0
    assert list(scores) == sorted(scores)


def test_another_persons_face_is_rejected_by_the_real_measures(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait
) -> None:
    from pathlib import Path

    import cv2
    import matplotlib

    path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
    other = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)[:512, :512]
    swapped = replace(good, image=other, edit_mask=np.full((512, 512), 255, np.uint8))
    verdict = ProceduralScreen(ProceduralScreenConfig()).screen(tracked_astronaut, swapped)
    assert not verdict.accepted
    assert any("another person" in reason for reason in verdict.reasons)


def test_an_edit_that_leaks_is_rejected(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    image = good.image.copy()
    row, column = np.argwhere(good.edit_mask == 0)[100]
    image[row, column] ^= 1
    verdict = fast_screen(tracked_astronaut).screen(tracked_astronaut, replace(good, image=image))
    assert not verdict.accepted and any("1 pixels" in reason for reason in verdict.reasons)


def test_an_edit_that_nobody_sees_is_rejected(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    faint = replace(good, image=tracked_astronaut.image.copy())
    verdict = fast_screen(tracked_astronaut).screen(tracked_astronaut, faint)
    assert not verdict.accepted and any("grey levels" in reason for reason in verdict.reasons)
    nothing = replace(faint, edit_mask=np.zeros_like(good.edit_mask))
    assert not fast_screen(tracked_astronaut).screen(tracked_astronaut, nothing).accepted


def test_a_lost_or_moved_face_is_rejected(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    config = ProceduralScreenConfig()
    lost = ProceduralScreen(config, SameFace(), lambda image: None).screen(tracked_astronaut, good)
    assert any("no face landmarks" in reason for reason in lost.reasons)
    moved = ProceduralScreen(config, SameFace(), lambda image: tracked_astronaut.landmarks_px + 40)
    assert any("landmarks moved" in reason for reason in moved.screen(tracked_astronaut, good).reasons)


def test_identity_is_asked_once_per_portrait_and_missing_faces_are_named(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait
) -> None:
    screen = fast_screen(tracked_astronaut, ByBrightness())
    dark = screen.screen(tracked_astronaut, replace(good, image=good.image // 8))
    assert any("another person" in reason for reason in dark.reasons)
    black = screen.screen(tracked_astronaut, replace(good, image=good.image * 0))
    assert any("for the edit" in reason for reason in black.reasons)
    nobody = replace(tracked_astronaut, key="nobody", image=tracked_astronaut.image * 0)
    assert any("for the portrait" in reason for reason in screen.screen(nobody, good).reasons)


def test_pictures_of_different_sizes_cannot_be_compared(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait
) -> None:
    small = replace(good, image=good.image[:64], edit_mask=good.edit_mask[:64])
    with pytest.raises(ValueError, match="differ in size"):
        fast_screen(tracked_astronaut).screen(tracked_astronaut, small)
