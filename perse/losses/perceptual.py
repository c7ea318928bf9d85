"""Perceptual term of Eq. 11: distances between VGG-16 features. Needs weights, and says so without them."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from perse.data.tensor_files import load_tensors
from perse.errors import MissingWeightsError

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
_TAPS = (3, 8, 15, 22)
"""relu1_2, relu2_2, relu3_3 and relu4_3 (Johnson et al. 2016) in torchvision's numbering."""


class VggLoss(nn.Module):
    """Mean absolute difference of ImageNet VGG-16 features at four depths."""

    mean: Float[Tensor, "3 1 1"]
    std: Float[Tensor, "3 1 1"]

    def __init__(self, checkpoint: Path | None) -> None:
        """
        Args:
            checkpoint: torchvision's VGG-16, or only its features, as .safetensors.

        Raises:
            MissingWeightsError: no such file, a pickle, or it holds something else.
        """
        super().__init__()
        self.layers = _load_layers(checkpoint)
        self.register_buffer("mean", torch.tensor(_IMAGENET_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(_IMAGENET_STD)[:, None, None])

    def forward(self, images: Float[Tensor, "f h w 3"], targets: Float[Tensor, "f h w 3"]) -> Float[Tensor, ""]:
        """Loss, a scalar, of images and targets [f, h, w, 3] in [0, 1]; no gradient flows to the targets."""
        with torch.no_grad():
            wanted = self._features(targets)
        found = self._features(images)
        differences = [(a - b).abs().mean() for a, b in zip(found, wanted, strict=True)]
        return torch.stack(differences).mean()

    def _features(self, images: Tensor) -> list[Tensor]:
        values = (images.movedim(-1, -3) - self.mean) / self.std
        taps = []
        for number, layer in enumerate(self.layers):
            values = layer(values)
            if number in _TAPS:
                taps.append(values)
        return taps


def _load_layers(checkpoint: Path | None) -> nn.Sequential:
    if checkpoint is None or not checkpoint.is_file():
        raise MissingWeightsError(
            f"the VGG term needs a VGG-16 checkpoint, got {checkpoint}; give torchvision's vgg16 file, "
            "or use multi-scale SSIM instead (PictureLossConfig(scales=3))"
        )
    from torchvision.models import vgg16

    state = load_tensors(checkpoint)
    prefix = "features."
    state = {key.removeprefix(prefix): value for key, value in state.items() if not key.startswith("classifier.")}
    layers = vgg16(weights=None).features[: _TAPS[-1] + 1]
    wanted = set(layers.state_dict())
    try:
        layers.load_state_dict({key: value for key, value in state.items() if key in wanted})
    except RuntimeError as error:
        raise MissingWeightsError(f"{checkpoint} is no VGG-16 checkpoint; expected torchvision's vgg16") from error
    # In-place activations would overwrite the features that are tapped before them.
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return layers.eval().requires_grad_(False)
