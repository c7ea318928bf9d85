"""Previews of a training of portrait-Champ: videos drawn again from their first frame and their guidance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float

from perse.evaluation.pictures import psnr, squared_error
from perse.shapes import Frames, Picture, Pictures
from perse.synthesis.production.portrait_champ import ChampNetworks, Footage, SamplingConfig
from perse.synthesis.production.portrait_champ.batches import as_tensor
from perse.synthesis.production.portrait_champ.footage_sampler import held_out_frames
from perse.synthesis.production.portrait_champ.image_tokens import ImageTokens
from perse.synthesis.production.portrait_champ.latents import Latents
from perse.synthesis.production.portrait_champ.sampling import sample

SHOWN = 10
"""Held-out frames of a video on the strip."""


@dataclass(frozen=True)
class Preview:
    """Result of drawing a video again.

    Attributes:
        strip: [h, w, 3]: for each video a row of held-out frames as they are, as they were drawn, and their normals.
        psnr: of held-out frames, dB, mean over videos.
        psnr_of_first: of the first frame repeated, against the same frames: what knowing nothing of motion gives.
    """

    strip: Picture
    psnr: float
    psnr_of_first: float

    @property
    def numbers(self) -> dict[str, float]:
        """Numbers for curves."""
        return {"held_out_psnr": self.psnr, "held_out_psnr_of_first_frame": self.psnr_of_first}


def preview(
    networks: ChampNetworks, footage: Sequence[Footage], latents: Latents, tokens: ImageTokens,
    sampling: SamplingConfig, *, moves: bool, held_out_every: int,
) -> Preview:  # fmt: skip
    """Draw the videos.

    Args:
        moves: with motion modules the whole video is drawn, in windows; without, held-out frames one by one.
    """
    own = sampling if moves else replace(sampling, window=1, overlap=0)
    rows, drawn_psnr, first_psnr = [], [], []
    for one in footage:
        held = held_out_frames(len(one), held_out_every)
        wanted = list(range(len(one))) if moves else held
        pictures, normals = draw_again(networks, one, wanted, latents, tokens, own)
        places = [wanted.index(number) for number in held]
        truth, drawn = one.frames[held], pictures[places]
        drawn_psnr.append(mean_psnr(drawn, truth))
        first_psnr.append(mean_psnr(np.broadcast_to(one.frames[:1], truth.shape), truth))
        rows += [np.concatenate(list(part[:SHOWN]), 1) for part in (truth, drawn, normals[places])]
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return Preview(np.concatenate(padded), float(np.mean(drawn_psnr)), float(np.mean(first_psnr)))


def draw_again(
    networks: ChampNetworks, footage: Footage, numbers: Sequence[int], latents: Latents, tokens: ImageTokens,
    sampling: SamplingConfig,
) -> tuple[Pictures, Pictures]:  # fmt: skip
    """Frames of a video from its first frame and their guidance: pictures and normals [n, h, w, 3]."""
    device = next(networks.parameters()).device
    first = footage.frames[:1]
    maps = torch.from_numpy(footage.guidance.stacked()[list(numbers)]).to(device).float() / 255
    reference = latents.encode_pictures(as_tensor(first, device))
    found = sample(networks, reference, tokens.encode(first), maps, sampling, seed=0)
    return _bytes(latents.decode_pictures(found[0])), _bytes(latents.decode_normals(found[1]))


def mean_psnr(pictures: Frames, truth: Frames) -> float:
    """Mean over frames of the PSNR of pictures [f, h, w, 3] uint8, dB."""
    pairs = zip(pictures, truth, strict=True)
    return float(np.mean([psnr(squared_error(_unit(a), _unit(b))) for a, b in pairs]))


def _unit(picture: Picture) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).float() / 255


def _bytes(pictures: Float[torch.Tensor, "n 3 h w"]) -> Pictures:
    return (pictures.permute(0, 2, 3, 1) * 255 + 0.5).clamp(0, 255).to(torch.uint8).cpu().numpy()
