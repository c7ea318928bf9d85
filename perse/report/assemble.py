"""Report of a build: which subjects, poses and walks are shown of everything it made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from perse.attributes import Category
from perse.avatar import Avatar, interpolate, mix_edits
from perse.data import UNRECORDED, EditedPortrait, PortraitClip, TrackedPortrait
from perse.head import HeadModel, Joint
from perse.render import Rasterizer, rasterize
from perse.report.avatar_sections import (
    Pair,
    angles_section,
    interpolation_section,
    mix_section,
    unseen_section,
    video_section,
)
from perse.report.curves import plot_curves
from perse.report.page import Report, Section
from perse.report.synthesis_sections import clip_section, edits_section, portrait_section
from perse.shapes import Picture

SHOWN_YAWS_DEG = (-40.0, -20.0, 0.0, 20.0, 40.0)
INTERPOLATION_STEPS = 9
VIDEO_FRAMES = 5
"""Unseen frames of a video that are shown."""
WALKED = (Category.HAIR, Category.HAT, Category.BEARD, Category.CLOTHES, Category.HEADPHONES)
"""Interpolations are shown for the first three of these that have two subjects."""
MIXED = (Category.HAIR, Category.BEARD, Category.CLOTHES, Category.HEADPHONES, Category.EYEBROWS, Category.EARRINGS)
"""A mix is made of the first four of these that have a subject."""


@dataclass(frozen=True)
class ReportInputs:
    """Products of a finished build that a report shows.

    Attributes:
        portrait, model: the tracked photograph and the head model it was fitted with.
        edits: accepted edits.
        clips: whole clips, training and unseen frames, in the order of the avatar's subjects (reference first).
        unseen: frame numbers that were not trained on.
        avatar, rasterizer: what draws.
        curves: name → (step, value) pairs.
        metrics: the content of metrics.json.
        video: frames of the person's own video that were not trained on, where the avatar was built from one.
    """

    portrait: TrackedPortrait
    model: HeadModel
    edits: Sequence[EditedPortrait]
    clips: Sequence[PortraitClip]
    unseen: frozenset[int]
    avatar: Avatar
    rasterizer: Rasterizer
    curves: Mapping[str, Sequence[tuple[float, float]]]
    metrics: Mapping[str, Any]
    video: PortraitClip | None = None


def assemble_report(inputs: ReportInputs) -> Report:
    """Report with all its pictures rendered. The avatar is not changed."""
    with torch.inference_mode():
        codes = inputs.avatar.subject_codes()
        sections = [
            portrait_section(inputs.portrait, inputs.model),
            *([edits_section(inputs.edits, inputs.metrics.get("acceptance"))] if inputs.edits else []),
            _clip(inputs),
            _angles(inputs, codes),
            *_video(inputs, codes),
            *_unseen(inputs, codes),
            *_walks(inputs, codes),
            *_mix(inputs, codes),
        ]
    if any(inputs.curves.values()):
        curves = plot_curves(inputs.curves)
        sections.append(Section("curves", "Curves", "Training, then fine-tuning on interpolations.", [curves]))
    source = "From one photograph" if inputs.video is None else "From a video"
    lead = (
        f"{source}: {len(inputs.clips) - 1} edited subjects, {inputs.avatar.n_gaussians:,} Gaussians, "
        f"{len(inputs.clips[0])} frames a subject of which {len(inputs.unseen)} were never trained on."
    )
    return Report("A personalised, editable head avatar", lead, sections, inputs.metrics)


def draw(inputs: ReportInputs, code: Float[Tensor, "k d"], frame: int) -> Picture:
    """Picture [h, w, 3] uint8 of the avatar with a code [k, d] in a frame (an index into the clips), on white."""
    return _drawn(inputs, code, inputs.clips[0], frame)


def _drawn(inputs: ReportInputs, code: Tensor, clip: PortraitClip, frame: int) -> Picture:
    parameters = clip.parameters.frame(slice(frame, frame + 1)).to(code.device)
    gaussians = inputs.avatar.pose(inputs.avatar.canonicalise(code), parameters)
    device = code.device
    white = torch.ones(3, device=device)
    camera = clip.camera.to(device)
    seen = inputs.avatar.seen_from(camera, gaussians[0])
    drawn = rasterize(seen, camera, background=white, rasterizer=inputs.rasterizer)
    return (drawn.colors.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()


def _clip(inputs: ReportInputs) -> Section:
    names = [s.text or "the portrait itself" for s in inputs.avatar.subjects]
    chosen = next((i for i, s in enumerate(inputs.avatar.subjects) if s.category is Category.HAT), len(names) - 1)
    return clip_section(inputs.clips[chosen], names[chosen])


def _angles(inputs: ReportInputs, codes: Tensor) -> Section:
    clip = inputs.clips[0]
    yaws = _yaw_deg(clip)
    trained = np.array([int(n) not in inputs.unseen for n in clip.frame_numbers])
    frames = [int(np.argmin(np.abs(yaws - wanted) + 1e6 * ~trained)) for wanted in SHOWN_YAWS_DEG]
    return angles_section([Pair(f"{yaws[f]:+.0f}°", draw(inputs, codes[0], f), clip.images[f]) for f in frames])


def _video(inputs: ReportInputs, codes: Tensor) -> list[Section]:
    clip, pairs = inputs.video, []
    if clip is None:
        return []
    for frame in sorted({round(n) for n in np.linspace(0, len(clip) - 1, VIDEO_FRAMES)}):
        drawn = _drawn(inputs, codes[0], clip, frame)
        drawn[np.asarray(clip.parts[frame]) == UNRECORDED] = 255
        pairs.append(Pair(f"{frame + 1} of {len(clip)}", drawn, np.asarray(clip.images[frame])))
    return [video_section(pairs)]


def _unseen(inputs: ReportInputs, codes: Tensor) -> list[Section]:
    numbers = inputs.clips[0].frame_numbers
    frames = [i for i, n in enumerate(numbers) if int(n) in inputs.unseen] or list(range(len(numbers)))
    pairs = []
    for category in Category:
        rows = [i for i, s in enumerate(inputs.avatar.subjects) if s.category is category]
        for row in rows[:1]:
            frame = frames[(3 + 4 * category.index) % len(frames)]  # another pose for each category
            text = inputs.avatar.subjects[row].text
            pairs.append(Pair(text, draw(inputs, codes[row], frame), inputs.clips[row].images[frame]))
    return [unseen_section(pairs)] if pairs else []


def _walks(inputs: ReportInputs, codes: Tensor) -> list[Section]:
    rows: list[tuple[str, list[NDArray[np.uint8]]]] = []
    frame = _frontal(inputs)
    for category in WALKED:
        members = [i for i, s in enumerate(inputs.avatar.subjects) if s.category is category]
        if len(members) >= 2 and len(rows) < 3:
            start, end = members[0], members[1]
            alphas = torch.linspace(0, 1, INTERPOLATION_STEPS)
            images = [draw(inputs, interpolate(codes[start], codes[end], float(a)), frame) for a in alphas]
            title = f"{inputs.avatar.subjects[start].text}  to {inputs.avatar.subjects[end].text}"
            rows.append((title, images))
    return [interpolation_section(rows)] if rows else []


def _mix(inputs: ReportInputs, codes: Tensor) -> list[Section]:
    chosen: dict[Category, Tensor] = {}
    steps = []
    frame = _frontal(inputs)
    for category in MIXED:
        row = next((i for i, s in enumerate(inputs.avatar.subjects) if s.category is category), None)
        if row is not None and len(chosen) < 4:
            chosen[category] = codes[row, category.index]
            code = mix_edits(codes[0], chosen)
            steps.append((f"+ {inputs.avatar.subjects[row].text}", draw(inputs, code, frame)))
    if not steps:
        return []
    start = ("the portrait itself", draw(inputs, codes[0], frame))
    return [mix_section("Parts of different subjects in one code, added one by one.", [start, *steps])]


def _frontal(inputs: ReportInputs) -> int:
    """The frame whose head is turned least: close to the portrait, and everything can be seen."""
    pose = inputs.clips[0].parameters.pose
    return int((pose[:, Joint.NECK].norm(dim=-1) + pose[:, Joint.JAW].norm(dim=-1)).argmin())


def _yaw_deg(clip: PortraitClip) -> NDArray[np.float64]:
    return np.rad2deg(clip.parameters.pose[:, Joint.NECK, 1].numpy().astype(np.float64))
