"""placeholder while the part-bases path is brought up"""

from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True, kw_only=True)
class NetworksConfig:
    """."""


class Networks(nn.Module):
    """."""
