"""Record of a lifted portrait: everything that is needed to draw it in any pose."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from perse.geometry import Camera
from perse.head import HeadParameters
from perse.synthesis.procedural.animator.body import BodyLayer
from perse.synthesis.procedural.animator.eyelids import ClosedLid
from perse.synthesis.procedural.animator.hanging import HangingSheet
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.synthesis.procedural.scene import Light
from perse.tracking.spectacles import Spectacles


@dataclass(frozen=True)
class LiftedPortrait:
    """Portrait in three dimensions.

    Attributes:
        surface: the drawn mesh; n vertices, t triangles.
        head: the portrait's fitted parameters; camera: of the photograph's size.
        displacement: [n, 3] float32 metres, rest pose: hair volume, flattened ears, placed teeth.
        cover: [n] float32, covered by hair or headwear.
        shade: [n] float32 multipliers: darkness of the mouth's inside.
        corner_uvs: [t, 3, 2] float32, pixels of the texture, for triangles of every kind.
        texture: [h, w, 4] uint8: colour, and alpha that ends the neck inside the clothes.
        dressed: [h, w] uint8: how far a texel of the neck gives way to the body layer, where that shows anything.
        rim: [h, w] uint8: alpha of a texel while it lies on the outline.
        labels: [h, w] uint8, values of `Part`.
        lids: closed lids, blended into the texture while the eyes close.
        body: the still layer.
        sheets: what hangs off the head, and spectacles.
        spectacles: where the portrait shows them; None where it shows none.
        light: fitted to the photograph's skin.
    """

    surface: HeadSurface
    head: HeadParameters
    camera: Camera
    displacement: Float32[NDArray[np.float32], "n 3"]
    cover: Float32[NDArray[np.float32], " n"]
    shade: Float32[NDArray[np.float32], " n"]
    corner_uvs: Float32[NDArray[np.float32], "t 3 2"]
    texture: UInt8[NDArray[np.uint8], "h w 4"]
    dressed: UInt8[NDArray[np.uint8], "h w"]
    rim: UInt8[NDArray[np.uint8], "h w"]
    labels: UInt8[NDArray[np.uint8], "h w"]
    lids: tuple[ClosedLid, ...]
    body: BodyLayer
    sheets: tuple[HangingSheet, ...]
    spectacles: Spectacles | None
    light: Light
