"""The paper's baselines (P 5.1) as decoders: same latents, same clips, same loop, same losses.

Written from the papers; none of their code was read or copied. What each leaves out stands in its module.
"""

from perse.avatar.baselines.insta import Insta, InstaConfig
from perse.avatar.baselines.pegasus import Pegasus, PegasusConfig
from perse.avatar.baselines.splatting import SplattingAvatar, SplattingAvatarConfig

__all__ = ["Insta", "InstaConfig", "Pegasus", "PegasusConfig", "SplattingAvatar", "SplattingAvatarConfig"]
