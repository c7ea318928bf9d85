"""The avatar (P Figure 2, A.1): one box, one module.

::

    f_I, f_T ─ MLP_z ─► z_k ─┐                                                        latents.py       Eq. 4, 5
                     z_ref ──┴─► z
    x_gc ── where points start: head surface, photo hulls, body                       initialisation.py, points.py,
                                                                                      hull.py, body.py,
                                                                                      observation.py, projection.py
    x_gc, z ─► x_fc, E, P, W, r, s, o, c   (canonical.py)                             part_bases.py | networks.py
                                                                                                       Eq. 18–20, 23
    ψ, θ ─► coefficients, joint transforms, joint turns                               motion.py
    x_fc, E, P, W ─► x_d and turned quaternions; pose response; activations           deformation.py, posing.py
                                                                                                       Eq. 21–29
    Avatar = latent space + decoder + skeleton                                        avatar.py, creation.py, storage.py
"""

from perse.avatar.avatar import Avatar, AvatarCard, AvatarConfig, Subject
from perse.avatar.canonical import CanonicalGaussians
from perse.avatar.creation import create_avatar
from perse.avatar.decoder import Decoder, DecoderConfig
from perse.avatar.hull import HullConfig
from perse.avatar.initialisation import StartConfig
from perse.avatar.latents import LatentConfig, LatentSpace, SubjectFeatures, interpolate, mix_edits, swap_parts
from perse.avatar.motion import FrameMotion, Skeleton
from perse.avatar.networks import NetworksConfig
from perse.avatar.part_bases import PartBasesConfig
from perse.avatar.storage import load_avatar, save_avatar

__all__ = [
    "Avatar",
    "AvatarCard",
    "AvatarConfig",
    "CanonicalGaussians",
    "Decoder",
    "DecoderConfig",
    "FrameMotion",
    "HullConfig",
    "LatentConfig",
    "LatentSpace",
    "NetworksConfig",
    "PartBasesConfig",
    "Skeleton",
    "StartConfig",
    "Subject",
    "SubjectFeatures",
    "create_avatar",
    "interpolate",
    "load_avatar",
    "mix_edits",
    "save_avatar",
    "swap_parts",
]
