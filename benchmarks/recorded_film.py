"""A film of a person as a telephone would record it, for a house without real ones: rendered, and disturbed.

    python -m benchmarks.recorded_film --out film.mp4 [--portrait me.jpg] [--frames 250]

The tracked portrait (the sample portrait if none is given) performs a calm part of the built-in motion, half as strong
as written, drawn by the procedural animator at 512 px; put before a photograph of a garage, out of focus, carried
through the picture (± 4 % of its width, ± 5 % of its size), lit a little unevenly over time, with noise of 3 grey
levels, at 640 × 480 px and 25 frames a second. It is no real video: its person moves like our animator's, and has
that body.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from perse.data.photograph import read_photograph
from perse.export.video import mp4_bytes
from perse.head import HeadModel, HeadParameters
from perse.head.embedded import embedded_head
from perse.synthesis.motion import load_motion
from perse.synthesis.procedural.animator import ProceduralAnimatorConfig
from perse.synthesis.seams import Shot
from perse.tracking import MediapipeTrackerConfig

WIDTH, HEIGHT, FPS, STRENGTH, NOISE = 640, 480, 25.0, 0.5, 3.0

Pictures = NDArray[np.uint8]


def performed(model: HeadModel, frames: int) -> HeadParameters:
    """So many frames of the built-in motion at half its strength, at its own pace, from rest."""
    motion = load_motion(model)
    numbers = torch.arange(frames) % len(motion)
    return HeadParameters(
        motion.betas, motion.vertex_offsets, STRENGTH * motion.expression[numbers], STRENGTH * motion.pose[numbers]
    )


def recorded(images: Pictures, alphas: Pictures, rng: np.random.Generator) -> list[Pictures]:
    """Clip frames [f, s, s, 3] with mattes [f, s, s] as a camera would have recorded them, [f, h, w, 3]."""
    import skimage.data

    garage = np.asarray(skimage.data.stereo_motorcycle()[0])
    room = cv2.resize(garage, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    room = cv2.GaussianBlur(room, (0, 0), 4).astype(np.float32)
    frames, size = [], images.shape[1]
    for number, (image, alpha) in enumerate(zip(images, alphas, strict=True)):
        time_s = number / FPS
        zoom = 0.94 * HEIGHT / size * (1 + 0.05 * np.sin(0.9 * time_s))
        x = WIDTH / 2 + 0.04 * WIDTH * np.sin(0.7 * time_s) - zoom * size / 2
        y = HEIGHT - zoom * size + 0.01 * HEIGHT * np.sin(1.3 * time_s) + 8
        matrix = np.array([[zoom, 0, x], [0, zoom, y]])
        solid = image * np.float32(1) - (255 - alpha[..., None])  # what is the person's of a picture on white
        matte = cv2.warpAffine(alpha, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)[..., None] / np.float32(255)
        shown = cv2.warpAffine(solid, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_AREA)
        frame = (np.maximum(shown, 0) + room * (1 - matte)) * (1 + 0.03 * np.sin(0.5 * time_s))
        frames.append(np.clip(frame + rng.normal(0, NOISE, frame.shape), 0, 255).astype(np.uint8))
    return frames


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the film, .mp4")
    parser.add_argument("--portrait", help="photograph of who is filmed; the sample portrait if left out")
    parser.add_argument("--frames", type=int, default=250, help="25 a second")
    options = parser.parse_args()
    model = embedded_head()
    portrait = MediapipeTrackerConfig().build(model).track(read_photograph(options.portrait))
    shot = Shot(np.arange(options.frames, dtype=np.int32), performed(model, options.frames), 512)
    clip = ProceduralAnimatorConfig().build(model).animate(portrait, None, shot)
    frames = recorded(np.asarray(clip.images[:]), np.asarray(clip.alphas[:]), np.random.default_rng(0))
    options.out.write_bytes(mp4_bytes(frames, FPS))


if __name__ == "__main__":
    main()
