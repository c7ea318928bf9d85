"""Edits of a body before anything is learned: what is asked for, garments, things put on, the edited photograph."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from perse.attributes import Category
from perse.avatar.points import spacing
from perse.body.animation.animator import ProceduralBodyAnimatorConfig, studio_camera
from perse.body.animation.drawing import draw_person
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed
from perse.body.avatar import OffsetConfig, start_avatar
from perse.body.avatar.learned_edit import LearnedEdit
from perse.body.editing import body_prompts, edit_person
from perse.body.editing.edited import WornPiece, with_piece
from perse.body.editing.head_frame import similarity
from perse.body.editing.worn import added_points, farthest_points, sticks_out
from perse.body.fitting.fill import alike
from perse.body.fitting.person import FittedPerson
from perse.body.model import BodyRegion, body_regions
from perse.body.model.covers import Cover
from perse.body.model.upsampling import INSET
from perse.body.training.edits import EditTrainingConfig, learn_edit
from perse.body.training.frames import frame_of
from perse.errors import DamagedFile, PromptError
from perse.render import CpuRasterizer


@pytest.fixture(scope="module")
def person(dressed: DressedPerson) -> FittedPerson:
    image = np.full((64, 64, 3), 200, np.uint8)
    mask = (draw_person(dressed, dressed.posed(dressed.parameters), dressed.camera).alpha / 255).astype(np.float32)
    return FittedPerson(dressed, image, mask, np.zeros((64, 64), np.uint8), 0.0, ())


def test_wishes_become_prompts() -> None:
    hat, hoodie = body_prompts(["hat=a red beanie", "clothes=green hoodie", "hat=red beanie"])
    assert (hat.category, hat.get("kind"), hat.get("color")) == (Category.HAT, "beanie", "red")
    assert (hoodie.get("garment"), hoodie.get("color")) == ("hoodie", "green")
    assert body_prompts(["hat=red beanie"])[0].key == hat.key


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("red beanie", "category=words"),
        ("shoes=red boots", "no category"),
        ("nose=long nose", "too small"),
        ("hat=", "category=words"),
        ("hat=xylophone", "xylophone"),
        ("clothes=green hoodie of chainmail", "chainmail"),
    ],
)
def test_other_wishes_are_refused_in_a_sentence(wish: str, said: str) -> None:
    with pytest.raises(PromptError, match=said):
        body_prompts([wish])


def test_too_many_edits_of_one_category_are_refused() -> None:
    colors = ("red", "navy", "yellow", "green", "white", "black", "purple", "orange", "teal")
    with pytest.raises(PromptError, match="at most 8"):
        body_prompts([f"clothes={color} hoodie" for color in colors])


def test_a_head_that_is_not_tracked_wears_no_hat(person: FittedPerson) -> None:
    with pytest.raises(PromptError, match="hat"):
        edit_person(person, None, body_prompts(["hat=red beanie"])[0])


def test_a_garment_has_its_cut(person: FittedPerson) -> None:
    regions = body_regions(person.dressed.model)
    forearm, torso, legs = (regions == one for one in (BodyRegion.FOREARM, BodyRegion.TORSO, BodyRegion.LOWER_LEG))
    for words, sleeves in (("red t-shirt", False), ("red hoodie", True)):
        edited = edit_person(person, None, body_prompts([f"clothes={words}"])[0])
        covers = edited.dressed.covers
        assert bool((covers[forearm] == Cover.UPPER).float().mean() > 0.8) is sleeves
        assert not edited.changed[legs].any() and torch.equal(edited.dressed.rest[legs], person.dressed.rest[legs])
        red = edited.colors[torso & (covers == Cover.UPPER)].mean(0)
        assert red[0] > 2 * red[1] and red[0] > 2 * red[2]
    assert len(edited.added) == 0 and edited.picture.shape == person.image.shape


def test_a_garment_over_a_dress_ends_at_the_hips(person: FittedPerson) -> None:
    """Skirt and all were made cloth of: a hoodie over a dress was a swimsuit."""
    dressed, regions = person.dressed, body_regions(person.dressed.model)
    skirt = torch.isin(regions, torch.tensor([int(BodyRegion.HIP), int(BodyRegion.UPPER_LEG)]))
    sheet = dressed.rest + 0.1 * skirt[:, None] * torch.tensor([0.0, 0.0, 1.0])
    covers = torch.where(skirt, int(Cover.UPPER), dressed.covers)
    in_dress = replace(person, dressed=replace(dressed, covers=covers, rest=sheet))
    edited = edit_person(in_dress, None, body_prompts(["clothes=red hoodie"])[0])
    thighs = regions == BodyRegion.UPPER_LEG
    low = thighs & (dressed.rest[:, 1] < dressed.rest[thighs, 1].max() - 0.15)
    assert not edited.changed[low].any() and torch.equal(edited.dressed.rest[low], sheet[low])
    # What the hoodie covers of the dress stands where the dress stood, and a hoodie's 16 + 8 mm further.
    over = edited.changed & (regions == BodyRegion.HIP)
    assert over.any() and float((edited.dressed.rest - sheet)[over].norm(dim=1).max()) < 0.0241


def test_a_suit_opens_over_a_shirt_and_a_tie(person: FittedPerson) -> None:
    prompt = body_prompts(["clothes=navy suit with a white shirt and a red tie"])[0]
    edited = edit_person(person, None, prompt)
    front = edited.colors[edited.dressed.covers == Cover.UPPER]
    white = (front.min(1).values > 0.55).sum()
    red = ((front[:, 0] > 0.4) & (front[:, 1] < 0.25)).sum()
    navy = ((front[:, 2] > front[:, 0]) & (front[:, 2] < 0.5)).sum()
    assert navy > white > 3 and red > 3


def test_the_edited_photograph_differs_where_the_garment_is(person: FittedPerson) -> None:
    edited = edit_person(person, None, body_prompts(["clothes=red hoodie"])[0])
    differs = (edited.picture != person.image).any(-1)
    near = cv2.dilate((person.mask > 0.01).astype(np.uint8), np.ones((5, 5))) > 0
    assert differs.any() and not differs[~near].any()


def test_the_similarity_is_found_again() -> None:
    rng = np.random.default_rng(0)
    points, turn = rng.normal(size=(20, 3)), Rotation.from_rotvec([0.3, -0.2, 0.5]).as_matrix()
    frame = similarity(points, 1.3 * points @ turn.T + np.array([1.0, 2.0, 3.0]))
    assert frame.scale == pytest.approx(1.3) and np.allclose(frame.turn, turn)
    assert np.allclose(frame.to_head(frame.to_body(points)), points)


def square() -> WornPiece:
    skinning = torch.zeros(4, 55)
    skinning[:, 15] = 1
    points = torch.tensor([[-0.2, 0.1, 0.2], [0.2, 0.1, 0.2], [0.2, 0.4, 0.2], [-0.2, 0.4, 0.2]])
    return WornPiece(points, torch.tensor([[0, 1, 2], [0, 2, 3]]), torch.tensor([[1.0, 0, 0]]).expand(4, 3), skinning)


def test_what_is_put_on_is_drawn_and_moves_with_its_joint(dressed: DressedPerson) -> None:
    worn = with_piece(dressed, square(), int(Cover.HAIR))
    frame = draw_person(worn, worn.posed(worn.parameters), worn.camera)
    assert ((frame.image[..., 0] > 200) & (frame.image[..., 1] < 60)).any()
    assert torch.equal(worn.posed(worn.parameters)[: len(dressed.rest)], dressed.posed(dressed.parameters))


def test_a_hat_does_not_move_the_camera(dressed: DressedPerson) -> None:
    worn = with_piece(dressed, square(), int(Cover.HAIR))
    own, other = (studio_camera(one, 64) for one in (dressed, worn))
    assert torch.equal(own.world_to_camera, other.world_to_camera) and torch.equal(own.intrinsics, other.intrinsics)


def test_added_points_lie_on_the_piece() -> None:
    added = added_points(square(), 200, seed=3)
    below = INSET * added.scales  # what a Gaussian covers does not stand out
    assert torch.allclose((added.points[:, 2] - 0.2).abs(), below, atol=1e-6) and len(added) == 200
    assert float(added.points[:, 0].std()) > 0.1 and bool((added.skinning[:, 15] > 0.999).all())


def test_points_are_spread_without_clumps_and_holes() -> None:
    places = torch.rand(2000, 3, generator=torch.Generator().manual_seed(0)) * torch.tensor([1.0, 1.0, 0.0])
    chosen = farthest_points(places, 100)
    assert len(chosen.unique()) == 100
    even, random = (spacing(places[one], 1) for one in (chosen, torch.arange(100)))
    assert even.min() > 5 * random.min()
    hole = torch.cdist(places, places[chosen]).amin(1).max()
    assert hole < 0.6 * torch.cdist(places, places[:100]).amin(1).max()


def test_what_stands_further_out_than_headphones_in_their_direction_is_found() -> None:
    piece, centre = square(), torch.tensor([0.0, 0.0, -0.8])
    towards = piece.points[1] - centre
    points = torch.stack([centre + 0.99 * towards, centre + 1.01 * towards, centre - 3 * towards, centre])
    assert sticks_out(points, piece, centre.numpy()).tolist() == [False, True, False, False]


def test_learning_an_edit_brings_it_nearer_to_its_frames(dressed: DressedPerson, person: FittedPerson) -> None:
    edited = edit_person(person, None, body_prompts(["clothes=red hoodie"])[0])
    wrong = type(edited)(**{**vars(edited), "colors": torch.full_like(edited.colors, 0.5)})
    avatar = start_avatar(dressed, dressed.fill, OffsetConfig(features=2, resolution=8, hidden=8), 0)
    clip = ProceduralBodyAnimatorConfig().build().film(edited.dressed, Filmed("turn", 2), 48)
    frames = [frame_of(clip, number, generated=True) for number in range(2)]
    config = EditTrainingConfig(steps=8, colors=0.1)
    learned = learn_edit(avatar, dressed, wrong, frames, frames[:1], config, CpuRasterizer(), 0)
    true = edited.colors[edited.changed]
    assert (learned.colors - true).abs().mean() < 0.8 * (0.5 - true).abs().mean()
    again = LearnedEdit.from_bytes(learned.to_bytes())
    assert torch.equal(again.colors, learned.colors) and torch.equal(again.members, learned.members)
    with pytest.raises(DamagedFile, match="run the same command again"):
        LearnedEdit.from_bytes(b"nothing")


def test_a_collar_is_not_like_skin() -> None:
    skin = torch.tensor([[0.8, 0.6, 0.5]]) + 0.02 * torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    shade, teal = 0.88 * skin[:5], torch.tensor([[0.15, 0.45, 0.48]]).expand(5, 3)
    found = alike(torch.cat([skin, shade, teal]).clamp(0, 1), torch.arange(60) < 50)
    assert found[:50].float().mean() > 0.9 and bool(found[50:55].all()) and not found[55:].any()
