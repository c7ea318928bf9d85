"""Hair combed back and tied: bun and ponytail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_cap import CapEdge, CapRim, cap, combed_texture
from perse.synthesis.procedural.attachments.hair_layers import SHELLS, combed_cap, painted_scalp, strand_finish
from perse.synthesis.procedural.attachments.hair_locks import LockShape, locks
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import hair_attachment, lifted, ramp
from perse.synthesis.procedural.attachments.hair_styles import HairRequest
from perse.synthesis.procedural.attachments.hair_textures import StrandLook, strand_texture
from perse.synthesis.procedural.attachments.hair_tied import BUN_POLE, TAIL_POLE, TailShape, band, knot, tail
from perse.synthesis.procedural.attachments.surfaces import FloatArray


def bun(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    rng = np.random.default_rng(request.seed)
    hair = _combed_back(scalp, request, BUN_POLE, rng)
    texture = strand_texture(request.color, replace(_tied_look(), root_darkness=0.15), rng)
    hair.append(hair_attachment("bun", knot(scalp, rng), texture, scalp, strand_finish(request.color, 0)))
    return hair


def ponytail(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    rng = np.random.default_rng(request.seed)
    hair = _combed_back(scalp, request, TAIL_POLE, rng)
    side = 1 if request.parting > 0 else -1
    shape = TailShape(side=side, wave=0.010 if request.texture == "wavy" else 0.0)
    sheet = tail(scalp, shape, rng)
    look = StrandLook(clumps=26, tip_raggedness=0.22, tip_taper=0.2, clump_depth=0.2, root_darkness=0.7)
    for number, (height, coverage) in enumerate(SHELLS[:2]):
        texture = strand_texture(request.color, replace(look, coverage=coverage), rng)
        finish = strand_finish(request.color, number)
        hair.append(hair_attachment(f"tail {number}", [lifted(sheet, 1.5 * height)], texture, scalp, finish))
    single = LockShape(count=22, width=0.007, spread=0.006, start=(0.1, 0.5), reach=(0.9, 1.08))
    texture = strand_texture(request.color, look, rng)
    finish = replace(strand_finish(request.color, 1), casts_shadow=False)
    hair.append(hair_attachment("tail locks", locks(sheet, single, rng), texture, scalp, finish))
    hair.append(hair_attachment("hair tie", [band(scalp)], texture, scalp, strand_finish(request.color, 0)))
    return hair


def _combed_back(scalp: Scalp, request: HairRequest, pole: FloatArray, rng: np.random.Generator) -> list[Attachment]:
    """Sleek hair from the hairline to a knot."""
    hair = [painted_scalp(scalp, request.color, rng, pole=pole)]
    for number, (height, coverage) in enumerate(((0.0050, 1.0), (0.0066, 0.55))):
        sheet = cap(scalp, lambda t, *_, top=height: top * ramp(t / 0.35 + 0.08), CapRim(irregularity=0.5), rng)
        strands = strand_texture(request.color, _tied_look(), rng)
        edge = CapEdge(softness=5.0, jaggedness=3.0 + 2.5 * number, coverage=coverage)
        texture = combed_texture(strands, sheet, pole, edge, rng)
        hair.append(combed_cap(f"combed hair {number}", sheet, texture, scalp, pole, request.color, number))
    return hair


def _tied_look() -> StrandLook:
    return StrandLook(
        contrast=0.13, clumps=40, clump_depth=0.14, root_darkness=0.25, tip_raggedness=0.0, tip_taper=1e-3
    )
