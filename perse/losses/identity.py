"""Identity-consistency loss: whoever is drawn, whatever they wear, has the reference's face."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.identity.alignment import aligned_faces, chip_transform
from perse.identity.dlib_network import load_dlib_network
from perse.shapes import Pictures


class IdentityLoss(nn.Module):
    """Mean squared distance of dlib's descriptors from those of the reference's pictures of the same frames.

    All subjects share motion and camera: where the face is in a frame is looked up once, in the reference's picture.
    Frames in which no face is found there do not count.
    """

    def __init__(self, reference: Callable[[int], Pictures]) -> None:
        """
        Args:
            reference: the reference's picture [h, w, 3] of a frame.

        Raises:
            MissingWeightsError: dlib or its models are not installed.
        """
        super().__init__()
        self.network = load_dlib_network()
        self._reference = reference
        self._known: dict[int, tuple[Tensor, Tensor] | None] = {}

    def forward(self, pictures: Float[Tensor, "f h w 3"], frames: Sequence[int]) -> Float[Tensor, ""]:
        """Loss of pictures [f, h, w, 3] in [0, 1] of some frames."""
        known = [(index, self._face(frame)) for index, frame in enumerate(frames)]
        seen = [(index, face) for index, face in known if face is not None]
        if not seen:
            return 0.0 * pictures.sum()
        rows = torch.tensor([index for index, _ in seen], device=pictures.device)
        transforms = torch.stack([face[0] for _, face in seen]).to(pictures)
        wanted = torch.stack([face[1] for _, face in seen]).to(pictures)
        found = self.network(aligned_faces(pictures[rows], transforms))
        return (found - wanted).square().sum(-1).mean()

    @torch.no_grad()
    def _face(self, frame: int) -> tuple[Tensor, Tensor] | None:
        """Where the face is, [2, 3], and the reference's descriptor [128]."""
        if frame not in self._known:
            picture = np.ascontiguousarray(self._reference(frame))
            place = chip_transform(picture)
            self._known[frame] = None
            if place is not None:
                transform = torch.from_numpy(place)
                device = next(self.network.buffers()).device
                whole = (torch.from_numpy(picture)[None].float() / 255).to(device)
                self._known[frame] = transform, self.network(aligned_faces(whole, transform[None]))[0].cpu()
        return self._known[frame]
