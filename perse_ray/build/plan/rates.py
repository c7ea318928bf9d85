"""Rates of a plan: what one unit of work takes one worker, each number with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Rates of one worker: seconds for one unit of work."""

    procedural_edit_s: float = 0.6
    """Measured: 25 to 600 ms on one core (docs/reference.md#procedural-edits)."""
    diffusion_step_s: float = 0.35
    """One denoising step of FLUX or SDXL at their working sizes on one A100, without offloading; a guess from public
    timings, to be replaced by a measurement."""
    screen_s: float = 0.6
    """Landmarks, dlib's descriptor and CLIP on one core."""
    frame_s_per_megapixel: float = 0.25
    """The procedural animator on one core: 10 to 20 ms a frame of 256 px
    (docs/reference.md#fitting-and-animating-a-portrait). Lifting, a second a subject, is left out."""
    liveportrait_frame_s: float = 0.0131
    """W, G and S for one frame: 5.2 + 7.6 + 0.31 ms on an RTX 4090, compiled, as its authors publish."""
    champ_pass_s: float = 0.02
    """portrait-Champ's denoiser, both domains, one frame of 512 px and one pass, on one A100; a guess from 2.4 TFLOP at
    120 TFLOP/s."""
    parse_frame_s: float = 0.02
    """A SegFormer on one frame, on such a GPU; a guess."""
    landmark_parse_frame_s: float = 0.8
    """Measured: CPU time of our own parser on one frame of 512 px."""
    gpu_flop_per_s: float = 15e12
    """Of a decoder's networks in float32 on an A6000, whose peak is 38 TFLOP/s; a guess, to be replaced by
    `python -m benchmarks.gpu`."""
    cpu_flop_per_s: float = 1.5e11
    """The same on two laptop cores (docs/performance.md, "a training step")."""
    cpu_image_s: float = 0.011
    """What else one training image of 256 px costs on two such cores: posing, rasterization and losses. Measured: 17
    steps of four images a second, in the sample portrait's training."""
    gpu_image_s: float = 0.03
    """The same on a GPU at 512 px with 130,000 points; a guess, as above."""
    morph_s: float = 0.15
    """One morph with all its α by warping, at 256 px, on one core."""
    unet_row_s: float = 0.012
    """One picture through Stable Diffusion's UNet at 512 px, in a batch, on one A100; a guess."""
    adapter_step_s: float = 0.35
    """One step of a subject's adapter, eight frames at 512 px, on one A100; a guess."""
    encode_s: float = 0.05
    """CLIP on one picture and its sentence."""
    refused_share: float = 0.05
    """Of the edits, which the screen refuses; a guess, and each is one more edit."""
    set_up_subject_s: float = 1.5
    """Hull and first colours of one watched subject at 512 px, on 16 cores; a guess from 0.4 s at 256 px on two. It
    grows with the pixels."""
    gpu_render_s: float = 0.02
    """One evaluated picture on a GPU at 512 px; a guess."""
    find_frame_s: float = 0.08
    """Faces, landmarks and fit of one frame of a video, on one core (docs/motion_from_video.md)."""
    capture_frame_s: float = 1.7
    """Measured: CPU time of one frame of a video that becomes one of the clip's: laid on the body, parsed, cut out."""
    cpu_render_s: float = 0.03
    """One evaluated picture of 256 px on two cores, with its measures."""
    clip_bytes_per_pixel: float = 1.05
    """Measured: 4.4 MB for 65 frames of 256 px."""
    decode_s_per_megapixel: float = 0.025
    """Reading and decoding frames of a clip that is streamed, one thread (`benchmarks/clip_stream.py`)."""
    edit_bytes_per_pixel: float = 6.0
    """Pictures and part masks of one edit, with attachments."""


ESTIMATES = Rates()
"""Where nothing has been measured."""
