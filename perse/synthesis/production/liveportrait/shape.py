"""Sizes of LivePortrait's networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class LivePortraitShape:
    """Widths and depths; the defaults are those of the published weights."""

    keypoints: int = 21
    """k, implicit keypoints of a head."""
    width: int = 64
    """Channels of the first layer of F; every halving of the picture doubles them."""
    max_width: int = 512
    """Channels at most; also channels × depth of the feature volume."""
    halvings: int = 2
    """How often F halves the picture."""
    volume_channels: int = 32
    """c of the feature volume [c, d, h, w]."""
    volume_blocks: int = 6
    """Residual blocks on the volume."""
    motion_depths: tuple[int, ...] = (3, 3, 9, 3)
    """Blocks in each stage of M's ConvNeXt V2."""
    motion_widths: tuple[int, ...] = (96, 192, 384, 768)
    """Channels of each stage."""
    angle_bins: int = 66
    """Classes of each head angle, three degrees apart."""
    flow_width: int = 32
    """Channels of the first layer of W's hourglass."""
    flow_max_width: int = 1024
    """Its channels at most."""
    flow_halvings: int = 5
    """How often it halves the volume's height and width."""
    flow_features: int = 4
    """Channels that the volume is compressed to before it is moved with each keypoint."""
    style_width: int = 128
    """Hidden channels of G's spatially adaptive normalisations."""
    middle_blocks: int = 6
    """Blocks of G at the volume's resolution."""

    @property
    def volume_depth(self) -> int:
        """Depth d of the feature volume."""
        return self.max_width // self.volume_channels

    @property
    def map_width(self) -> int:
        """Channels of the warped feature map that G draws from."""
        return min(self.max_width, self.width * 2**self.halvings)

    def stage_width(self, halving: int) -> int:
        """Channels of F after so many halvings."""
        return min(self.max_width, self.width * 2**halving)

    def flow_stage_width(self, halving: int) -> int:
        """Channels of W's hourglass after so many halvings."""
        return min(self.flow_max_width, self.flow_width * 2**halving)
