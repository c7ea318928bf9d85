"""Tools of 2D painting: colour, soft shapes, noise, filters, and the last step that every edit ends with.

Pictures are float32 [h, w, 3] sRGB in 0..255 while they are painted; masks and fields are float32 [h, w]. Points are
(x, y) in pixels with pixel centres at integers, as OpenCV draws and samples them.
"""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import Float, Float32
from numpy.typing import ArrayLike, NDArray

from perse.attributes import Part
from perse.data import PartMasks, TrackedPortrait
from perse.shapes import Colors, Field
from perse.synthesis.procedural.editing.painted import PaintedEdit

"""A float32 array: [h, w] for a mask or scalar field, [h, w, 2] for a flow, [h, w, 3] for a picture."""

_POLYGON_OVERSAMPLING = 4
_SUBPIXEL_BITS = 4


def as_field(values: ArrayLike) -> Float32[NDArray[np.float32], "..."]:
    """Field of float32 values, without a copy where they are already."""
    return np.asarray(values, np.float32)


def to_lab(rgb: ArrayLike) -> Colors:
    """Colours CIE L*a*b* (L in 0..100), float32, of sRGB [h, w, 3] in 0..255."""
    return as_field(cv2.cvtColor(as_field(rgb) / np.float32(255), cv2.COLOR_RGB2LAB))


def to_rgb(lab: Colors) -> Colors:
    """Colours sRGB 0..255, clipped to the gamut, float32, of CIE L*a*b* [h, w, 3]."""
    bounded = np.stack([lab[..., 0].clip(0, 100), lab[..., 1], lab[..., 2]], -1).astype(np.float32)
    return cv2.cvtColor(bounded, cv2.COLOR_LAB2RGB).clip(0, 1) * np.float32(255)


def lab_of(rgb: tuple[int, int, int]) -> Float32[NDArray[np.float32], "3"]:
    """Colour [3] L*a*b* of one sRGB colour."""
    return to_lab(np.array([[rgb]], np.float32))[0, 0]


def bump(values: ArrayLike, center: float, width: float) -> Float32[NDArray[np.float32], "..."]:
    """A Gaussian of height 1."""
    return np.exp(-(((np.asarray(values, np.float32) - center) / width) ** 2)).astype(np.float32)


def blur(field: ArrayLike, sigma_px: float, sigma_y_px: float | None = None) -> Float32[NDArray[np.float32], "h w *c"]:
    """Gaussian blur, anisotropic when a second width is given."""
    sigma_y = sigma_px if sigma_y_px is None else sigma_y_px
    return as_field(cv2.GaussianBlur(as_field(field), (0, 0), sigmaX=sigma_px, sigmaY=sigma_y))


