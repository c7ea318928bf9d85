"""The quality screen accepts what a person would accept and says why it rejects."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from perse.attributes import Category, Part
from perse.data import EditedPortrait, PartMasks, TrackedPortrait
from perse.head import HeadModel
from perse.synthesis.procedural.editing import ProceduralEditor, ProceduralEditorConfig
from perse.synthesis.procedural.editing.reshape import kept_inside
from perse.synthesis.procedural.editing.warp import warp
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


def test_a_portrait_without_a_descriptor_rejects_no_edit_for_it(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait, caplog: pytest.LogCaptureFixture
) -> None:
    class Nobody:
        def embed(self, image: NDArray[np.uint8]) -> None:
            return None

    screen = fast_screen(tracked_astronaut, Nobody())
    for _ in range(2):
        verdict = screen.screen(tracked_astronaut, good)
        assert verdict.accepted and "identity_distance" not in dict(verdict.scores)
    assert caplog.text.count("not tested for identity") == 1


def test_where_the_detector_fails_the_landmarks_say_where_to_look(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait
) -> None:
    class NearOnly:
        def embed(self, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
            side = 1.8 * tracked_astronaut.face_width_px
            return np.zeros(128, np.float32) if abs(image.shape[0] - side) < 4 else None

    screen = ProceduralScreen(
        ProceduralScreenConfig(),
        embedder=NearOnly(),
        find_landmarks=lambda image: tracked_astronaut.landmarks_px,
        near_embedder=NearOnly(),
    )
    assert dict(screen.screen(tracked_astronaut, good).scores)["identity_distance"] == 0


def test_pictures_of_different_sizes_cannot_be_compared(
    tracked_astronaut: TrackedPortrait, good: EditedPortrait
) -> None:
    small = replace(good, image=good.image[:64], edit_mask=good.edit_mask[:64])
    with pytest.raises(ValueError, match="differ in size"):
        fast_screen(tracked_astronaut).screen(tracked_astronaut, small)


def test_background_inside_the_face_is_seen(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    x, y = tracked_astronaut.landmarks_px[50, :2].astype(int)  # a cheek
    soft, person = good.masks.soft.copy(), good.masks.person.copy()
    soft[:, y - 5 : y + 5, x - 5 : x + 5] = 0
    soft[Part.BACKGROUND, y - 5 : y + 5, x - 5 : x + 5] = 255
    holed = replace(good, masks=PartMasks(soft, person))
    assert any(
        "of the face" in reason for reason in fast_screen(tracked_astronaut).screen(tracked_astronaut, holed).reasons
    )
    whole = dict(fast_screen(tracked_astronaut).screen(tracked_astronaut, good).scores)
    assert whole["face_holes"] == whole["loose_area"] == 0


def test_a_piece_that_hangs_on_nothing_is_seen(tracked_astronaut: TrackedPortrait, good: EditedPortrait) -> None:
    person = good.masks.person.copy()
    person[5:45, 5:45] = 255
    loose = replace(good, masks=PartMasks(good.masks.soft, person))
    reasons = fast_screen(tracked_astronaut).screen(tracked_astronaut, loose).reasons
    assert any("hangs on nothing" in reason for reason in reasons)


def test_a_warp_fetches_no_background_into_the_face() -> None:
    """A displacement that reaches beyond the outline is shortened until it does not; others stay as they are."""
    person = np.zeros((80, 80), np.float32)
    person[:, 20:60] = 1
    field = np.zeros((80, 80, 2), np.float32)
    field[30:50, 40:60, 0] = 12.0
    shorter = kept_inside(field, person)
    fetched = warp(person, shorter, soft=True)
    assert fetched[person > 0.95].min() >= 0.8
    np.testing.assert_array_equal(shorter[10:20], field[10:20])
    harmless = field * 0
    harmless[30:50, 30:40, 0] = 3.0
    assert kept_inside(harmless, person) is harmless
