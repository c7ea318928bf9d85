"""Table of hair styles. Lengths are metres on an average head, angles degrees.

A new style is a row of `HAIR_STYLES` and its name in the vocabulary (`perse/synthesis/prompts/vocabulary.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from perse.synthesis.procedural.attachments.hair_cap import CapRim
from perse.synthesis.procedural.attachments.hair_coils import CoilShape
from perse.synthesis.procedural.attachments.hair_curtain import CurtainShape
from perse.synthesis.procedural.attachments.hair_fringe import FringeShape
from perse.synthesis.procedural.attachments.hair_locks import LockShape
from perse.synthesis.procedural.attachments.hair_textures import StrandLook
from perse.synthesis.procedural.attachments.hair_tied import TailShape

WHORL = 66.0
"""Where hair radiates from when nobody combs it, degrees above the back of the head: just behind the crown."""
_BUN = 72.0
"""High enough to be seen from the front."""
_TAIL = 56.0


@dataclass(frozen=True, kw_only=True)
class StrandStyle:
    """Run of a style's strands, for one texture of hair.

    Attributes:
        look: of the sheets that they are drawn on.
        locks: single ones over the sheets.
        wave, wavelength: swing and length of waves or curls; fringe_wave: swing in a fringe.
        root_lift: distance from the skull at the parting.
        fuller: added to the distance where hair is fullest.
        flare, inward: how far the ends stand off, or curl under.
    """

    look: StrandLook = field(default_factory=StrandLook)
    locks: LockShape | None = None
    wave: float = 0.0
    wavelength: float = 0.06
    fringe_wave: float = 0.0
    root_lift: float = 0.009
    fuller: float = 0.0
    flare: float = 0.0
    inward: float = 0.0

    def hung(self, shape: CurtainShape, parting: float) -> CurtainShape:
        """A curtain of these strands that parts there."""
        return replace(
            shape, parting=parting, wave=self.wave, wavelength=self.wavelength, root_lift=self.root_lift,
            volume=shape.volume + self.fuller, flare=self.flare, inward=self.inward,
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Roots:
    """The scalp in the colour of the roots, softly fading out at the hairline: no layer of hair is quite dense.

    Attributes:
        pole: where its strands radiate from, degrees above the back of the head.
    """

    pole: float = WHORL
    coverage: float = 0.97
    softness: float = 10.0


@dataclass(frozen=True, kw_only=True)
class CurtainStyle:
    """Hair that falls to both sides of a parting, in shells, with single locks over them.

    Attributes:
        spacing: distance of the shells, relative to loose hair.
        under: what lies below it; it grows after the shells and before the locks.
    """

    shape: CurtainShape
    name: str = "hair shell"
    spacing: float = 1.0
    under: tuple[Roots, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Fringe:
    """Strands from the crown over the forehead, in two shells; `sweep` is their share of the parting's angle."""

    shape: FringeShape = field(default_factory=FringeShape)
    sweep: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Combed:
    """Caps on the skull whose strands run along lines from a pole.

    Attributes:
        layers: height on top, coverage, and jaggedness of the hairline in degrees.
        pole: degrees above the back of the head; repeats: how often the texture goes around it.
        towards: 1: strands end at the pole, where they are tied; −1: they begin there, at the whorl.
        rise: over which share of the way to the crown the height is reached, and how much of that the hairline has.
    """

    name: str
    look: StrandLook
    layers: tuple[tuple[float, float, float], ...]
    pole: float = WHORL
    repeats: float = 3.0
    towards: float = 1.0
    rise: tuple[float, float] = (0.35, 0.08)
    rim: CapRim = field(default_factory=CapRim)


@dataclass(frozen=True, kw_only=True)
class Stubble:
    """Caps of short dots; of each the height and the share of the scalp that dots cover."""

    layers: tuple[tuple[float, float], ...]


