"""Turntables, interpolations, reenactments; and the files they end in."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest
import torch
from PIL import Image

from perse.export import (
    at_rest,
    film,
    interpolation,
    mixed_code,
    mp4_bytes,
    orbit,
    orbit_centre,
    portrait_camera,
    reenactment,
    strip,
    turntable,
    webp_bytes,
)
from perse.render import CpuRasterizer
from perse.synthesis.motion import load_motion


def test_orbiting_keeps_the_head_in_place(avatar) -> None:  # type: ignore[no-untyped-def]
    camera, centre = portrait_camera(avatar, 64), orbit_centre(avatar)
    at, depth = camera.project(centre[None])
    for yaw, pitch in ((0.5, 0.0), (-1.0, 0.4), (3.1, -0.2)):
        moved, far = orbit(camera, centre, yaw, pitch).project(centre[None])
        # Pixels and metres: float32 through two rotations.
        assert torch.allclose(moved, at, atol=1e-3) and torch.allclose(far, depth, atol=1e-5)


def test_a_positive_yaw_shows_the_persons_left(avatar) -> None:  # type: ignore[no-untyped-def]
    """The left ear (x > 0) comes nearer to the camera."""
    camera, centre = portrait_camera(avatar, 64), orbit_centre(avatar)
    ear = centre + torch.tensor([0.08, 0.0, 0.0])
    assert orbit(camera, centre, 0.5).project(ear[None])[1] < camera.project(ear[None])[1]


def test_a_turntable_closes(avatar) -> None:  # type: ignore[no-untyped-def]
    shots = turntable(
        avatar, avatar.latents.reference, portrait_camera(avatar, 48), frames=8, reach_deg=180, frame=at_rest(avatar)
    )
    pictures = list(film(avatar, shots, CpuRasterizer()))
    steps = [np.abs(a.astype(int) - b).mean() for a, b in zip(pictures, [*pictures[1:], pictures[0]], strict=True)]
    assert min(steps) > 0 and steps[-1] < 3 * np.median(steps)


def test_an_interpolation_starts_and_ends_at_its_ends(avatar, hat) -> None:  # type: ignore[no-untyped-def]
    start, end = avatar.latents.reference.detach(), mixed_code(avatar, hat)
    shots = interpolation(start, end, portrait_camera(avatar, 48), steps=5, frame=at_rest(avatar), there_and_back=True)
    assert len(shots) == 8
    assert torch.equal(shots[0].code, start) and torch.equal(shots[4].code, end)
    pictures = list(film(avatar, shots, CpuRasterizer()))
    assert (pictures[1] == pictures[7]).all() and (pictures[0] != pictures[4]).any()


def test_transparent_pictures_over_white_are_the_white_ones(avatar, head_model) -> None:  # type: ignore[no-untyped-def]
    shots = reenactment(
        avatar.latents.reference, portrait_camera(avatar, 48), load_motion(head_model).frame(slice(30, 33))
    )
    white = np.stack(list(film(avatar, shots, CpuRasterizer()))).astype(float)
    clear = np.stack(list(film(avatar, shots, CpuRasterizer(), background=None))).astype(float)
    alpha = clear[..., 3:] / 255
    assert alpha.min() == 0 and alpha.max() > 0.9
    assert np.abs(clear[..., :3] * alpha + 255 * (1 - alpha) - white).max() < 2.5


def test_supersampling_smooths_and_keeps_the_size(avatar) -> None:  # type: ignore[no-untyped-def]
    shots = turntable(
        avatar, avatar.latents.reference, portrait_camera(avatar, 40), frames=1, reach_deg=40, frame=at_rest(avatar)
    )
    (plain,), (smooth,) = (list(film(avatar, shots, CpuRasterizer(), supersampling=s)) for s in (1, 2))
    assert plain.shape == smooth.shape == (40, 40, 3)
    assert 0 < np.abs(plain.astype(int) - smooth).mean() < 12


def test_videos_hold_every_frame() -> None:
    frames = [np.full((33, 47, 3), level, np.uint8) for level in (20, 120, 220)]
    with av.open(io.BytesIO(mp4_bytes(frames, 29.97))) as container:
        stream = container.streams.video[0]
        assert abs(float(stream.average_rate) - 29.97) < 0.01  # frames a second: the container's clock has ticks
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
    assert [d.shape for d in decoded] == [(34, 48, 3)] * 3
    assert all(abs(d.mean() - f.mean()) < 3 for d, f in zip(decoded, frames, strict=True))
    with Image.open(io.BytesIO(webp_bytes(frames, 10))) as animated:
        assert animated.n_frames == 3
    assert strip(frames).shape == (33, 141, 3)
    with pytest.raises(ValueError):
        mp4_bytes([], 25)
