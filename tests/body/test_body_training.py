"""Training the body avatar: who is looked at, what counts how much, and that a resumed run is the same run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tolerances import SINGLE

from perse.body.animation.animator import ProceduralBodyAnimatorConfig
from perse.body.animation.drawing import drawn_points
from perse.body.animation.dressed import DressedPerson
from perse.body.animation.motions import Filmed
from perse.body.avatar import BodyAvatar, OffsetConfig, avatar_from_files, avatar_to_files, start_avatar
from perse.body.fitting.person import FittedPerson
from perse.body.model.covers import Cover
from perse.body.model.upsampling import one_ring
from perse.body.training import BodyLossConfig, BodyTrainer, BodyTrainingConfig, first_checkpoint_of
from perse.body.training.frames import TargetFrame, captured_clip, continued_colors, frame_of
from perse.body.training.objective import frame_loss, patch_loss
from perse.body.training.sampler import sample_frames, training_steps
from perse.body.training.smoothness import Smoothness
from perse.errors import DamagedFile, RecipeError
from perse.losses import PictureLossConfig
from perse.render import CpuRasterizer, rasterize

WHITE = torch.ones(3)
SMALL = OffsetConfig(features=2, resolution=8, hidden=8)


@pytest.fixture(scope="module")
def frames(dressed: DressedPerson) -> list[TargetFrame]:
    clip = ProceduralBodyAnimatorConfig().build().film(dressed, Filmed("wave", 3), 48)
    return [frame_of(clip, number, generated=True) for number in range(3)]


def new_avatar(dressed: DressedPerson) -> BodyAvatar:
    return start_avatar(dressed, dressed.fill, SMALL, 0)


def test_balanced_sampling_is_one_to_one() -> None:
    samples = [sample_frames(0, step, 7, balanced=True) for step in range(training_steps(2, 7, 1))]
    assert len(samples) == 14 and all(one.captured for one in samples)
    for epoch in (samples[:7], samples[7:]):
        assert sorted(one.generated for one in epoch) == list(range(7))  # type: ignore[type-var]
    assert [one.generated for one in samples[:7]] != [one.generated for one in samples[7:]]


def test_without_balance_the_captured_frame_is_one_of_many() -> None:
    samples = [sample_frames(0, step, 7, balanced=False) for step in range(8)]
    assert sum(one.captured for one in samples) == 1
    assert sorted(one.generated for one in samples if one.generated is not None) == list(range(7))


def test_workers_share_an_epoch() -> None:
    of_two = [sample_frames(3, step, 6, balanced=True, rank=rank, world=2) for step in range(3) for rank in range(2)]
    assert sorted(one.generated for one in of_two) == list(range(6))  # type: ignore[type-var]


def test_the_first_avatar_moves_as_its_bones_do_and_cloth_alone_learns_more(
    dressed: DressedPerson, frames: list[TargetFrame]
) -> None:
    avatar = new_avatar(dressed)
    target = frames[0]
    posed = avatar.pose(target.pose[None], target.translation[None])
    torch.testing.assert_close(posed.refined, posed.plain)
    with torch.no_grad():
        avatar.offsets.last.bias.fill_(5.0)
    moved = avatar.pose(target.pose[None], target.translation[None]).offsets[0].norm(dim=-1)
    assert (moved[dressed.covers == Cover.UPPER] > 0.01).all()
    assert moved[dressed.hands].max() == 0


def test_auxiliary_colour_is_for_generated_frames_only(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    gradients = {}
    for generated in (False, True):
        avatar, target = new_avatar(dressed), replace(frames[0], generated=generated)
        posed = avatar.pose(target.pose[None], target.translation[None])
        frame_loss(avatar, posed, target, BodyLossConfig(), CpuRasterizer(), WHITE).total.backward()  # type: ignore[no-untyped-call]
        gradients[generated] = avatar.auxiliary.grad
    assert gradients[False] is None or gradients[False].abs().max() == 0
    assert gradients[True].abs().max() > 0


def test_geometry_counts_for_more_in_generated_frames(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    avatar, config = new_avatar(dressed), BodyLossConfig()
    target = replace(frames[0], seams=torch.zeros_like(frames[0].seams))
    posed = avatar.pose(frames[1].pose[None], frames[1].translation[None])  # another pose: something is wrong
    with torch.no_grad():
        kinds = {
            kind: frame_loss(avatar, posed, replace(target, generated=kind), config, CpuRasterizer(), WHITE)
            for kind in (False, True)
        }
    geometry = float(kinds[True].geometry)
    assert geometry > 0.01
    difference = float(kinds[True].total - kinds[False].total)
    # A difference of two float32 totals of about ten times its size.
    assert difference == pytest.approx(0.9 * geometry, rel=1e-3)


def test_a_hands_silhouette_weighs_fifty_times(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    avatar, target = new_avatar(dressed), frames[0]
    posed = avatar.pose(frames[1].pose[None], frames[1].translation[None])
    with torch.no_grad():
        light, heavy = (
            float(frame_loss(avatar, posed, target, BodyLossConfig(hands=weight), CpuRasterizer(), WHITE).mask)
            for weight in (1.0, 50.0)
        )
    with torch.no_grad():
        none = replace(target, hands=torch.zeros_like(target.hands))
        base = float(frame_loss(avatar, posed, none, BodyLossConfig(), CpuRasterizer(), WHITE).mask)
    assert heavy > light >= base - 1e-6


def test_colours_are_compared_within_ones_own_silhouette(frames: list[TargetFrame]) -> None:
    target, red = frames[0], torch.tensor([1.0, 0.0, 0.0])
    inner = target.alpha > 0.5
    # Five 8-bit levels: colours are divided by alpha, and continued where that is small.
    torch.testing.assert_close(target.within(target.alpha, WHITE)[inner], target.image[inner], atol=0.02, rtol=0)
    everywhere = torch.ones_like(target.alpha)
    assert torch.equal(target.within(0 * everywhere, red).reshape(-1, 3).unique(dim=0), red[None])
    assert torch.equal(target.within(everywhere, red), target.colors)
    assert (target.colors[target.alpha == 0] - 1).abs().max() > 0.1  # the person's, not the background's


def test_a_persons_colours_go_on_outside(frames: list[TargetFrame]) -> None:
    alpha = np.zeros((9, 9), np.float32)
    alpha[2:7, 2:7], alpha[2, 2:7] = 1, 0.6
    own = np.array([0.2, 0.5, 0.1], np.float32)
    image = alpha[..., None] * own + (1 - alpha[..., None])
    np.testing.assert_allclose(continued_colors(image, alpha, 0.0), np.broadcast_to(own, image.shape), atol=SINGLE)
    image[2:7, 2] = image[2:7, 6] = image[6, 2:7] = image[2, 2:7] = 0  # the photograph's own outline is dirty
    np.testing.assert_allclose(continued_colors(image, alpha, 1.5), np.broadcast_to(own, image.shape), atol=SINGLE)
    assert np.isfinite(continued_colors(image, 0 * alpha, 1.5)).all()


def test_what_the_photograph_shows_badly_is_a_seam(dressed: DressedPerson) -> None:
    """Left half of the person seen badly: its pixels are seams, those of the right half are not."""
    left = dressed.rest[:, 0] > 0.0
    half = replace(dressed, seen=torch.where(left, 0.2, 1.0))
    size = dressed.photograph.shape[0]
    person = FittedPerson(
        half, (255 * dressed.photograph).astype(np.uint8), np.ones((size, size), np.float32),
        np.zeros((size, size), np.uint8), 0.0, (),
    )  # fmt: skip
    clip = captured_clip(person, 256)
    sides = [
        drawn_points(half, half.posed(half.parameters), clip.camera, chosen) & (clip.depth[0] > 0)
        for chosen in (left, ~left)
    ]
    shares = [float(clip.seams[0][side].mean()) for side in sides]
    assert sides[0].sum() > 50 and sides[1].sum() > 50
    # Of the right half, those that lie next to a jump in depth and next to the border of the halves.
    assert shares[0] == 1.0 and shares[1] < 0.5


def test_seams_count_less_in_a_close_look_too(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    avatar = new_avatar(dressed)
    target = replace(frames[0], generated=False, seams=(frames[0].alpha > 0).float())
    posed = avatar.pose(frames[1].pose[None], frames[1].translation[None])
    with torch.no_grad():
        losses = [
            float(patch_loss(avatar, posed, target, BodyLossConfig(seams=weight), CpuRasterizer(), WHITE))
            for weight in (1.0, 0.0)
        ]
    assert losses[1] < 0.5 * losses[0]


def test_no_colour_learns_the_background(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    """Whatever is behind, in whatever silhouette: the gradient is the same, and points away from the person's colour.
    With the target's silhouette, points a pixel outside of it turned grey, the mean of all backgrounds."""
    target = replace(frames[0], generated=False)
    no_ssim = BodyLossConfig(image=PictureLossConfig(l1=1.0, ssim=0.0, alpha=0.0, scales=1))
    pulls = []
    for background in (WHITE, 0 * WHITE):
        avatar = new_avatar(dressed)
        posed = avatar.pose(frames[1].pose[None], frames[1].translation[None])  # an arm is elsewhere
        frame_loss(avatar, posed, target, no_ssim, CpuRasterizer(), background).total.backward()  # type: ignore[no-untyped-call]
        assert avatar.colors.grad is not None
        pulls.append(avatar.colors.grad)
    pixels = target.camera.project(posed.plain[0].detach())[0].long().clamp(0, 47)
    outside = target.alpha[pixels[:, 1], pixels[:, 0]] == 0
    assert outside.sum() > 20 and pulls[0][outside].abs().sum() > 0
    assert (pulls[0] - pulls[1])[outside].abs().sum() < 0.05 * pulls[0][outside].abs().sum()