@dataclass(frozen=True, kw_only=True)
class Curls:
    """A ball of curls: nested caps, sparser and brighter outwards, with single coils lying over them.

    Attributes:
        curl_px: size of a curl in the texture, texels.
        side_overhang: degrees by which it hangs over the ears.
        layers: size, degrees by which the rim is drawn in, coverage, brightness.
    """

    radius: float
    curl_px: float
    side_overhang: float
    coils: CoilShape
    layers: tuple[tuple[float, float, float, float], ...] = (
        (0.74, 0.0, 1.0, 0.72), (0.87, 1.5, 0.6, 0.90), (1.0, 3.0, 0.4, 1.08),
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Tail:
    """A ponytail: two shells, single locks over them, and the hair wound around its tie."""

    shape: TailShape = field(default_factory=TailShape)
    pole: float = _TAIL


@dataclass(frozen=True, kw_only=True)
class Knot:
    """A bun."""

    look: StrandLook
    pole: float = _BUN


Layer = Roots | CurtainStyle | Fringe | Combed | Stubble | Curls | Tail | Knot


@dataclass(frozen=True)
class HairStyle:
    """Row of the table: a style's layers.

    Attributes:
        lengths: what it is made of, innermost first, by the length that a prompt asks for, its usual length first; a
            style of one length has it whatever the prompt says.
        strands: how they run, by the texture that a prompt asks for; a style that is the same in every texture has one.
    """

    lengths: Mapping[str, tuple[Layer, ...]]
    strands: Mapping[str, StrandStyle] = field(default_factory=lambda: {"straight": StrandStyle()})


_STRAIGHT = StrandStyle(
    look=StrandLook(columns=1024, clumps=54, side_fade=0.022),
    locks=LockShape(count=20, width=0.007, spread=0.003),
    wave=0.0022,  # no hair hangs as straight as a board
    wavelength=0.14,
)
_WAVY = StrandStyle(
    look=replace(_STRAIGHT.look, waves=3.0, wave_swing=0.006, tip_raggedness=0.2, clump_depth=0.24, clumps=44),
    locks=LockShape(count=20, width=0.009, spread=0.006),
    wave=0.0095, wavelength=0.060, root_lift=0.012, fuller=0.004, flare=0.14, fringe_wave=0.002,
)  # fmt: skip
_CURLY = StrandStyle(
    look=replace(_STRAIGHT.look, waves=8.0, wave_swing=0.009, tip_raggedness=0.24, clump_depth=0.34, clumps=48),
    locks=LockShape(count=32, width=0.0098, lift=0.001, spread=0.010, start=(0.06, 0.42), coil_radius=0.0072),
    wave=0.005, wavelength=0.026, root_lift=0.016, fuller=0.008, flare=0.20, fringe_wave=0.004,
)  # fmt: skip
_OPEN = {"straight": _STRAIGHT, "wavy": _WAVY, "curly": _CURLY}
_BLUNT = replace(_STRAIGHT, inward=0.28, look=replace(_STRAIGHT.look, tip_raggedness=0.06, tip_taper=0.05))
_TIED = StrandStyle(
    look=StrandLook(clumps=26, tip_raggedness=0.22, tip_taper=0.2, clump_depth=0.2, root_darkness=0.7),
    locks=LockShape(count=22, width=0.007, spread=0.006, start=(0.1, 0.5), reach=(0.9, 1.08)),
)
_FALLS = {"long": 0.270, "shoulder": 0.165, "short": 0.062}
"""Below the ears."""
_CROPPED = StrandLook(columns=512, clumps=60, clump_depth=0.22, root_darkness=0.35, contrast=0.2)

_SLEEK = StrandLook(contrast=0.13, clumps=40, clump_depth=0.14, root_darkness=0.25, tip_raggedness=0.0, tip_taper=1e-3)


def _open(shape: CurtainShape, *more: Layer) -> tuple[Layer, ...]:
    return (CurtainStyle(shape=shape, under=(Roots(),)), *more)


def _combed_back(pole: float) -> tuple[Layer, ...]:
    """Sleek hair from the hairline to a knot."""
    layers = ((0.0050, 1.0, 3.0), (0.0066, 0.55, 5.5))
    combed = Combed(name="combed hair", look=_SLEEK, pole=pole, layers=layers, rim=CapRim(irregularity=0.5))
    return Roots(pole=pole), combed


HAIR_STYLES: dict[str, HairStyle] = {
    "loose": HairStyle({length: _open(CurtainShape(fall=fall)) for length, fall in _FALLS.items()}, _OPEN),
    "bob": HairStyle({"": _open(CurtainShape(fall=0.098, volume=0.016))}, {**_OPEN, "straight": _BLUNT}),
    "fringe": HairStyle(
        {length: _open(CurtainShape(fall=fall, framing=0.9), Fringe()) for length, fall in _FALLS.items()}, _OPEN
    ),
    "afro": HairStyle({
        "medium": (Roots(), Curls(radius=0.060, curl_px=22, side_overhang=12.0, coils=CoilShape(count=400))),
        "short": (Roots(), Curls(radius=0.028, curl_px=20, side_overhang=2.0, coils=CoilShape(count=260))),
    }),
    "ponytail": HairStyle(
        {"": (*_combed_back(_TAIL), Tail())}, {"straight": _TIED, "wavy": replace(_TIED, wave=0.010)}
    ),
    # Short at the sides and the back, a few centimetres on top, combed away from the parting.
    "cropped": HairStyle(
        {"": (
            Roots(),
            Combed(name="short hair", look=replace(_CROPPED, tip_raggedness=0.0, tip_taper=1e-3), towards=-1.0,
                   layers=((0.005, 1.0, 4.0), (0.0085, 0.62, 6.5)), rise=(0.3, 0.15), repeats=2.0),
            CurtainStyle(name="hair on top", spacing=1.5,
                    shape=CurtainShape(fall=0.004, ear_level=0.046, volume=0.016, end_lift=0.0062, front=46.0,
                                       framing=0.8)),
        )},
        {"straight": StrandStyle(root_lift=0.010, look=replace(_CROPPED, columns=1024, clumps=46, side_fade=0.03,
                                                           tip_raggedness=0.30, tip_taper=0.22))},
    ),
    "buzz": HairStyle(
        {"": (Roots(coverage=0.72, softness=9.0), Stubble(layers=((0.0022, 0.62), (0.0036, 0.49), (0.0050, 0.36))))}
    ),
    "bun": HairStyle({"": (*_combed_back(_BUN), Knot(look=replace(_SLEEK, root_darkness=0.15)))}),
    "bald": HairStyle({"": ()}),
}  # fmt: skip
"""Everything that changes the shape of hair."""
