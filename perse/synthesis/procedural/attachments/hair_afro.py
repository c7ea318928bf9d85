"""Afros: nested caps of curls with single coils over them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import gaussian_filter

from perse.data import Attachment
from perse.synthesis.procedural.attachments.hair_cap import CapRim, Thickness, cap
from perse.synthesis.procedural.attachments.hair_coils import CoilShape, scattered_coils
from perse.synthesis.procedural.attachments.hair_layers import as_one_mass, painted_scalp, strand_finish
from perse.synthesis.procedural.attachments.hair_scalp import Scalp
from perse.synthesis.procedural.attachments.hair_sheets import HairFinish, hair_attachment, ramp
from perse.synthesis.procedural.attachments.hair_styles import HairRequest
from perse.synthesis.procedural.attachments.hair_textures import StrandLook, curl_field, curl_texture, strand_texture
from perse.synthesis.procedural.attachments.surfaces import FloatArray, Surface


def afro(scalp: Scalp, request: HairRequest) -> list[Attachment]:
    """Nested caps of curls, sparser outwards, with single coils lying over them."""
    rng = np.random.default_rng(request.seed)
    hair = [painted_scalp(scalp, request.color, rng)]
    radius = 0.028 if request.short else 0.060
    field = curl_field(rng, 20 if request.short else 22)
    n_layers = 3
    for number in range(n_layers):
        outer = number / (n_layers - 1)
        rim = CapRim(
            overhang=-3.0 * outer, side_overhang=(2.0 if request.short else 12.0) - 3 * outer, nape_overhang=-20.0
        )
        sheet = cap(scalp, _puff(radius * (0.74 + 0.26 * outer), rng), rim, rng, rows=34)
        sheet = replace(sheet, uvs=_even_uvs(sheet), shade=_puff_shade(sheet))
        coverage = 1.0 if number == 0 else 0.80 - 0.40 * outer
        texture = curl_texture(request.color, field, rng, coverage=coverage, shade=0.72 + 0.36 * outer)
        finish = HairFinish(anisotropy=0.0, gloss=0.05, exponent=8, casts_shadow=number in (0, n_layers - 1))
        hair.append(hair_attachment(f"curls {number}", [sheet], texture, scalp, finish))
        if number == n_layers - 1:
            ribbons = scattered_coils(sheet, CoilShape(count=260 if request.short else 400), rng)
            texture = strand_texture(request.color, StrandLook(tip_raggedness=0.0, tip_taper=1e-3), rng)
            finish = replace(strand_finish(request.color, 1), casts_shadow=False)
            hair.append(as_one_mass(hair_attachment("coils", ribbons, texture, scalp, finish), scalp))
    return hair


def _puff(radius: float, rng: np.random.Generator) -> Thickness:
    """Thickness of a ball of curls: full all around, less over the forehead, lumpy."""

    def thickness(t: FloatArray, azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
        lumps = gaussian_filter(rng.standard_normal(t.shape), (1.1, 1.5), mode=("nearest", "wrap"))
        lumps *= 0.05 / lumps.std()
        lumps[:, -1] = lumps[:, 0]
        front = 0.5 + 0.5 * np.cos(azimuth)
        # A ball, not a cylinder: the outline rises steeply at the rim and is rounded off towards the crown.
        profile = np.sqrt(np.clip(1 - (1 - np.clip(t / 0.45, 0, 1)) ** 2, 0, 1))
        return 0.003 + radius * profile * (1 - 0.35 * front * (1 - t)) * (1 + lumps * ramp(t / 0.2))

    return thickness


def _even_uvs(sheet: Surface) -> FloatArray:
    """Texture coordinates in proportion to lengths on the surface: twice around it, once from rim to crown."""
    steps = np.linalg.norm(np.diff(sheet.points, axis=0), axis=-1).mean(1)
    arc = np.concatenate([[0.0], np.cumsum(steps)])
    v = np.broadcast_to((arc / arc[-1])[:, None], sheet.points.shape[:2])
    return np.stack([2 * sheet.uvs[..., 0], v], -1)


def _puff_shade(sheet: Surface) -> FloatArray:
    """Curls are darker near the rim, where they lie in each other's shadow."""
    t = np.linspace(0, 1, sheet.points.shape[0])[:, None]
    return np.broadcast_to(0.68 + 0.32 * ramp(t / 0.30), sheet.points.shape[:2])
