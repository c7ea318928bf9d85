"""Tables 1 and 2 as pieces and rows: what they measure is what their names say."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from synthetic_avatar import synthetic_avatar

from perse.data import UNRECORDED
from perse.errors import StageError
from perse.evaluation.metrics import MetricTable
from perse.evaluation.metrics.sets import EmbeddedFeatures
from perse.evaluation.protocols import (
    DLIB_ID,
    SPACES,
    Instruments,
    ProtocolMeasurer,
    UnseenScores,
    WayScores,
    driven,
    self_driving,
    table1_row,
    table2_row,
)
from perse.evaluation.protocols.summary import interval
from perse.render import CpuRasterizer

EMBEDDED = SPACES[1]
MISSING = dict.fromkeys(("LPIPS", "PPL", "PDV", "ID", *SPACES[0]), "no such file")


def far(a: np.ndarray, b: np.ndarray) -> float:
    """A stand-in for LPIPS."""
    return float(np.abs(a.astype(float) - b).mean())


@pytest.fixture(scope="module")
def measurer(head_model, tiny_clips) -> ProtocolMeasurer:  # type: ignore[no-untyped-def]
    clips = [*tiny_clips, tiny_clips[2]]  # two hats
    avatar = synthetic_avatar(head_model, clips)
    return ProtocolMeasurer(
        avatar=avatar,
        clips=[clip for clip, _ in clips],
        rasterizer=CpuRasterizer(),
        instruments=Instruments(far, {}, {EMBEDDED: EmbeddedFeatures()}),
        frames=3,
        poses=2,
    )


def test_what_was_not_recorded_is_not_measured(measurer: ProtocolMeasurer) -> None:
    clip = measurer.clips[0]
    parts, images, alphas = (np.array(one) for one in (clip.parts, clip.images, clip.alphas))
    parts[:, -20:], alphas[:, -20:] = UNRECORDED, 0

    def values(fill: int) -> dict[str, float]:
        images[:, -20:] = fill
        cut = replace(clip, parts=parts, images=images.copy(), alphas=alphas)
        return dict(replace(measurer, clips=[cut], instruments=Instruments(None, {}, {})).unseen(0).values)

    dark, light, whole = values(0), values(255), measurer.unseen(0).values
    assert dark["PSNR"] == light["PSNR"] and dark["PSNR, person"] == light["PSNR, person"]
    # The window of SSIM reaches five pixels over the border of what is cut.
    assert dark["SSIM"] == pytest.approx(light["SSIM"], abs=0.02)
    shown = measurer.pictures(0, [0])[0, :-20].astype(float)
    one = replace(measurer, clips=[replace(clip, parts=parts)], frames=1, instruments=Instruments(None, {}, {}))
    error = ((shown - clip.images[0][:-20]) ** 2).mean() / 255**2
    assert one.unseen(0).values["PSNR"] == pytest.approx(-10 * math.log10(error), abs=1e-3)  # dB: float32 means
    assert abs(whole["PSNR"] - light["PSNR"]) > 1e-3


def test_self_driving_compares_frame_by_frame_and_asks_only_for_the_reference(measurer: ProtocolMeasurer) -> None:
    instruments, whole = Instruments(far, {}, {}), measurer.clips[0]
    found = self_driving(measurer.avatar, whole, measurer.rasterizer, instruments, 3)
    together = measurer.unseen(0).values
    assert len(found) == 3 and len({one.values["PSNR"] for one in found}) == 3
    for name, value in together.items():
        # Float32 means in another order.
        assert float(np.mean([one.values[name] for one in found])) == pytest.approx(value, abs=1e-4), name
    shown = driven(measurer.avatar, whole, measurer.rasterizer, [6])
    assert np.array_equal(shown, measurer.pictures(0, [6]))


def test_unseen_scores_are_those_of_the_pictures(measurer: ProtocolMeasurer) -> None:
    found = measurer.unseen(1).values
    chosen = [0, 6, 11]  # three of twelve frames
    shown, truth = measurer.pictures(1, chosen), measurer.clips[1].images[chosen]
    error = np.square((shown.astype(float) - truth) / 255).mean((1, 2, 3))
    assert found["PSNR"] == pytest.approx(float((-10 * np.log10(error)).mean()), abs=1e-3)  # dB: float32 means
    assert found["LPIPS"] == pytest.approx(far(shown, truth))
    inside = measurer.clips[1].alphas[chosen] > 127
    person = [np.square((a.astype(float) - b) / 255)[m].mean() for a, b, m in zip(shown, truth, inside, strict=True)]
    # dB: float32 means over a mask.
    assert found["PSNR, person"] == pytest.approx(float((-10 * np.log10(person)).mean()), abs=1e-3)


def test_a_way_has_the_features_of_all_its_pictures_and_both_distances(measurer: ProtocolMeasurer) -> None:
    way = measurer.way(2, 6)
    assert way.features[EMBEDDED[0]].shape == (2 * 9, 512)
    assert way.values["PPL"] > 0 and way.values["sum, multi-scale L1"] > 0
    still = measurer.way(2, 2)
    assert still.values["PPL"] == 0 and still.values["PDV"] == 0


def test_the_clips_must_be_the_avatars(measurer: ProtocolMeasurer) -> None:
    with pytest.raises(StageError, match="same subjects"):
        ProtocolMeasurer(
            avatar=measurer.avatar, clips=measurer.clips[1:], rasterizer=CpuRasterizer(),
            instruments=measurer.instruments,
        )  # fmt: skip


def test_what_has_no_weights_says_so_and_has_no_number() -> None:
    values = {"PSNR": 30.0, "SSIM": 0.9, "PSNR, person": 27.0, DLIB_ID: math.nan}
    row = table1_row([UnseenScores(values), UnseenScores({**values, "PSNR": 32.0})], MISSING)
    assert row["PSNR"].value == 31 and (row["PSNR"].low, row["PSNR"].high) == (30, 32)
    assert row["LPIPS"].value is None and row["ID"].missing == "no such file"
    table = MetricTable("t", {"ours": row})
    assert (
        "no weights" in table.markdown() and "no weights" in table.html() and "LPIPS: no such file" in table.markdown()
    )


def test_distances_of_sets_are_from_the_held_out_set() -> None:
    rng = np.random.default_rng(0)
    real = rng.normal(size=(30, 8))
    values = {"sum, multi-scale L1": 0.2, "deviation, multi-scale L1": 0.01}
    near = [WayScores(values, {EMBEDDED[0]: rng.normal(size=(20, 8))}) for _ in range(2)]
    away = [WayScores(values, {EMBEDDED[0]: rng.normal(size=(20, 8)) + 2}) for _ in range(2)]
    close, remote = (table2_row(ways, {EMBEDDED[0]: real}, MISSING) for ways in (near, away))
    for name in EMBEDDED:
        assert remote[f"{name}_syn"].value > close[f"{name}_syn"].value
    assert close["100 · deviation, multi-scale L1"].value == pytest.approx(1.0)
    assert close["FID_syn"].value is None
    assert math.isnan(table2_row(near, None, MISSING)[f"{EMBEDDED[0]}_syn"].value)


def test_an_interval_holds_the_mean_nineteen_times_of_twenty() -> None:
    rng = np.random.default_rng(3)
    inside = 0
    for _ in range(100):
        low, high = interval(rng.normal(5, 1, size=40))
        inside += low < 5 < high
    assert inside > 85
    assert interval(np.full(4, 2.0)) == (2.0, 2.0)


def test_codes_carry_no_gradient_into_a_measurement(measurer: ProtocolMeasurer) -> None:
    measurer.unseen(0)
    assert all(p.grad is None for p in measurer.avatar.parameters())
    assert torch.is_grad_enabled()
