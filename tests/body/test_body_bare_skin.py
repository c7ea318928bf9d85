"""Skin and cloth told apart, sleeves that end in one line, and hair that hangs over shoulders and back."""

from __future__ import annotations

import pytest
import torch

from perse.body.fitting.bare_skin import skin_likeness
from perse.body.fitting.limb_hems import bare_below_hems
from perse.body.fitting.long_hair import hanging_hair
from perse.body.model import BodyRegion, body_regions
from perse.body.model.upsampling import unit_normals
from perse.head import HeadModel

FACE, ARM, TANNED = (65.0, 18.0, 22.0), (82.0, 10.0, 12.0), (45.0, 20.0, 26.0)
"""CIELAB of a face, of an arm in bright light and of one in shade."""
GREY, BLUE = (50.0, 3.0, 0.0), (30.0, 5.0, -35.0)


@pytest.fixture(scope="module")
def regions(body_model: HeadModel) -> torch.Tensor:
    return body_regions(body_model)


def of(regions: torch.Tensor, *chosen: BodyRegion) -> torch.Tensor:
    return torch.isin(regions, torch.tensor([int(one) for one in chosen]))


def painted(regions: torch.Tensor, arms: tuple[float, float, float]) -> torch.Tensor:
    """Colours [v, 3] of somebody in a grey top without sleeves and blue trousers."""
    lab = torch.tensor(GREY).repeat(len(regions), 1)
    lab[of(regions, BodyRegion.FACE, BodyRegion.HAND, BodyRegion.NECK)] = torch.tensor(FACE)
    lab[of(regions, BodyRegion.UPPER_ARM, BodyRegion.FOREARM)] = torch.tensor(arms)
    lab[of(regions, BodyRegion.HIP, BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)] = torch.tensor(BLUE)
    return lab + torch.randn(lab.shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("arms", [FACE, ARM, TANNED])
def test_bare_arms_are_skin_in_any_light(regions: torch.Tensor, arms: tuple[float, float, float]) -> None:
    none = torch.zeros(len(regions), dtype=torch.bool)
    skin = skin_likeness(painted(regions, arms), regions, torch.ones(len(regions)), none, torch.ones(len(regions)))
    assert skin[of(regions, BodyRegion.UPPER_ARM, BodyRegion.FOREARM)].mean() > 0.95
    assert skin[of(regions, BodyRegion.TORSO, BodyRegion.LOWER_LEG)].mean() < 0.05


def test_a_chest_in_the_sun_is_skin_and_a_cream_stripe_is_not(regions: torch.Tensor) -> None:
    """Most of a face's vertices lie at its eyes and lips: here two thirds, with a hundredth of its area."""
    lab, none, ones = painted(regions, ARM), torch.zeros(len(regions), dtype=torch.bool), torch.ones(len(regions))
    face, part = of(regions, BodyRegion.FACE).nonzero()[:, 0], of(regions, BodyRegion.TORSO).nonzero()[::3, 0]
    lips, areas = face[: 2 * len(face) // 3], ones.clone()
    lab[lips], areas[lips] = torch.tensor((35.0, 34.0, 10.0)), 0.005
    lab[part] = torch.tensor((90.0, 9.0, 13.0))
    assert skin_likeness(lab, regions, ones, none, areas)[part].mean() > 0.95
    no_hands = (~of(regions, BodyRegion.HAND)).float()  # which would say what skin is like
    assert skin_likeness(lab, regions, no_hands, none, areas)[part].mean() > 0.95
    assert skin_likeness(lab, regions, no_hands, none, ones)[part].mean() < 0.5  # every vertex the same
    lab[part] = torch.tensor((90.0, 3.0, 15.0))
    assert skin_likeness(lab, regions, ones, none, areas)[part].mean() < 0.05


def test_white_shoes_are_no_skin_and_bare_feet_are(regions: torch.Tensor) -> None:
    none, feet = torch.zeros(len(regions), dtype=torch.bool), of(regions, BodyRegion.FOOT)
    for color, share in (((94.0, 0.0, 1.0), 0.0), (FACE, 1.0)):
        lab = painted(regions, ARM)
        lab[feet] = torch.tensor(color)
        skin = skin_likeness(lab, regions, torch.ones(len(regions)), none, torch.ones(len(regions)))
        assert skin[feet].mean() == share


def test_without_a_face_nothing_is_taken_for_skin(regions: torch.Tensor) -> None:
    seen = (~of(regions, BodyRegion.FACE)).float()
    none = torch.zeros(len(regions), dtype=torch.bool)
    assert skin_likeness(painted(regions, FACE), regions, seen, none, torch.ones(len(regions))).sum() == 0


def hems(model: HeadModel, regions: torch.Tensor, skin: torch.Tensor) -> torch.Tensor:
    joints, good = model.joint_regressor @ model.template, torch.ones(len(skin), dtype=torch.bool)
    return bare_below_hems(model.template, joints, regions, skin, good, torch.full_like(skin, 0.5))


def test_a_patch_on_a_bare_arm_is_no_sleeve(body_model: HeadModel, regions: torch.Tensor) -> None:
    """A wall below an arm, hair on a shoulder: a quarter of the arm's vertices are no skin, and the arm is bare."""
    arms = of(regions, BodyRegion.UPPER_ARM, BodyRegion.FOREARM)
    noise = torch.rand(len(regions), generator=torch.Generator().manual_seed(1))
    bare = hems(body_model, regions, (noise > 0.25).float())
    assert bare[arms].mean() > 0.95
    elsewhere = of(regions, BodyRegion.TORSO, BodyRegion.FACE, BodyRegion.HAND)
    assert (bare[elsewhere] == 0.5).all()


def test_sleeves_end_at_the_same_place_on_both_arms_and_one_bare_shoulder_is_possible(
    body_model: HeadModel, regions: torch.Tensor
) -> None:
    skin = of(regions, BodyRegion.FOREARM, BodyRegion.LOWER_LEG).float()
    bare = hems(body_model, regions, skin)
    for upper, lower in ((BodyRegion.UPPER_ARM, BodyRegion.FOREARM), (BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)):
        assert bare[of(regions, lower)].mean() > 0.95 and bare[of(regions, upper)].mean() < 0.1
    left = body_model.template[:, 0] > 0
    one = hems(body_model, regions, torch.where(left, torch.ones_like(skin), skin))
    arm = of(regions, BodyRegion.UPPER_ARM)
    assert one[arm & left].mean() > 0.95 and one[arm & ~left].mean() < 0.1


def test_what_is_not_seen_of_limbs_goes_on_as_what_is_and_unseen_legs_are_dressed(
    body_model: HeadModel, regions: torch.Tensor
) -> None:
    joints, otherwise = body_model.joint_regressor @ body_model.template, torch.full((len(regions),), 0.5)
    seen = of(regions, BodyRegion.UPPER_ARM)
    for skin in (0.0, 1.0):
        told = torch.full((len(regions),), skin)
        bare = bare_below_hems(body_model.template, joints, regions, told, seen, otherwise)
        assert (bare[of(regions, BodyRegion.FOREARM)] == skin).all()  # a suit's sleeve, or none
        assert (bare[of(regions, BodyRegion.UPPER_LEG, BodyRegion.LOWER_LEG)] == 0).all()


def test_a_beige_coat_is_no_skin(regions: torch.Tensor) -> None:
    """Trunk, hips and arms have nearly the face's colour; hands and face have it."""
    lab = painted(regions, ARM)
    coat = ~of(regions, BodyRegion.FACE, BodyRegion.HAND, BodyRegion.NECK)
    lab[coat] = torch.tensor(FACE) + torch.tensor([10.0, -6.0, -4.0])
    lab = lab + torch.randn(lab.shape, generator=torch.Generator().manual_seed(1))
    none = torch.zeros(len(regions), dtype=torch.bool)
    skin = skin_likeness(lab, regions, torch.ones(len(regions)), none, torch.ones(len(regions)))
    # The two clouds of colours, each 1.4 wide in every direction, are 7 apart in a and b, and overlap.
    assert skin[of(regions, BodyRegion.TORSO, BodyRegion.UPPER_ARM)].mean() < 0.25
    assert skin[of(regions, BodyRegion.HAND)].mean() > 0.9


def test_hair_before_the_shoulders_is_as_long_behind_them(body_model: HeadModel, regions: torch.Tensor) -> None:
    template, normals = body_model.template, unit_normals(body_model.template, body_model.faces)
    front, neck = normals[:, 2] > 0.1, of(regions, BodyRegion.NECK)
    level = float(template[neck, 1].min()) - 0.15
    trunk = of(regions, BodyRegion.NECK, BodyRegion.TORSO)
    hair = (trunk & front & (template[:, 1] > level) & (template[:, 0] > 0.02)).float()
    found = hanging_hair(template, normals, regions, front.float(), hair)
    back = trunk & ~front & (normals[:, 2] < 0) & (template[:, 0].abs() < 0.05)
    assert found[back & (template[:, 1] > level + 0.03)].float().mean() > 0.95
    assert found[back & (template[:, 1] < level - 0.03)].sum() == 0
    assert not hanging_hair(template, normals, regions, front.float(), torch.zeros_like(hair)).any()
