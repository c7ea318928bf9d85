"""Recorded frames of the person: the reference is trained on them, in their own poses, and nobody else is."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_avatar import synthetic_avatar

from perse.data import UNRECORDED, PortraitClip
from perse.errors import StageError
from perse.head import Joint
from perse.render import CpuRasterizer, Rendering
from perse.training import ClipStore, LossConfig, Trainer, TrainingConfig
from perse.training.clips import select_frames
from perse.training.objective import ImageObjective
from perse.training.sampler import ReferenceFrames, sample_step


def _captured(clip: PortraitClip, frames: int = 3) -> PortraitClip:
    """Other pictures, in other poses, by the same camera."""
    parameters = clip.parameters.frame(slice(0, frames))
    return replace(
        clip,
        frame_numbers=np.array(clip.frame_numbers[:frames]),
        images=np.asarray(255 - np.asarray(clip.images[:frames]), np.uint8),
        alphas=clip.alphas[:frames],
        parts=clip.parts[:frames],
        parameters=replace(parameters, pose=parameters.pose + 0.1),
    )


def test_positions_behind_the_clips_are_the_recorded_frames(tiny_clips: Any) -> None:
    clips = [clip for clip, _ in tiny_clips]
    captured = _captured(clips[0])
    store = ClipStore(clips).with_captured(captured)
    f = store.n_frames
    assert list(store.reference_frames)[-3:] == [f, f + 1, f + 2]
    assert list(ClipStore(clips).reference_frames) == list(range(f))
    batch = store.batch((0, 1), (f + 2, 1))
    assert np.array_equal(batch.images[0].numpy(), captured.images[2])
    assert np.array_equal(batch.images[1].numpy(), clips[1].images[1])
    assert torch.equal(store.motion.pose[f:], captured.parameters.pose) and len(store.motion) == f + 3
    assert torch.equal(store.motion.pose[:f], store.parameters.pose)
    assert store.name_of(f + 1) == f"{captured.frame_numbers[1]} of the video" and store.name_of(0).isdigit()
    assert store.frames(np.arange(f) < 2).captured is captured


def test_where_the_camera_saw_no_such_turn_the_reference_keeps_its_clip(tiny_clips: Any) -> None:
    """Yaws of 0, 20 and −40 degrees in the clip, of −10 to 25 in the video."""
    clip = tiny_clips[0][0]
    clip = select_frames(clip, np.arange(len(clip)) < 3)
    pose = torch.zeros_like(clip.parameters.pose)
    pose[:, Joint.NECK, 1] = torch.tensor([0.0, 20.0, -40.0]).deg2rad()
    clip = replace(clip, parameters=replace(clip.parameters, pose=pose))
    seen = torch.zeros_like(pose)
    seen[:, Joint.GLOBAL, 1] = torch.tensor([-10.0, 25.0, 5.0]).deg2rad()
    captured = replace(clip, parameters=replace(clip.parameters, pose=seen))
    assert list(ClipStore([clip], captured).reference_frames) == [2, 3, 4, 5]
    assert list(ClipStore([clip], clip).reference_frames) == [3, 4, 5]


def test_recorded_frames_weigh_at_least_twice_as_much_as_filmed_ones(tiny_clips: Any) -> None:
    """All frames of the clip turn further than the one that was recorded."""
    clip = tiny_clips[0][0]
    pose = torch.zeros_like(clip.parameters.pose)
    pose[:, Joint.NECK, 1] = torch.linspace(0.5, 1.0, len(clip))
    clip = replace(clip, parameters=replace(clip.parameters, pose=pose))
    still = select_frames(clip, np.arange(len(clip)) < 1)
    still = replace(still, parameters=replace(still.parameters, pose=torch.zeros_like(still.parameters.pose)))
    found = ClipStore([clip], still).reference_frames
    assert (len(found.filmed), len(found.recorded), found.weight) == (len(clip), 1, 2 * len(clip))
    a_pass = [sample_step(0, step, [], len(clip), 0, reference=found).frames[0] for step in range(len(found))]
    assert Counter(a_pass) == {**dict.fromkeys(range(len(clip)), 1), len(clip): 2 * len(clip)}


def test_the_reference_is_shown_recorded_frames_alone_and_edits_their_clips() -> None:
    steps = [sample_step(0, step, [1, 2], 5, 2, reference=ReferenceFrames(range(5, 9))) for step in range(8)]
    assert {step.frames[0] for step in steps} == {5, 6, 7, 8}
    assert {frame for step in steps for frame in step.frames[1:]} <= set(range(5))
    plain = [sample_step(0, step, [1, 2], 5, 2) for step in range(8)]
    assert [step.frames[1:] for step in plain] == [step.frames[1:] for step in steps]


def test_recorded_frames_of_another_camera_are_refused(tiny_clips: Any) -> None:
    clips = [clip for clip, _ in tiny_clips]
    captured = _captured(clips[0])
    pose = captured.camera.world_to_camera.clone()
    pose[2, 3] += 0.01
    moved = replace(captured, camera=replace(captured.camera, world_to_camera=pose))
    with pytest.raises(StageError, match="differ in size or camera"):
        ClipStore(clips, moved)


def test_a_step_compares_the_reference_with_a_recorded_frame_in_its_pose(head_model: Any, tiny_clips: Any) -> None:
    clips = [clip for clip, _ in tiny_clips]
    captured = _captured(clips[0])
    config = TrainingConfig(steps=40, edits_per_step=1, warmup_steps=4)
    trainer = Trainer(
        synthetic_avatar(head_model, tiny_clips),
        ClipStore(clips).with_captured(captured),
        config,
        rasterizer=CpuRasterizer(),
    )
    samples = (trainer.sample(step) for step in range(config.steps))
    sample = next(one for one in samples if one.frames[0] >= len(clips[0]))
    row = sample.frames[0] - len(clips[0])
    assert 0 <= row < 3 and sample.frames[1] < len(clips[0])
    canonical = trainer.avatar.canonicalise(trainer.avatar.subject_codes(torch.tensor([0])))
    drawn = trainer.draw(canonical, [0], [sample.frames[0]])
    alone = Trainer(
        trainer.avatar, ClipStore([captured, *(replace(clip, **_frames_of(captured)) for clip in clips[1:])]), config,
        rasterizer=CpuRasterizer(),
    ).draw(canonical, [0], [row])  # fmt: skip
    assert torch.equal(drawn.colors, alone.colors)
    elsewhere = trainer.draw(canonical, [0], [row])
    assert not torch.allclose(drawn.colors, elsewhere.colors, atol=1e-3)  # far above float32's rounding
    before = float(trainer.gradients(sample).l1)
    for _ in range(12):
        trainer.step()
    assert float(trainer.gradients(sample).l1) < before  # negatives of the clip's pictures are learned


def _cut(clip: PortraitClip, rows: int) -> PortraitClip:
    """The last rows were not recorded."""
    parts, images = np.array(clip.parts), np.array(clip.images)
    parts[:, -rows:], images[:, -rows:] = UNRECORDED, 255
    return replace(clip, parts=parts, images=images)


def test_what_was_not_recorded_teaches_nothing(tiny_clips: Any) -> None:
    clips = [clip for clip, _ in tiny_clips]
    store = ClipStore(clips).with_captured(_cut(_captured(clips[0]), 20))
    f = store.n_frames
    assert store.batch((0, 1), (0, 1)).seen is None
    target = store.batch((0, 1), (f, 1))
    assert target.seen is not None and not target.seen[0, -20:].any() and target.seen[0, :-20].all()
    assert target.seen[1].all() and target.within(lambda x: x[:, -30:]).seen.shape[1] == 30  # type: ignore[union-attr]
    generator = torch.Generator().manual_seed(0)
    colors = torch.rand(target.images.shape, generator=generator, requires_grad=True)
    alphas = torch.rand(target.alphas.shape, generator=generator, requires_grad=True)
    objective = ImageObjective(LossConfig())
    terms = objective(Rendering(colors, alphas, torch.zeros_like(alphas)), target)
    terms.total.backward()
    assert colors.grad is not None and alphas.grad is not None
    assert not colors.grad[0, -20:].any() and not alphas.grad[0, -20:].any()
    assert colors.grad[0, :-20].any() and colors.grad[1, -20:].any()
    other = replace(target, images=torch.where((target.parts == UNRECORDED)[..., None], 7, target.images))
    again = objective(Rendering(colors, alphas, torch.zeros_like(alphas)), other)
    # What it would have been enters no mean either; windows of SSIM that reach there see the target in both pictures.
    assert torch.equal(again.l1, terms.l1)


def _frames_of(clip: PortraitClip) -> dict[str, Any]:
    """Everything of a clip but whose it is."""
    return {field.name: getattr(clip, field.name) for field in fields(clip) if field.name != "key"}