def shifted(
    field: Float32[NDArray[np.float32], "h w *c"], right_px: float, down_px: float
) -> Float32[NDArray[np.float32], "h w *c"]:
    """The field moved by a fraction of pixels, its border repeated."""
    matrix = np.array([[1, 0, right_px], [0, 1, down_px]], np.float32)
    size = (field.shape[1], field.shape[0])
    moved = cv2.warpAffine(field, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return as_field(moved)


def curve(points: ArrayLike, samples: int = 64, closed: bool = False) -> Float32[NDArray[np.float32], "n 2"]:
    """A smooth curve [samples, 2] through a few points (centripetal Catmull–Rom: no loops between uneven points)."""
    knots = np.asarray(points, np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    times = np.concatenate([[0], np.sqrt(np.maximum(np.linalg.norm(np.diff(padded, axis=0), axis=1), 1e-6)).cumsum()])
    at = np.linspace(times[1], times[-2], samples, endpoint=not closed)
    i = np.searchsorted(times, at, side="right").clip(2, len(padded) - 2) - 1

    def mix(a: NDArray[np.float64], b: NDArray[np.float64], ta: NDArray[np.float64], tb: NDArray[np.float64]):  # type: ignore[no-untyped-def]
        return a + (b - a) * ((at - ta) / (tb - ta))[:, None]

    t0, t1, t2, t3 = (times[i + k] for k in (-1, 0, 1, 2))
    p0, p1, p2, p3 = (padded[i + k] for k in (-1, 0, 1, 2))
    a1, a2, a3 = mix(p0, p1, t0, t1), mix(p1, p2, t1, t2), mix(p2, p3, t2, t3)
    return mix(mix(a1, a2, t0, t2), mix(a2, a3, t1, t3), t1, t2).astype(np.float32)


def polygon(shape: tuple[int, ...], points: ArrayLike, soften_px: float = 0.0) -> Field:
    """An anti-aliased filled polygon, optionally blurred."""
    scale = _POLYGON_OVERSAMPLING
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), np.uint8)
    corners = (np.asarray(points, np.float64) + 0.5) * scale - 0.5
    fixed = np.round(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], 255, shift=_SUBPIXEL_BITS)
    mask = cv2.resize(canvas, (shape[1], shape[0]), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    return as_field(blur(mask, soften_px) if soften_px > 0 else mask)


def line(shape: tuple[int, ...], points: ArrayLike, width_px: float) -> Field:
    """An anti-aliased polyline of the given width."""
    scale = _POLYGON_OVERSAMPLING
    canvas = np.zeros((shape[0] * scale, shape[1] * scale), np.uint8)
    corners = (np.asarray(points, np.float64) + 0.5) * scale - 0.5
    fixed = np.round(corners * (1 << _SUBPIXEL_BITS)).astype(np.int32)
    thickness = max(1, round(width_px * scale))
    cv2.polylines(canvas, [fixed], False, 255, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    return as_field(cv2.resize(canvas, (shape[1], shape[0]), interpolation=cv2.INTER_AREA) / np.float32(255))


def noise(shape: tuple[int, ...], rng: np.random.Generator, sigma_px: float, sigma_y_px: float | None = None) -> Field:
    """Smooth noise of unit variance; its grains are about `sigma_px` wide (and `sigma_y_px` high)."""
    field = blur(rng.standard_normal(shape[:2], np.float32), sigma_px, sigma_y_px)
    return field / max(float(field.std()), 1e-6)


def guided_filter(guide: Field, field: Field, radius_px: int, epsilon: float) -> Field:
    """Mask smoothed along the edges of a picture's lightness (He, Sun, Tang 2010)."""
    size = (2 * radius_px + 1, 2 * radius_px + 1)

    def mean(values: Field) -> Field:
        return as_field(cv2.blur(values, size))

    guide_mean, field_mean = mean(guide), mean(field)
    slope = (mean(guide * field) - guide_mean * field_mean) / (mean(guide * guide) - guide_mean**2 + epsilon)
    return (mean(slope) * guide + mean(field_mean - slope * guide_mean)).clip(0, 1)


def distance_inside(mask: Field) -> Field:
    """Distance in pixels of each pixel in the mask (> 0.5) to its border; 0 outside."""
    return as_field(cv2.distanceTransform((mask > 0.5).astype(np.uint8), cv2.DIST_L2, 5))


def mix(
    below: Float[NDArray[np.float32], "h w *c"], above: ArrayLike, alpha: Float[NDArray[np.float32], "h w"]
) -> Float[NDArray[np.float32], "h w *c"]:
    """Alpha blending of pictures or of fields."""
    weight = alpha[..., None] if below.ndim == 3 and alpha.ndim == 2 else alpha
    return (below + (np.asarray(above, np.float32) - below) * weight).astype(np.float32)


def grain(portrait: TrackedPortrait, rng: np.random.Generator) -> Float[NDArray[np.float32], "h w 1"]:
    """Noise [h, w, 1] as strong as the photograph's own on the skin, so that paint does not look cleaner than it."""
    luminance = portrait.image.astype(np.float32).mean(-1)
    fine = luminance - blur(luminance, 1.5)
    skin = portrait.masks[Part.SKIN] > 0.9
    # The median is not moved by eyelashes and wrinkles; 0.6745 turns it into a standard deviation.
    strength = float(np.median(np.abs(fine[skin]))) / 0.6745 if skin.any() else 1.0
    return (noise(luminance.shape, rng, 0.7) * min(strength, 6.0))[..., None]


def as_photographed(
    portrait: TrackedPortrait, painted: Colors, soft: Field, grainy: Field, rng: np.random.Generator,
    sharpness: float = 0.55,
) -> Colors:  # fmt: skip
    """Paint as soft and as grainy as the photograph: strands are drawn sharper than any photograph shows them.

    Args:
        soft, grainy: [h, w] in 0..1, where it is made so.
        sharpness: width of the blur, pixels of a face 160 wide.
    """
    softened = blur(painted, sharpness * portrait.face_width_px / 160)
    return mix(painted, softened, soft) + grain(portrait, rng) * grainy[..., None]


def fill_hole(picture: Colors, hole: Field, sigma_px: float, octaves: int = 5) -> Colors:
    """Picture with a hole closed smoothly from its rim.

    Inverse-distance blending of the surroundings at several scales: near its rim the filling is what lies beside it,
    in its middle the average of everything around.

    Args:
        hole: [h, w] in 0..1; what is to be replaced.
        sigma_px: the finest scale; each octave is twice as coarse.
    """
    rows, columns = np.nonzero(hole > 0)
    if not len(rows):
        return picture
    margin = round(3 * sigma_px * 2 ** (octaves - 1))
    window = (
        slice(max(0, rows.min() - margin), rows.max() + margin + 1),
        slice(max(0, columns.min() - margin), columns.max() + margin + 1),
    )
    known = 1 - hole[window]
    stack = np.concatenate([picture[window] * known[..., None], known[..., None]], -1)
    total = np.zeros_like(stack)
    for octave in range(octaves):
        # Coarse scales are blurred on a small copy: what they lose in sharpness they do not have.
        shrink = 2 ** max(0, octave - 1)
        size = (max(1, stack.shape[1] // shrink), max(1, stack.shape[0] // shrink))
        small = cv2.resize(stack, size, interpolation=cv2.INTER_AREA)
        small = cv2.GaussianBlur(small, (0, 0), sigma_px * 2**octave / shrink)
        total += cv2.resize(small, (stack.shape[1], stack.shape[0]), interpolation=cv2.INTER_LINEAR) * 16.0**-octave
    result = picture.copy()
    filling = total[..., :3] / np.maximum(total[..., 3:], 1e-9)
    result[window] = mix(picture[window], filling, hole[window])
    return result


def finish(
    portrait: TrackedPortrait,
    painted: Float[NDArray[np.float32], "h w 3"],
    coverage: Float[NDArray[np.float32], "h w"],
    masks: PartMasks,
) -> PaintedEdit:
    """Finished edit: the painted picture laid over the portrait, equal to it to the pixel outside of the edit mask.

    Args:
        painted: [h, w, 3] in 0..255; where `coverage` is 0 its content does not matter.
        coverage: [h, w] in 0..1, the feathered region of the edit. Less than half a grey level counts as nothing.
        masks: part masks of the painted picture.
    """
    alpha = np.where(coverage < 0.5 / 255, 0, coverage).astype(np.float32).clip(0, 1)
    image = np.round(mix(portrait.image.astype(np.float32), painted, alpha)).clip(0, 255).astype(np.uint8)
    edit_mask = np.ceil(alpha * 255).astype(np.uint8)
    untouched = edit_mask == 0
    image[untouched] = portrait.image[untouched]
    soft = np.where(untouched[None], portrait.masks.soft, masks.soft)
    person = np.where(untouched, portrait.masks.person, 255 - soft[Part.BACKGROUND])
    return PaintedEdit(image, PartMasks(soft, person), edit_mask)