def test_colours_and_sizes_are_pulled_back_to_the_fitted_ones(
    dressed: DressedPerson, frames: list[TargetFrame]
) -> None:
    """As a single line of arithmetic says: the gradient of w · mean((x − x₀)²). Colours of points that the photograph
    does not show are held the more firmly."""
    avatar, target = new_avatar(dressed), frames[0]
    with torch.no_grad():
        avatar.colors[:50] += 0.1
        avatar.log_scales[:50] -= 0.2
    w = BodyLossConfig(scale_laplacian=0.0)
    posed = avatar.pose(target.pose[None], target.translation[None])
    Smoothness(avatar, w)(avatar, posed).backward()  # type: ignore[no-untyped-call]
    assert avatar.colors.grad is not None and avatar.log_scales.grad is not None
    n = len(avatar)
    firmly = w.fitted_colors * (1 + w.unseen_colors * (1 - avatar.seen[:50, None]))
    torch.testing.assert_close(avatar.colors.grad[:50], (2 * firmly * 0.1 / (3 * n)).expand(50, 3))
    torch.testing.assert_close(avatar.log_scales.grad[:50], torch.full((50,), -2 * w.fitted_scales * 0.2 / n))
    assert avatar.colors.grad[50:].abs().max() == 0 and avatar.log_scales.grad[50:].abs().max() == 0


