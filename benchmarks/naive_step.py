"""The training step the long way: the formulas as they stand in the paper, one frame after another.

What `perse.training.Trainer.gradients` does in one batch of fused operations, written for the reader: nothing is shared
between frames or subjects, the latent code is copied to every point, E and P are written out, and everything is plain
torch. Tests compare loss and gradients, `benchmarks.train_step` compares speed.
"""

from __future__ import annotations

import torch
from torch import Tensor

from perse.avatar import Avatar
from perse.avatar.canonical import COLOR, LOG_SCALE, OPACITY, CanonicalGaussians
from perse.avatar.deformation import deform
from perse.avatar.motion import FrameMotion
from perse.avatar.naive import naive_canonicalise, naive_mlp
from perse.avatar.networks import HEAD_RADIUS_M, Networks, with_ghost
from perse.avatar.part_bases import PartBases
from perse.avatar.posing import LOG_SCALE_RANGE, pose_plain
from perse.gaussians import Gaussians
from perse.losses.images import l1, ssim
from perse.render import Rasterizer, rasterize
from perse.training import ClipStore, LossConfig
from perse.training.sampler import StepSample


def naive_loss(
    avatar: Avatar, clips: ClipStore, sample: StepSample, config: LossConfig, *, rasterizer: Rasterizer
) -> Tensor:
    """The picture loss of a step (Eq. 11 without the perceptual term), with its graph."""
    device = avatar.features_categories.device
    white, camera = torch.ones(3, device=device), clips.camera.to(device)
    total = torch.zeros((), device=device)
    for subject, frame in zip(sample.subject_of_frame, sample.frames, strict=True):
        motion = avatar.skeleton(clips.parameters.frame(slice(frame, frame + 1)))
        gaussians = naive_gaussians(avatar, avatar.subject_codes(torch.tensor([subject], device=device)), motion)
        drawn = rasterize(gaussians, camera, background=white, rasterizer=rasterizer)
        target = clips.batch([subject], [frame])
        image, alpha = target.images[0].to(device).float() / 255, target.alphas[0].to(device).float() / 255
        weights = config.picture
        total = total + weights.l1 * l1(drawn.colors[0], image)
        total = total + weights.ssim * (1 - ssim(drawn.colors[0], image))
        total = total + weights.alpha * l1(drawn.alphas[0, ..., None], alpha[..., None])
    return total / len(sample.frames)


def naive_gaussians(avatar: Avatar, code: Tensor, motion: FrameMotion) -> Gaussians:
    """One frame [1, n] of one code [1, k, d]."""
    decoder = avatar.decoder
    if isinstance(decoder, PartBases):
        drawn = _all_bases(decoder, code, avatar.latents.reference).leading(decoder.n_in_front)
        return pose_plain(drawn, motion, torch.zeros(1, dtype=torch.long))
    return _networks(decoder, code, motion)


def _all_bases(decoder: PartBases, code: Tensor, reference: Tensor) -> CanonicalGaussians:
    """a_0 + MLP(x_gc) + Σ_k B_k tanh(W_k (z_k − z_ref,k)): every category, whether or not its coefficients are zero."""
    attributes = decoder.shared_attributes()
    for k, members in enumerate(decoder.members):
        bend = decoder.config.bend
        coefficients = torch.tanh(bend * (code[0, k] - reference[k]) @ decoder.directions[k]) / bend
        spread = coefficients.expand(len(members), -1)  # the condition, at every point
        attributes = attributes.index_add(0, members, torch.einsum("mr,rmc->mc", spread, decoder.bases[k]))
    logits = decoder.skinning_logits
    if decoder.skinning_residual is not None:
        logits = logits + decoder.skinning_residual
    skinning = torch.softmax(logits, -1)
    return CanonicalGaussians((attributes * decoder.units)[None], decoder.blend_basis, skinning, decoder.response)


def _networks(decoder: Networks, code: Tensor, motion: FrameMotion) -> Gaussians:
    """Eq. 18–29 with the code concatenated to the input of every network at every point."""
    canonical = naive_canonicalise(decoder, code)
    attributes, x_fc = canonical.attributes, canonical.means
    x_d, quats, _, _ = deform(x_fc, canonical.quats, canonical.blend_basis, canonical.skinning, with_ghost(motion))
    moved = ((x_d - x_fc) / HEAD_RADIUS_M).detach()
    change = naive_mlp(decoder.response, moved, code.flatten(1))
    return Gaussians(
        x_d,
        quats + change[..., 1:5],
        torch.exp((attributes[..., LOG_SCALE] + change[..., 5:8]).clamp(*LOG_SCALE_RANGE)),
        torch.sigmoid(attributes[..., OPACITY] + change[..., 0]),
        torch.sigmoid(attributes[..., COLOR] + change[..., 8:]),
    )
