"""The report is one file that needs no other, shows what it was given and trusts no text."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import numpy as np
from PIL import Image

from perse.report import Report, Section, Tile, contact_sheet, error_map, overlay_parts, plot_curves, write_report
from perse.report.avatar_sections import Pair, video_section


def _picture(value: int, size: int = 16) -> np.ndarray:
    return np.full((size, size, 3), value, np.uint8)


def _report() -> Report:
    metrics = {
        "psnr": 30.123, "leakage": 0.001, "by_category": {"hat": {"psnr": 29.0}, "hair": {"psnr": None}},
        "before_finetune": {"psnr": 30.2}, "seconds": {"train": 1.25}, "needs_weights": ["LPIPS"],
    }  # fmt: skip
    sections = [
        Section("edits", "<script>alert(1)</script>", "nine edits", [_picture(10)]),
        Section("clip", "Clip", "it moves", [_picture(v) for v in (0, 120, 255)]),
    ]
    return Report("An avatar", "From one portrait.", sections, metrics)


def test_page_is_self_contained_and_escapes_text(tmp_path: Path) -> None:
    page = write_report(tmp_path, _report()).read_text()
    assert "<script>" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert "30.12" in page and "30.20 before fine-tuning" in page and "LPIPS" in page
    assert page.count("data:image/webp") == 2, "each picture once"


def test_the_page_is_not_larger_than_its_pictures(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).normal(0, 6, (300, 300, 3))
    photograph = (np.linspace(0, 200, 300)[:, None, None] + 20 + noise).clip(0, 255).astype(np.uint8)
    page = write_report(tmp_path, Report("An avatar", "", [Section("edits", "Edits", "", [photograph])], {}))
    assert page.stat().st_size < 0.6 * (tmp_path / "edits.png").stat().st_size


def test_metrics_and_pictures_survive_the_trip(tmp_path: Path) -> None:
    write_report(tmp_path, _report())
    assert json.loads((tmp_path / "metrics.json").read_text())["psnr"] == 30.123
    assert np.array_equal(np.asarray(Image.open(tmp_path / "edits.png")), _picture(10))
    assert Image.open(tmp_path / "clip.webp").n_frames == 3
    assert not list(tmp_path.glob(".*"))


def test_contact_sheet_shows_every_picture() -> None:
    tiles = [Tile(_picture(v, 32), f"{v}") for v in (10, 90, 200)]
    sheet = contact_sheet(tiles, columns=2, tile_px=32)
    for value in (10, 90, 200):
        assert (sheet == value).all(-1).sum() >= 32 * 32


def test_overlay_leaves_background_alone() -> None:
    labels = np.zeros((16, 16), np.uint8)
    labels[4:8] = 8
    tinted = overlay_parts(_picture(100), labels)
    assert (tinted[0] == 100).all()
    assert (tinted[5] != 100).any()


def test_error_map_is_white_where_equal() -> None:
    other = _picture(50)
    other[0, 0] = 255
    shown = error_map(other, _picture(50))
    assert (shown[1:] == 255).all()
    assert shown[0, 0].sum() < 255


def test_curves_become_a_picture() -> None:
    picture = plot_curves({"loss": [(s, 1 / (s + 1)) for s in range(50)], "nothing": []})
    assert picture.ndim == 3 and picture.std() > 5
    assert Image.fromarray(picture).save(io.BytesIO(), "PNG") is None


def test_a_video_stands_above_the_avatar_and_their_difference() -> None:
    pairs = [
        Pair("1 of 2", _picture(120, 240), _picture(100, 240)),
        Pair("2 of 2", _picture(60, 240), _picture(60, 240)),
    ]
    section = video_section(pairs)
    (sheet,) = section.frames
    rows = {value: np.flatnonzero((sheet == value).all(-1).sum(1) >= 200) for value in (100, 120, 60)}
    assert rows[100].min() < rows[120].min(), "the video first"
    assert len(rows[60]) >= 2 * 200, "what is equal is shown twice"
    assert section.name == "video"
