"""LPIPS (Zhang et al. 2018) on VGG-16: its linear heads come in the lpips package, the backbone's weights do not.

Without them there is no LPIPS: a random backbone under that name would be a made-up number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from perse.data.tensor_files import load_tensors
from perse.errors import MissingWeightsError
from perse.shapes import Frames


class LearnedDistance:
    """LPIPS between pictures.

    Args:
        backbone: torchvision's VGG-16, or only its features, as safetensors.

    Raises:
        MissingWeightsError: the file or the package is not there, or the file is of another network.
    """

    def __init__(self, backbone: Path) -> None:
        try:
            import lpips
        except ImportError as error:
            raise MissingWeightsError("LPIPS needs the package lpips: pip install lpips") from error
        tensors = load_tensors(backbone)
        self._net: Any = lpips.LPIPS(net="vgg", pnet_rand=True, verbose=False).eval().requires_grad_(False)
        # Its slices number their layers as torchvision's `features` does.
        wanted = {name: "features." + name.split(".", 1)[1] for name in self._net.net.state_dict()}
        try:
            self._net.net.load_state_dict({name: tensors[key] for name, key in wanted.items()})
        except (KeyError, RuntimeError) as error:
            raise MissingWeightsError(f"{backbone} is no VGG-16 checkpoint; expected torchvision's vgg16") from error

    @torch.no_grad()
    def __call__(self, pictures: Frames, truth: Frames) -> float:
        """Mean over frames [f, h, w, 3] uint8."""
        pairs = zip(pictures, truth, strict=True)
        return float(np.mean([float(self._net(_signed(a), _signed(b))) for a, b in pairs]))


def _signed(picture: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 127.5 - 1
