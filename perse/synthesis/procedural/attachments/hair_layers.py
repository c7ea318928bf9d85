"""What all hairstyles are made of: the painted scalp, combed caps, and how layers lie and shine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_cap import CapEdge, CapRim, cap, comb_towards, combed_texture, whorl
from perse.synthesis.procedural.attachments.hair_colors import HairColor
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import HairFinish, hair_attachment, ramp
from perse.synthesis.procedural.attachments.hair_textures import StrandLook, strand_texture
from perse.synthesis.procedural.attachments.surfaces import FloatArray, Surface, unit

SHELLS = ((0.0, 1.0), (0.0014, 0.76), (0.0026, 0.48))
"""Height above the innermost shell in metres, and coverage. Farther shells look like wire (seen, by eye)."""


def painted_scalp(
    scalp: Scalp,
    color: HairColor,
    rng: np.random.Generator,
    *,
    pole: FloatArray | None = None,
    coverage: float = 0.97,
    softness: float = 10.0,
) -> Attachment:
    """The scalp in the colour of the roots, softly fading out at the hairline."""
    pole = whorl() if pole is None else pole
    sheet = cap(scalp, lambda t, *_: 0.0006 + 0.0012 * ramp(t / 0.2), CapRim(overhang=1.0, irregularity=1.2), rng)
    red, green, blue = (round(c * (0.50 + 0.42 * color.root)) for c in color.albedo)
    roots = replace(color, albedo=(red, green, blue), root=1.0)
    look = StrandLook(contrast=0.18, clumps=50, tip_raggedness=0.0, tip_taper=1e-3)
    edge = CapEdge(softness=softness, jaggedness=3.5, coverage=coverage)
    texture = combed_texture(strand_texture(roots, look, rng), sheet, pole, edge, rng)
    finish = HairFinish(anisotropy=0.0, casts_shadow=False)
    return hair_attachment("scalp", [sheet], texture, scalp, finish)


def combed_cap(
    name: str, sheet: Surface, texture: NDArray[np.uint8], scalp: Scalp, pole: FloatArray, color: HairColor, number: int
) -> Attachment:
    """A cap whose strands run towards a pole and not up the grid."""
    made = hair_attachment(name, [sheet], texture, scalp, strand_finish(color, number))
    return replace(made, tangents=comb_towards(pole, made.normals))


def strand_finish(color: HairColor, number: int) -> HairFinish:
    return HairFinish(anisotropy=color.highlight / 255 * (0.75 if number == 0 else 0.95), casts_shadow=number == 0)


def shell_height(sheet: Surface, height: float) -> FloatArray:
    """Shells part from each other below the root: at the parting and the hairline all lie on the same line."""
    v = sheet.uvs[..., 1]
    return height * ramp(v / 0.12)


def soft_parting(made: Attachment, scalp: Scalp) -> Attachment:
    """Normals and tangents that agree on both sides of a parting (v = 0): light must not split the hair in two tones.

    At the parting strands leave to either side at a right angle, whatever their way further down.
    """
    own = ramp(made.uvs[:, 1].astype(float) / 0.30)[:, None]
    radial = unit(made.vertices - scalp.origin)
    normals = unit(radial + own * (made.normals - radial))
    aside = np.sign(made.tangents[:, :1] + 1e-9) * np.array([1.0, 0.0, 0.0])
    aside = unit(aside - (aside * normals).sum(1, keepdims=True) * normals)
    tangents = unit(aside + own * (made.tangents - aside))
    return replace(made, normals=normals.astype(np.float32), tangents=tangents.astype(np.float32))


def as_one_mass(made: Attachment, scalp: Scalp, share: float = 0.55) -> Attachment:
    """Normals bent towards those of the whole head of hair: light scatters between coils, so none is lit by itself."""
    radial = unit(made.vertices - scalp.origin)
    facing = np.sign((radial * made.normals).sum(1, keepdims=True) + 1e-9)
    normals = unit((1 - share) * made.normals * facing + share * radial)
    return replace(made, normals=normals.astype(np.float32))