def test_a_point_is_seen_as_badly_as_the_worst_beside_it(dressed: DressedPerson) -> None:
    seen = torch.rand(len(dressed.rest), generator=torch.Generator().manual_seed(3))
    found, edges = new_avatar(replace(dressed, seen=seen)).seen, one_ring(dressed.faces)
    assert bool((found <= seen).all()) and bool((found[edges[:, 0]] <= seen[edges[:, 1]]).all())
    assert bool((found[edges[:, 1]] <= seen[edges[:, 0]]).all())
    all_seen = new_avatar(replace(dressed, seen=torch.ones_like(seen))).seen
    assert bool((all_seen == 1).all())


def trained(dressed: DressedPerson, frames: list[TargetFrame], stops: tuple[int, ...]) -> BodyTrainer:
    """Four steps, with an interruption after each of these."""
    config = BodyTrainingConfig(epochs=2)
    checkpoint = first_checkpoint_of(new_avatar(dressed), config)
    for until in (*stops, 4):
        trainer = BodyTrainer(
            avatar_from_files(checkpoint.files), replace(frames[0], generated=False), frames[1:], config,
            rasterizer=CpuRasterizer(),
        )  # fmt: skip
        trainer.resume(checkpoint)
        while trainer.step_number < until:
            trainer.step()
        checkpoint = trainer.checkpoint()
    return trainer


def test_a_resumed_run_is_the_same_run(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    whole, resumed = trained(dressed, frames, ()), trained(dressed, frames, (2,))
    for (name, a), (_, b) in zip(whole.avatar.named_parameters(), resumed.avatar.named_parameters(), strict=True):
        assert torch.equal(a, b), name
    assert not torch.equal(whole.avatar.colors, new_avatar(dressed).colors)


def test_training_brings_the_persons_colours_nearer(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    avatar = new_avatar(dressed)
    with torch.no_grad():
        avatar.colors.fill_(0.5)
    config = BodyTrainingConfig(epochs=6)
    trainer = BodyTrainer(avatar, replace(frames[0], generated=False), frames[1:], config, rasterizer=CpuRasterizer())

    def wrong_inside() -> float:
        target = frames[0]
        with torch.no_grad():
            points = avatar.pose(target.pose[None], target.translation[None]).plain[0]
            drawn = rasterize(
                avatar.gaussians(points, avatar.shown_colors(generated=False)), target.camera, background=WHITE,
                rasterizer=CpuRasterizer(),
            )  # fmt: skip
        return float((drawn.colors - target.image).abs()[target.alpha == 1].mean())

    before = wrong_inside()
    for _ in range(12):
        trainer.step()
    assert wrong_inside() < 0.97 * before


def test_another_recipe_cannot_go_on(dressed: DressedPerson, frames: list[TargetFrame]) -> None:
    checkpoint = first_checkpoint_of(new_avatar(dressed), BodyTrainingConfig(seed=1))
    trainer = BodyTrainer(
        avatar_from_files(checkpoint.files), frames[0], frames[1:], BodyTrainingConfig(), rasterizer=CpuRasterizer()
    )
    with pytest.raises(RecipeError, match="another recipe"):
        trainer.resume(checkpoint)


def test_files_hold_the_avatar_and_say_when_they_are_damaged(dressed: DressedPerson) -> None:
    avatar = new_avatar(dressed)
    files = avatar_to_files(avatar)
    again = avatar_from_files(files)
    pose = dressed.parameters.pose
    torch.testing.assert_close(again.posed(pose, torch.zeros(3)).means, avatar.posed(pose, torch.zeros(3)).means)
    with pytest.raises(DamagedFile):
        avatar_from_files(files | {"body.safetensors": files["body.safetensors"][:200]})
