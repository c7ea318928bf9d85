"""3DGS ``.ply``, compressed ``.ply`` and ``.splat``: the formats that splat editors and game engines read.

gsplat writes the bytes; what is added here is the frame, the provenance, and two repairs: an opacity of exactly one
has no logit, and SuperSplat takes a compressed file for an ordinary one if its header announces empty harmonics.

All three follow the convention of 3DGS captures, y down: the scene is turned by 180° about z, which SuperSplat and
its relatives turn back on loading. `perse.export.splat_readers` reads these files, turned back.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from perse.errors import MissingWeightsError
from perse.export.provenance import KEY, Provenance
from perse.gaussians import Gaussians

SH_C0 = 0.28209479177387814
"""Y_00, the constant of the zeroth spherical harmonic: colour = 0.5 + C0 · f_dc (Kerbl et al. 2023)."""

TURN = (-1.0, -1.0, 1.0)
"""180° about z: our y up to their y down. Its own inverse."""

MAX_LOGIT = 12.0
"""Opacities are kept 6e-6 away from 0 and 1."""


def ply_bytes(gaussians: Gaussians, provenance: Provenance) -> bytes:
    """A 3DGS ``.ply``: x y z, f_dc, opacity (logit), scale (logarithms), rot (wxyz), float32. Lossless but for TURN.

    Args:
        gaussians: [n].
    """
    return _with_comment(_exported(gaussians, "ply"), provenance)


def compressed_ply_bytes(gaussians: Gaussians, provenance: Provenance) -> bytes:
    """SuperSplat's compressed ``.ply``: 16 bytes a Gaussian, quantised within chunks of 256 neighbours.

    Args:
        gaussians: [n].
    """
    data = _exported(gaussians, "ply_compressed")
    header, end, body = data.partition(b"end_header\n")
    lines = [line for line in header.split(b"\n") if not line.startswith(b"element sh ")]
    return _with_comment(b"\n".join(lines) + end + body, provenance)


def splat_bytes(gaussians: Gaussians) -> bytes:
    """A ``.splat``: 32 bytes a Gaussian (position, scale as float32; RGBA, rotation as bytes), nothing else.

    Args:
        gaussians: [n].
    """
    # The library rounds down; half a step more makes that rounding to the nearest.
    half = 0.5 / 255
    nearest = Gaussians(
        gaussians.means, gaussians.quats, gaussians.scales, (gaussians.opacities + half).clamp(max=1),
        gaussians.colors + half,
    )  # fmt: skip
    return _exported(nearest, "splat")


def turned(
    means: Float[Tensor, "n 3"], quats: Float[Tensor, "n 4"]
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 4"]]:
    """Positions [n, 3] and rotations [n, 4] after TURN; applied twice it changes nothing but the sign of quats."""
    w, x, y, z = quats.unbind(-1)
    return means * means.new_tensor(TURN), torch.stack([-z, -y, x, w], -1)


def _exported(gaussians: Gaussians, kind: Literal["ply", "ply_compressed", "splat"]) -> bytes:
    try:
        from gsplat.exporter import export_splats
    except ImportError:
        raise MissingWeightsError("writing splat files needs the package gsplat: pip install gsplat") from None
    means, quats = turned(gaussians.means, gaussians.quats)
    return export_splats(
        means=means,
        scales=gaussians.scales.log(),
        quats=quats,
        opacities=gaussians.opacities.logit(eps=1e-9).clamp(-MAX_LOGIT, MAX_LOGIT),
        sh0=((gaussians.colors - 0.5) / SH_C0)[:, None],
        shN=torch.zeros(len(gaussians), 0, 3),
        format=kind,
    )


def _with_comment(ply: bytes, provenance: Provenance) -> bytes:
    """The record as a comment, right after the line that names the format."""
    magic, layout, rest = ply.split(b"\n", 2)
    return b"\n".join([magic, layout, f"comment {KEY} {provenance.to_json()}".encode("ascii"), rest])
