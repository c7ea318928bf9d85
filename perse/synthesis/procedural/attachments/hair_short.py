"""Short hair: cropped with a parting, and the buzz cut."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_cap import CapEdge, CapRim, cap, combed_texture, whorl
from perse.synthesis.procedural.attachments.hair_curtain import CurtainShape, curtain
from perse.synthesis.procedural.attachments.hair_layers import (
    SHELLS,
    combed_cap,
    painted_scalp,
    shell_height,
    soft_parting,
    strand_finish,
)
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import HairFinish, hair_attachment, lifted, ramp
from perse.synthesis.procedural.attachments.hair_styles import HairRequest
from perse.synthesis.procedural.attachments.hair_textures import StrandLook, strand_texture, stubble_texture


def cropped_hair(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    """Short at the sides and the back, a few centimetres on top, combed away from the parting."""
    rng = np.random.default_rng(request.seed)
    hair = [painted_scalp(scalp, request.color, rng)]
    look = StrandLook(columns=512, clumps=60, clump_depth=0.22, root_darkness=0.35, contrast=0.2)
    for number, (height, coverage) in enumerate(((0.005, 1.0), (0.0085, 0.62))):
        sheet = cap(scalp, lambda t, *_, top=height: top * ramp(t / 0.3 + 0.15), CapRim(), rng)
        strands = strand_texture(request.color, replace(look, tip_raggedness=0.0, tip_taper=1e-3), rng)
        edge = CapEdge(softness=5.0, jaggedness=4.0 + 2.5 * number, coverage=coverage)
        texture = combed_texture(strands, sheet, whorl(), edge, rng, repeats=2.0)
        hair.append(combed_cap(f"short hair {number}", sheet, texture, scalp, -whorl(), request.color, number))
    top = CurtainShape(
        fall=0.004,
        ear_level=0.046,
        volume=0.016,
        end_lift=0.0062,
        root_lift=0.010,
        parting=request.parting,
        front=46.0,
        framing=0.8,
    )
    sides = [curtain(scalp, top, side, rng) for side in (1, -1)]
    look = replace(look, columns=1024, clumps=46, side_fade=0.03, tip_raggedness=0.30, tip_taper=0.22)
    for number, (height, coverage) in enumerate(SHELLS):
        texture = strand_texture(request.color, replace(look, coverage=coverage), rng)
        shells = [lifted(side, shell_height(side, 1.5 * height)) for side in sides]
        finish = strand_finish(request.color, number)
        hair.append(soft_parting(hair_attachment(f"hair on top {number}", shells, texture, scalp, finish), scalp))
    return hair


def buzz_cut(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    rng = np.random.default_rng(request.seed)
    hair = [painted_scalp(scalp, request.color, rng, coverage=0.72, softness=9.0)]
    for number, height in enumerate((0.0022, 0.0036, 0.0050)):
        sheet = cap(scalp, lambda t, *_, top=height: top * ramp(t / 0.12), CapRim(irregularity=0.6), rng)
        sheet = replace(sheet, uvs=sheet.uvs * [2.0, 1.0])
        texture = stubble_texture(request.color, rng, density=0.62 - 0.13 * number, length=0.0)
        finish = HairFinish(anisotropy=0.0, gloss=0.05, exponent=10, casts_shadow=False)
        hair.append(hair_attachment(f"stubble {number}", [sheet], texture, scalp, finish))
    return hair
