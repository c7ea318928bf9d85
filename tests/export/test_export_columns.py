"""Splats as they travel into a browser: read back by the layout that columns.py documents, nothing else."""

from __future__ import annotations

import json
import struct
from typing import Any

import numpy as np
import pytest
import torch

from perse.errors import InputError
from perse.export import SplatScene
from perse.export.columns import quantise, splat_message
from perse.export.scene import drawable
from perse.gaussians import Gaussians
from perse.geometry.rotations import quaternion_to_matrix

TYPES = {"positions": ("<u2", 3), "rotations": ("<i2", 3), "colors": ("u1", 4), "scales": ("u1", 3)}


def opened(message: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    (length,) = struct.unpack("<I", message[:4])
    about = json.loads(message[4 : 4 + length])
    columns = {}
    for name, place in about["columns"].items():
        kind, width = TYPES[name]
        start = 4 + length + place["offset"]
        assert start % 4 == 0
        flat = np.frombuffer(message, kind, place["length"], start)
        columns[name] = flat.reshape(place["frames"], -1, width).astype(np.float64)
    return about, columns


def test_a_message_holds_the_scene_within_its_steps(scene: SplatScene) -> None:
    about, columns = opened(splat_message(scene, id=7))
    g = scene.gaussians
    assert about["id"] == 7 and about["count"] == g.means.shape[1] and about["frames"] == len(g.means)
    means = np.array(about["low"]) + np.array(about["step"]) * columns["positions"]
    assert np.abs(means - g.means.numpy()).max() <= 0.51 * max(about["step"])
    logs = about["scaleLow"] + about["scaleStep"] * columns["scales"]
    assert np.abs(logs - g.scales.log().numpy()).max() <= 0.51 * about["scaleStep"]
    assert np.abs(columns["colors"][..., :3] / 255 - g.colors.numpy()).max() <= 0.51 / 255
    assert np.abs(columns["colors"][..., 3] / 255 - g.opacities.numpy()).max() <= 0.51 / 255


def test_rotations_survive_without_their_w(scene: SplatScene) -> None:
    xyz = torch.tensor(opened(splat_message(scene))[1]["rotations"] / 32767)
    w = (1 - xyz.square().sum(-1, keepdim=True)).clamp_min(0).sqrt()
    back = quaternion_to_matrix(torch.cat([w, xyz], -1))
    assert (back - quaternion_to_matrix(scene.gaussians.quats.double())).abs().max() < 0.02


def test_what_does_not_change_is_sent_once(scene: SplatScene) -> None:
    columns = quantise(scene.gaussians)
    assert len(columns.values["positions"]) == scene.n_frames and len(columns.values["scales"]) == 1
    assert columns.nbytes <= len(columns.data) < columns.nbytes + 16


def test_what_nobody_can_see_or_draw_is_left_out() -> None:
    means = torch.rand(1, 4, 3)
    means[0, 3, 1] = torch.nan
    ones = torch.ones(1, 4, 3)
    quats = torch.tensor([-2.0, 0, 0, 0]).expand(1, 4, 4)
    found = drawable(Gaussians(means, quats, ones, torch.tensor([[1.0, 0.5, 1e-4, 1.0]]), 2 * ones))
    assert len(found) == 2 and found.colors.max() == 1
    assert torch.equal(found.quats, torch.tensor([1.0, 0, 0, 0]).expand(1, 2, 4))
    with pytest.raises(InputError, match="no Gaussian"):
        drawable(Gaussians(means, quats, ones, torch.zeros(1, 4), ones))
