"""A skirt is one piece of cloth around both legs; trousers stay two."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from perse.body.fitting.layer import smooth_normals
from perse.body.fitting.limbs import LEGS, limb_of
from perse.body.fitting.skirt import carried_by_both, cloth_of_legs, is_skirt, unrolled
from perse.body.model import BodyJoint, BodyRegion, body_regions
from perse.body.model.covers import Cover
from perse.geometry import Camera
from perse.head import HeadModel
from perse.shapes import SoftMask

CAMERA = Camera(
    torch.tensor([[1.0, 0, 0, 0], [0, -1, 0, -0.7], [0, 0, -1, 3.0], [0, 0, 0, 1]]),
    torch.tensor([[400.0, 0, 128], [0, 400, 256], [0, 0, 1]]), 256, 512,
)  # fmt: skip
"""Before the rest pose."""
HEM = 0.7


@pytest.fixture(scope="module")
def joints(body_model: HeadModel) -> torch.Tensor:
    return body_model.joint_regressor @ body_model.template


@pytest.fixture(scope="module")
def covers(body_model: HeadModel, joints: torch.Tensor) -> torch.Tensor:
    """Cloth over the trunk and down the thighs to the hem."""
    regions = body_regions(body_model)
    covers = torch.full((len(regions),), int(Cover.SKIN))
    covers[(regions == BodyRegion.TORSO) | (regions == BodyRegion.HIP)] = int(Cover.UPPER)
    for leg in LEGS:
        limb = limb_of(body_model.template, joints, regions, leg)
        covers[limb.own & (limb.along < HEM)] = int(Cover.UPPER)
    return covers


def filled_to(joints: torch.Tensor, along: float) -> SoftMask:
    """A mask [512, 256] of the person that has no gap between the legs so far down the thighs."""
    hip, knee = joints[int(BodyJoint.LEFT_HIP)], joints[int(BodyJoint.LEFT_KNEE)]
    end = int(CAMERA.project(hip.lerp(knee, along)[None])[0][0, 1])
    mask = np.zeros((512, 256), np.float32)
    mask[:end, 40:216] = 1
    return mask


@pytest.mark.parametrize(
    ("thickness", "down_to", "answer"), [(0.03, HEM, True), (0.008, HEM, False), (0.03, HEM / 2, False)]
)
def test_a_skirt_stands_off_the_legs_and_shows_nothing_between_them(
    body_model: HeadModel, joints: torch.Tensor, covers: torch.Tensor, thickness: float, down_to: float, answer: bool
) -> None:
    legs = cloth_of_legs(body_model.template, joints, body_regions(body_model), covers)
    thick, mask = torch.full((len(covers),), thickness), filled_to(joints, down_to)
    assert is_skirt(legs, thick, joints, CAMERA, mask) is answer


def test_bare_legs_and_long_trousers_are_no_skirt(body_model: HeadModel, joints: torch.Tensor) -> None:
    regions, mask = body_regions(body_model), np.ones((512, 256), np.float32)
    thick = torch.full((len(regions),), 0.03)
    for cover in (Cover.SKIN, Cover.LOWER):
        covers = torch.full((len(regions),), int(cover))
        legs = cloth_of_legs(body_model.template, joints, regions, covers)
        assert not is_skirt(legs, thick, joints, CAMERA, mask)


def test_the_sheets_meet_in_the_middle_and_the_outside_stays(
    body_model: HeadModel, joints: torch.Tensor, covers: torch.Tensor
) -> None:
    template, regions = body_model.template, body_regions(body_model)
    normals = smooth_normals(template, body_model.faces)
    skirt = unrolled(cloth_of_legs(template, joints, regions, covers), template, normals, joints)
    whole = skirt.share > 0.99
    assert int(whole.sum()) > 100
    left = whole & (template[:, 0] > 0)
    before, after = float(template[left, 0].min()), float(skirt.skin[left, 0].min())
    assert before > 0.01 > after  # millimetres from the middle instead of a gap
    outside = left & (template[:, 0] > 1.6 * joints[int(BodyJoint.LEFT_HIP), 0])
    assert int(outside.sum()) > 10
    torch.testing.assert_close(skirt.skin[outside], template[outside])
    torch.testing.assert_close(skirt.skin[skirt.share == 0], template[skirt.share == 0])
    assert (skirt.normals.norm(dim=1) - 1).abs().max() < 1e-5  # float32 rounding of a unit vector


def test_both_legs_carry_the_middle_and_no_knee_bends_a_skirt(joints: torch.Tensor) -> None:
    rest = torch.tensor([[0.3, -1.0, 0.0], [0.0, -1.0, 0.1], [-0.3, -1.0, 0.0], [0.1, -1.0, 0.0]])
    skinning = torch.zeros(4, 55)
    skinning[:, int(BodyJoint.LEFT_KNEE)] = 0.7
    skinning[:, int(BodyJoint.PELVIS)] = 0.3
    carried = carried_by_both(skinning, rest, joints, torch.tensor([1.0, 1.0, 1.0, 0.0]))
    torch.testing.assert_close(carried.sum(1), torch.ones(4))
    left, right = carried[:, int(BodyJoint.LEFT_HIP)], carried[:, int(BodyJoint.RIGHT_HIP)]
    torch.testing.assert_close(left[:3], torch.tensor([0.7, 0.35, 0.0]))
    torch.testing.assert_close(right[:3], torch.tensor([0.0, 0.35, 0.7]))
    torch.testing.assert_close(carried[3], skinning[3])
