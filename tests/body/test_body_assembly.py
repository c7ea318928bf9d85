"""The trained body and its edits as one avatar: the same points, edits that keep to themselves, feet on the floor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, interpolate, load_avatar, save_avatar
from perse.avatar.whole_body import WholeBody
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import performed
from perse.body.avatar import BodyAvatar, OffsetConfig, start_avatar
from perse.body.avatar.assembly import EditRow, assemble, partners
from perse.body.avatar.learned_edit import LearnedEdit
from perse.body.model import BodyJoint
from perse.data import AttributePrompt
from perse.export.edits import mixed_code
from perse.export.poses import motion_of
from perse.export.shots import at_rest, turntable
from perse.export.views import good_reach_deg, orbit_centre, portrait_camera, seen_reach_deg
from perse.head import HeadParameters

SMALL = OffsetConfig(features=2, resolution=8, hidden=8)
ADDED = 40


def learned(avatar: BodyAvatar, members: Tensor, added: int, seed: int) -> LearnedEdit:
    generator = torch.Generator().manual_seed(seed)
    skinning = torch.zeros(added, 55)
    skinning[:, BodyJoint.HEAD] = 1
    return LearnedEdit(
        members, (avatar.rest + avatar.moved)[members].detach() + 0.01, avatar.log_scales[members].detach(),
        torch.rand(len(members), 3, generator=generator) * 0.8 + 0.1,
        0.1 * torch.randn(added, 3, generator=generator), torch.full((added,), -5.0),
        torch.rand(added, 3, generator=generator) * 0.8 + 0.1, skinning,
    )  # fmt: skip


@pytest.fixture(scope="module")
def trained(dressed: DressedPerson) -> BodyAvatar:
    """With a pose-driven offset that is not nothing."""
    avatar = start_avatar(dressed, dressed.fill, SMALL, 0)
    with torch.no_grad():
        avatar.offsets.last.weight.normal_(generator=torch.Generator().manual_seed(1))
    return avatar


@pytest.fixture(scope="module")
def edits(trained: BodyAvatar) -> list[EditRow]:
    head, shirt = torch.arange(0, 50), torch.arange(40, 120)  # they meet in ten points
    generator = torch.Generator().manual_seed(2)

    def row(category: Category, number: int, members: Tensor, added: int) -> EditRow:
        prompt = AttributePrompt(f"{category.value}-{number}", category, (), f"A {category.value} {number}", 0)
        return EditRow(
            prompt, learned(trained, members, added, number), torch.rand(512, generator=generator),
            torch.rand(512, generator=generator),
        )  # fmt: skip

    return [
        row(Category.HAT, 1, head, ADDED), row(Category.HAT, 2, head[:30], ADDED),
        row(Category.CLOTHES, 3, shirt, 0), row(Category.CLOTHES, 4, shirt, 0),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def avatar(trained: BodyAvatar, dressed: DressedPerson, edits: list[EditRow]) -> Avatar:
    return assemble(trained, dressed, edits, key="me", absent=(), encoder="embedded 1", seed=0)


def points(avatar: Avatar, code: Tensor, frame: HeadParameters | None = None) -> Tensor:
    with torch.no_grad():
        gaussians = avatar.pose(avatar.canonicalise(code), at_rest(avatar) if frame is None else frame)[0]
    return torch.cat([gaussians.means, gaussians.colors, gaussians.opacities[:, None]], 1)


def test_the_reference_is_the_trained_body_in_any_pose(
    avatar: Avatar, trained: BodyAvatar, dressed: DressedPerson
) -> None:
    for name in ("dance", "walk"):
        moved = performed(dressed.model, dressed.parameters, name, (0.3,))
        wanted = trained.posed(moved.pose[0], torch.zeros(3))
        frame = HeadParameters(torch.zeros(0), torch.zeros(0, 3), moved.expression[0], moved.pose[0])
        found = points(avatar, avatar.latents.reference.detach(), frame)[: len(trained)]
        assert isinstance(avatar.decoder, WholeBody)
        lift = avatar.decoder.lift(avatar.skeleton(frame))
        # Metres: float32 skinning of 1.7 m, in two orders of the sums.
        assert torch.allclose(found[:, :3] - torch.tensor([0, 1.0, 0]) * lift, wanted.means, atol=2e-5)
        # `COLOR_MARGIN`, by which logits are kept off black and white.
        assert torch.allclose(found[:, 3:6], wanted.colors, atol=5e-3)


def test_feet_stay_on_the_floor(avatar: Avatar, trained: BodyAvatar) -> None:
    motion, _ = motion_of(avatar, "squat")
    feet = trained.skinning[:, [BodyJoint.LEFT_FOOT, BodyJoint.RIGHT_FOOT]].sum(1) > 0.9
    code = avatar.latents.reference.detach()
    rest = float(points(avatar, code)[: len(trained)][feet, 1].min())
    down = points(avatar, code, motion.frame(len(motion) // 2))[: len(trained)]
    assert abs(float(down[feet, 1].min()) - rest) < 0.06
    head = trained.skinning[:, BodyJoint.HEAD] > 0.9
    assert float(down[head, 1].mean()) < float(points(avatar, code)[: len(trained)][head, 1].mean()) - 0.2


def test_an_edit_is_exact_and_touches_nothing_else(avatar: Avatar, trained: BodyAvatar, edits: list[EditRow]) -> None:
    before = points(avatar, avatar.latents.reference.detach())
    for row in edits:
        after = points(avatar, mixed_code(avatar, {row.prompt.category: {row.prompt.key: 1.0}}))
        members = row.learned.members
        # `COLOR_MARGIN`, by which logits are kept off black and white.
        assert torch.allclose(after[members, 3:6], row.learned.colors, atol=5e-3)
        own = avatar.decoder.regions[:, row.prompt.category.index]
        assert torch.equal(after[~own], before[~own])  # to the bit
        idle = torch.ones(len(before), dtype=torch.bool)
        idle[members] = False
        idle[len(trained) :] = False
        assert torch.allclose(after[idle], before[idle], atol=1e-3)  # points of the category's other edit


def test_a_mix_of_two_hats_is_a_hat_between_them(avatar: Avatar, trained: BodyAvatar) -> None:
    one, two = (mixed_code(avatar, {Category.HAT: {key: 1.0}}) for key in ("hat-1", "hat-2"))
    first, second, middle = (points(avatar, code)[len(trained) :] for code in (one, two, interpolate(one, two, 0.5)))
    # Metres: coefficients are nearly straight in the code, not quite; the pieces are decimetres apart. 5 mm here.
    assert torch.allclose(middle[:, :3], (first[:, :3] + second[:, :3]) / 2, atol=0.02)
    assert float(middle[:, 6].min()) > 0.6  # it does not fade out on the way
    assert float(points(avatar, avatar.latents.reference.detach())[len(trained) :, 6].max()) < 0.05


def test_a_hat_and_a_shirt_go_together(avatar: Avatar, trained: BodyAvatar) -> None:
    hat, shirt = (
        mixed_code(avatar, {Category.HAT: {"hat-1": 1.0}}),
        mixed_code(avatar, {Category.CLOTHES: {"clothes-3": 1.0}}),
    )
    both = points(avatar, mixed_code(avatar, {Category.HAT: {"hat-1": 1.0}, Category.CLOTHES: {"clothes-3": 1.0}}))
    assert torch.allclose(both[:40], points(avatar, hat)[:40], atol=1e-6)  # float32 rounding of sums of two parts
    assert torch.allclose(both[50:120], points(avatar, shirt)[50:120], atol=1e-6)  # as above


def test_face_actions_move_the_face_alone(avatar: Avatar, trained: BodyAvatar) -> None:
    frame = at_rest(avatar)
    frame.expression[list(avatar.card.expression_names).index("mouthSmileLeft")] = 1.0
    code = avatar.latents.reference.detach()
    moved = (points(avatar, code, frame) - points(avatar, code))[: len(trained), :3].norm(dim=-1)
    assert 0.003 < float(moved.max()) < 0.05
    below = trained.rest[:, 1] < float(trained.joints[BodyJoint.NECK, 1])
    assert float(moved[below].max()) < 1e-6  # metres: float32 rounding of nothing that moves


def test_it_is_read_as_it_was_written(avatar: Avatar, tmp_path: Path) -> None:
    save_avatar(avatar, tmp_path)
    again = load_avatar(tmp_path).eval()
    motion, fps = motion_of(again, "dance")
    assert again.config == avatar.config and fps == 24 and len(motion) == 48
    for code in (avatar.latents.reference.detach(), mixed_code(avatar, {Category.HAT: {"hat-2": 1.0}})):
        assert torch.equal(points(again, code, motion.frame(7)), points(avatar, code, motion.frame(7)))
    assert torch.equal(orbit_centre(again), avatar.skeleton.joints[BodyJoint.PELVIS])


def test_partners_are_near_and_each_is_used_once() -> None:
    rng = np.random.default_rng(0)
    some = rng.normal(size=(1500, 3)).astype(np.float32)
    order = rng.permutation(1500)
    found = partners(some, some[order])
    assert sorted(found) == list(range(1500))
    assert np.array_equal(some[order][found], some)


def test_a_body_without_edits_is_an_avatar_too(trained: BodyAvatar, dressed: DressedPerson) -> None:
    plain = assemble(trained, dressed, [], key="me", absent=(), encoder="embedded 1", seed=0)
    assert plain.n_gaussians == len(trained) and len(plain.subjects) == 1


def test_a_camera_walks_all_around_a_body_and_exports_keep_its_back(avatar: Avatar) -> None:
    assert good_reach_deg(avatar) == seen_reach_deg(avatar) == 180
    shots = turntable(
        avatar, avatar.latents.reference.detach(), portrait_camera(avatar, 32), frames=4,
        reach_deg=good_reach_deg(avatar), frame=at_rest(avatar),
    )  # fmt: skip
    depth = [float(shot.camera.world_to_camera[2, 2]) for shot in shots]
    assert depth[2] == pytest.approx(-depth[0])  # half-way round it looks from behind
