"""The named landmarks are mediapipe's own groups, and masks of contours have the right area."""

from __future__ import annotations

import numpy as np
import pytest

from perse.curves import smoothstep
from perse.tracking import landmarks as marks
from perse.tracking.colors import fit_mixture, guided_filter
from perse.tracking.matting import refine_alpha
from perse.tracking.polygons import contour_mask


def test_names_agree_with_mediapipe() -> None:
    connections = pytest.importorskip("mediapipe.python.solutions.face_mesh_connections")
    for loop, name in (
        (marks.FACE_OVAL, "FACE_OVAL"), (marks.LIPS, "LIPS"), (marks.LEFT_EYE, "LEFT_EYE"),
        (marks.RIGHT_EYE, "RIGHT_EYE"), (marks.LEFT_BROW, "LEFT_EYEBROW"), (marks.RIGHT_BROW, "RIGHT_EYEBROW"),
        (marks.LEFT_IRIS, "LEFT_IRIS"), (marks.RIGHT_IRIS, "RIGHT_IRIS"), (marks.NOSE_BRIDGE, "NOSE"),
    ):  # fmt: skip
        members = {index for edge in getattr(connections, f"FACEMESH_{name}") for index in edge}
        assert set(loop) <= members if name == "NOSE" else set(loop) == members, name


def test_contours_do_not_repeat_points() -> None:
    for name in ("FACE_OVAL", "LIPS_OUTER", "LIPS_INNER", "LEFT_EYE", "RIGHT_EYE", "LEFT_BROW", "RIGHT_BROW", "NOSE"):
        loop = getattr(marks, name)
        assert len(set(loop)) == len(loop) and max(loop) < marks.N_SURFACE


def test_contour_mask_covers_the_area_of_its_contour() -> None:
    angle = np.arange(24) * 2 * np.pi / 24
    circle = np.stack([50 + 20.3 * np.cos(angle), 40.5 + 20.3 * np.sin(angle)], 1).astype(np.float32)
    mask = contour_mask(circle, (80, 100))
    # OpenCV fills the boundary's sub-pixels too: an eighth of a pixel all round.
    assert mask.sum() == pytest.approx(np.pi * (20.3 + 0.125) ** 2, rel=0.01)
    rows, columns = np.mgrid[:80, :100] + 0.5
    # The centre of mass is that of a circle on a grid of eighths of a pixel, to a part of such a step.
    assert (mask * columns).sum() / mask.sum() == pytest.approx(50, abs=0.05)
    assert (mask * rows).sum() / mask.sum() == pytest.approx(40.5, abs=0.05)


def test_mixture_prefers_its_own_colors() -> None:
    rng = np.random.default_rng(0)
    own = np.concatenate([rng.normal((30, 5, 10), 2, (300, 3)), rng.normal((70, 5, 20), 2, (300, 3))])
    mixture = fit_mixture(own.astype(np.float32), 2)
    assert mixture is not None
    scores = mixture.log_likelihood(np.array([[30, 5, 10], [70, 5, 20], [50, 40, -30]], np.float32))
    assert min(scores[:2]) > scores[2] + 10
    assert fit_mixture(own[:5].astype(np.float32), 2) is None


def test_guided_filter_moves_a_mask_to_the_edge() -> None:
    guide = np.zeros((40, 60), np.float32)
    guide[:, 30:] = 1
    rough = np.zeros_like(guide)
    rough[:, 33:] = 1
    soft = guided_filter(guide, rough, 6, 1e-4)
    assert soft[:, 31].mean() > 0.4 > 0.2 > soft[:, 28].mean()
    assert (guided_filter(guide, np.ones_like(guide), 6, 1e-4) > 0.999).all()


def test_matting_finds_the_share_of_two_colors() -> None:
    truth = smoothstep(np.tile(np.arange(60, dtype=np.float32), (40, 1)), 24, 36)
    lab = truth[..., None] * np.float32([20, 5, 10]) + (1 - truth[..., None]) * np.float32([90, 0, 0])
    hard = (truth > 0.5).astype(np.float32)
    found = refine_alpha(lab.astype(np.float32), hard, 8)
    assert np.abs(found - truth).mean() < 0.4 * np.abs(hard - truth).mean()
