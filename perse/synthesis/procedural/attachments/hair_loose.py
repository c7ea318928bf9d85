"""Hair worn open: long, shoulder-length, short, bobbed; straight, wavy, curly; with or without a fringe."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_curtain import CurtainShape, curtain
from perse.synthesis.procedural.attachments.hair_fringe import FringeShape, fringe
from perse.synthesis.procedural.attachments.hair_layers import (
    SHELLS,
    as_one_mass,
    painted_scalp,
    shell_height,
    soft_parting,
    strand_finish,
)
from perse.synthesis.procedural.attachments.hair_locks import LockShape, locks
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import hair_attachment, lifted
from perse.synthesis.procedural.attachments.hair_styles import HairRequest
from perse.synthesis.procedural.attachments.hair_textures import StrandLook, strand_texture


def loose_hair(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    rng = np.random.default_rng(request.seed)
    shape, look = _curtain_shape(request), _strand_look(request)
    sides = [curtain(scalp, shape, side, rng) for side in (1, -1)]
    hair, textures = [], []
    for number, (height, coverage) in enumerate(SHELLS):
        texture = strand_texture(request.color, replace(look, coverage=coverage), rng)
        textures.append(texture)
        shells = [lifted(side, shell_height(side, height)) for side in sides]
        finish = strand_finish(request.color, number)
        hair.append(soft_parting(hair_attachment(f"hair shell {number}", shells, texture, scalp, finish), scalp))
    hair.append(painted_scalp(scalp, request.color, rng))
    single = _lock_shape(request)
    ribbons = [lock for share, side in zip((0.0, 0.5), sides, strict=True)
               for lock in locks(side, single, rng, texture_side=share)]  # fmt: skip
    finish = replace(strand_finish(request.color, 1), casts_shadow=False)
    ringlets = hair_attachment("hair locks", ribbons, textures[0], scalp, finish)
    hair.append(as_one_mass(ringlets, scalp) if single.coil_radius > 0 else ringlets)
    if request.style == "fringe":
        hair.extend(_fringe(scalp, request, rng))
    return hair


def _curtain_shape(request: HairRequest) -> CurtainShape:
    shape = CurtainShape(fall=request.fall, parting=request.parting)
    if request.texture == "straight":
        shape = replace(shape, wave=0.0022, wavelength=0.14)  # no hair hangs as straight as a board
    if request.style == "bob":
        shape = replace(shape, inward=0.28, volume=0.016)
    if request.style == "fringe":
        shape = replace(shape, framing=0.9)
    if request.texture == "wavy":
        shape = replace(shape, wave=0.0095, wavelength=0.060, volume=shape.volume + 0.004, flare=0.14, inward=0.0)
        shape = replace(shape, root_lift=0.012)
    if request.texture == "curly":
        shape = replace(shape, wave=0.005, wavelength=0.026, volume=shape.volume + 0.008, flare=0.20, inward=0.0)
        shape = replace(shape, root_lift=0.016)
    return shape


def _strand_look(request: HairRequest) -> StrandLook:
    look = StrandLook(columns=1024, clumps=54, side_fade=0.022)
    if request.style == "bob" and request.texture == "straight":
        look = replace(look, tip_raggedness=0.06, tip_taper=0.05)
    if request.texture == "wavy":
        look = replace(look, waves=3.0, wave_swing=0.006, tip_raggedness=0.2, clump_depth=0.24, clumps=44)
    if request.texture == "curly":
        look = replace(look, waves=8.0, wave_swing=0.009, tip_raggedness=0.24, clump_depth=0.34, clumps=48)
    return look


def _lock_shape(request: HairRequest) -> LockShape:
    if request.texture == "curly":
        return LockShape(count=32, width=0.0098, lift=0.001, spread=0.010, start=(0.06, 0.42), coil_radius=0.0072)
    if request.texture == "wavy":
        return LockShape(count=20, width=0.009, lift=0.003, spread=0.006)
    return LockShape(count=20, width=0.007, spread=0.003)


def _fringe(scalp: Scalp, request: HairRequest, rng: np.random.Generator) -> list[Attachment]:
    wave = {"straight": 0.0, "wavy": 0.002, "curly": 0.004}[request.texture]
    sheet = fringe(scalp, FringeShape(sweep=0.25 * request.parting, wave=wave), rng)
    look = replace(_strand_look(request), columns=512, clumps=30, tip_raggedness=0.10, tip_taper=0.09, side_fade=0.06)
    look = replace(look, root_darkness=0.6, root_fade=0.05, waves=0.4 * look.waves, wave_swing=1.5 * look.wave_swing)
    hair = []
    for number, (height, coverage) in enumerate(SHELLS[:2]):
        texture = strand_texture(request.color, replace(look, coverage=coverage), rng)
        finish = strand_finish(request.color, number)
        hair.append(hair_attachment(f"fringe {number}", [lifted(sheet, height)], texture, scalp, finish))
    return hair
