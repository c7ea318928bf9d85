"""Body layer: neck and clothes, still behind the moving head, cut out by the person's matte.

Camera and body do not move, so the layer is an image with a relief of depths. The head's hole in it is not filled
everywhere: only where clothes must go on behind hair, beard or chin, below a line drawn from shoulder to shoulder.
The neck above the collar belongs to the head's own skinned surface; a strip of it stays here, under its fading end.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from perse.attributes import Part
from perse.curves import smoothstep
from perse.data import PartMasks
from perse.shapes import ByteMask, Colors, Field, HardMask
from perse.synthesis.procedural.animator.by_example import detail_like, read_example
from perse.synthesis.procedural.animator.fill import push_pull
from perse.synthesis.procedural.animator.hair_volume import falling_columns, joined
from perse.synthesis.procedural.animator.own_pose import OwnPose
from perse.synthesis.procedural.animator.projection import PreparedPhotograph
from perse.synthesis.procedural.animator.surface import HeadSurface
from perse.tracking.crop import FADE_WIDTHS, fade, last_row
from perse.tracking.person import disk

_COLLAR_STRIP = (0.12, 0.06)
"""Static neck fades out between these distances above the collar, in face widths."""

_END_STRIP = (0.2, 0.3)
"""The same above the photograph's end, where `FADE_WIDTHS` of it are half transparent."""

_BARE_WIDTHS = 0.06
"""Half the width from which on skin beside the head's own neck is somebody's shoulder, face widths: a neck drawn a
little wider or narrower than the surface's leaves thinner slivers."""

_RIM_PX = 4
_BESIDE_HAND_PX = 12
"""Next to a hand, whose outline is not the garment's, nothing of a garment is made up: it would be a dark scrap."""
_UNDER_HAIR = 0.18
"""How far clothes surely go on under hair, face widths."""
_AWAY_FROM_HAIR = 0.05
_HARDLY = 0.02
"""How much the garment's colours count next to hair, where strands lie on it: only where nothing else is known."""
_WEAVE = 0.2
"""The most that a garment's texture lightens or darkens what is continued: prints and folds are not made up."""
_SEED = 22

SHOULDER_WIDTHS, SHOULDER_DROPS = (0.42, 0.8, 1.05, 1.3), (-0.25, -0.08, 0.08, 0.5)
"""Where shoulders lie beside the neck's middle and below the collar's front, in face widths: biacromial breadth is
about 2.6 times the width of a face, and the collar rises towards the back of the neck."""


@dataclass(frozen=True)
class BodyLayer:
    """Still layer of neck and clothes.

    Attributes:
        rgb: [h, w, 3] float32, 0…255, not premultiplied.
        alpha: [h, w] float32.
        labels: [h, w] uint8, values of `Part`.
        depth: [h, w] float32 metres; a smooth relief, defined everywhere.
    """

    rgb: Float32[NDArray[np.float32], "h w 3"]
    alpha: Float32[NDArray[np.float32], "h w"]
    labels: UInt8[NDArray[np.uint8], "h w"]
    depth: Float32[NDArray[np.float32], "h w"]

    def resized(self, width: int, height: int) -> BodyLayer:
        """The layer at another size (labels by nearest neighbour)."""
        size = (width, height)
        soft = cv2.INTER_LINEAR if width >= self.alpha.shape[1] else cv2.INTER_AREA
        labels = cv2.resize(self.labels, size, interpolation=cv2.INTER_NEAREST)
        rgb, alpha, depth = (
            cv2.resize(layer, size, interpolation=soft) for layer in (self.rgb, self.alpha, self.depth)
        )
        return BodyLayer(rgb, alpha, labels, depth)


def build_body(
    surface: HeadSurface, pose: OwnPose, picture: PreparedPhotograph, inside: ByteMask, face_width_px: float
) -> BodyLayer:
    """Body layer cut out of the photograph.

    Args:
        pose: the lifted head, hair included, in the portrait's own pose.
        inside: [h, w], 255 where the crop shows the photograph.
    """
    drawn = (pose.fragments.face >= 0) & (surface.head_share[surface.faces].min(1) > 0.5)[pose.fragments.face]
    bare = _bare_shoulders(picture, pose.fragments.face >= 0, face_width_px)
    garment = Part.NECK if bare.any() else Part.CLOTHES
    picture = _skin_as_garment(picture, bare)
    clothes = picture.masks[Part.CLOTHES]
    # Where hair lies on clothes a pixel may be half of either; neither half would cover what is behind.
    clothes = clothes + picture.masks[Part.HAIR] * (picture.masks.labels == Part.CLOTHES)
    neck = picture.masks[Part.NECK] * _neck_stays(surface, pose, picture, inside, face_width_px)
    pockets = _pockets(picture.masks.labels, face_width_px)
    hole = np.maximum(
        _behind_the_head(picture, drawn, pockets, face_width_px), _notches(picture, pockets, face_width_px)
    )
    together = joined(picture.masks[Part.HAIR], drawn)
    falls = falling_columns(picture.masks[Part.HAIR] * together, drawn, face_width_px, last_row(inside))
    hole = np.maximum(hole, _under_hair(picture, hole, face_width_px) * falls)
    behind = picture.masks[Part.HAIR] * ~together
    hole = hole * (behind < 0.5) * (cv2.dilate(picture.held, disk(_BESIDE_HAND_PX)) < 0.5)
    hole = _with_seam(hole, picture, face_width_px)
    alpha = _without_crumbs(np.clip(np.maximum(clothes + neck + behind, hole), 0, 1))
    alpha, hole = _without_rims(_without_haze(alpha, picture), hole, picture)
    alpha = np.minimum(alpha, fade(inside, face_width_px))  # what is continued ends where the photograph does, too
    filled = _continued(picture, clothes * (1 - hole), hole, face_width_px)
    inside = cv2.GaussianBlur(hole, (0, 0), 0.8)[..., None]
    labels = np.where(behind > 0.5, Part.HAIR, np.where(neck > clothes, Part.NECK, garment))
    return BodyLayer(
        rgb=(picture.rgb * (1 - inside) + filled * inside).astype(np.float32),
        alpha=alpha,
        labels=np.where(hole > 0.5, garment, labels).astype(np.uint8),
        depth=_relief(surface, pose),
    )


def _bare_shoulders(picture: PreparedPhotograph, drawn: NDArray[np.bool_], face_width_px: float) -> NDArray[np.bool_]:
    """Skin beside the head's own neck [h, w] where it is the body's outside, more of it than cloth; else nowhere."""
    skin = ((picture.masks.labels == Part.NECK) & ~drawn).astype(np.uint8)
    thick = cv2.morphologyEx(skin, cv2.MORPH_OPEN, disk(_BARE_WIDTHS * face_width_px))
    shoulders = (cv2.dilate(thick, disk(2 * _BARE_WIDTHS * face_width_px)) > 0) & (skin > 0)
    return shoulders & (shoulders.sum() > picture.clothes.sum())


def _skin_as_garment(picture: PreparedPhotograph, bare: NDArray[np.bool_]) -> PreparedPhotograph:
    """The picture with bare shoulders as what clothes are to the layer: they go on behind hair in the same way."""
    if not bare.any():
        return picture
    soft = picture.masks.soft.copy()
    soft[Part.CLOTHES] = np.where(bare, soft[Part.CLOTHES] + soft[Part.NECK], soft[Part.CLOTHES])
    soft[Part.NECK][bare] = 0
    return replace(picture, masks=PartMasks(soft, picture.masks.person), clothes=np.maximum(picture.clothes, bare))


def _without_haze(alpha: Field, picture: PreparedPhotograph) -> Field:
    """Alpha [h, w] that ends within a pixel or two beside hair: a garment is as uncertain there as the masks are, and
    the haze would stand on the shoulder as a grey contour of the hair that has left."""
    hairy = cv2.dilate(picture.masks[Part.HAIR], disk(_RIM_PX))
    return np.asarray(alpha + hairy * (smoothstep(alpha, 0.4, 0.7) - alpha), np.float32)


def _without_rims(alpha: Field, hole: Field, picture: PreparedPhotograph) -> tuple[Field, Field]:
    """Alpha and hole [h, w] without thin half-transparent lines between what is opaque on both sides.

    Between a garment and what is continued behind hair lie pixels that are half of either; they would stand on the
    shoulder as a grey contour of the hair that has left. Outlines against the background stay soft.
    """
    closed = cv2.morphologyEx(alpha, cv2.MORPH_CLOSE, disk(_RIM_PX), borderType=cv2.BORDER_REPLICATE)
    rim = (closed > alpha + 0.02) & (closed > 0.9) & np.isin(picture.masks.labels, (Part.CLOTHES, Part.HAIR))
    return np.where(rim, closed, alpha).astype(np.float32), np.maximum(hole, rim).astype(np.float32)


def _continued(picture: PreparedPhotograph, clothes: Field, hole: Field, face_width_px: float) -> Colors:
    """The garment's colours everywhere, its texture in the rows of the hole: [h, w, 3]. Both are read well away from
    hair, whose strands lie on it."""
    hairy = cv2.dilate((picture.hanging > 0.3).astype(np.uint8), disk(_AWAY_FROM_HAIR * face_width_px))
    known = (clothes > 0.6) * np.where(hairy > 0, _HARDLY, 1.0)
    tone = push_pull(picture.rgb, np.maximum(known.astype(np.float32), 1e-5))
    example = read_example(picture.rgb, (known > 0.5).astype(np.float32), least_radius_px=15)
    rows = np.nonzero(hole.any(1))[0]
    if example is None or not len(rows):
        return tone
    weave = detail_like(example, int(np.ptp(rows)) + 1, hole.shape[1], _SEED)
    tone[rows[0] : rows[-1] + 1] *= 1 + np.clip(weave, -_WEAVE, _WEAVE)[..., None]
    return tone


def _without_crumbs(alpha: Field) -> Field:
    """Only what hangs together with the torso: flecks and spikes of the masks would stay beside a turned head."""
    block = np.ones((7, 7), np.uint8)
    alpha = alpha * cv2.dilate(cv2.morphologyEx((alpha > 0.3).astype(np.uint8), cv2.MORPH_OPEN, block), block)
    count, pieces, stats, _ = cv2.connectedComponentsWithStats((alpha > 0.1).astype(np.uint8))
    if count < 3:
        return alpha.astype(np.float32)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    kept = 1 + np.nonzero(sizes >= 0.05 * sizes.max())[0]
    near = cv2.dilate(np.isin(pieces, kept).astype(np.uint8), np.ones((5, 5), np.uint8))
    return (alpha * near).astype(np.float32)


def _neck_stays(
    surface: HeadSurface, pose: OwnPose, picture: PreparedPhotograph, inside: ByteMask, face_width_px: float
) -> Field:
    """Where the photograph's neck remains in the layer: near the collar, where the skinned neck fades, where the
    photograph ends (a neck that is cut there turns away from its end), and where the head's surface has no neck to
    draw: bare shoulders, a hand."""
    clothes = (picture.masks[Part.CLOTHES] > 0.5).astype(np.uint8)
    away = (
        cv2.distanceTransform(1 - clothes, cv2.DIST_L2, 5) / face_width_px if clothes.any() else np.ones(clothes.shape)
    )
    near_collar = 1 - smoothstep(away, _COLLAR_STRIP[1], _COLLAR_STRIP[0])
    end = last_row(inside)
    near_collar = np.maximum(near_collar, _near_the_end(end, clothes.shape, face_width_px))
    share = pose.fragments.interpolate(surface.faces, surface.head_share[:, None])[..., 0]
    drawn = (pose.fragments.face >= 0).astype(np.float32)
    fading = drawn * (1 - smoothstep(share, 0.2, 0.45))
    # Where the neck's outline stands against the background, a strip would stay behind as a wedge when it turns.
    open_air = (picture.masks.labels == Part.BACKGROUND).astype(np.uint8)
    if end is not None:  # where the photograph fades out everybody ends
        fades = max(end - round(FADE_WIDTHS * face_width_px), 0)
        open_air[fades:] = open_air[max(fades - 1, 0)]
    within = smoothstep(cv2.distanceTransform(1 - open_air, cv2.DIST_L2, 5), 3.0, 9.0)
    bare = ((picture.masks.labels == Part.NECK) & (drawn == 0)).astype(np.uint8)
    thick = np.asarray(cv2.morphologyEx(bare, cv2.MORPH_OPEN, disk(_BARE_WIDTHS * face_width_px)), np.float32)
    corners = cv2.dilate(thick, disk(2 * _BARE_WIDTHS * face_width_px)) * (1 - drawn)  # the opening rounds them off
    stays = [near_collar * within, fading, corners, cv2.dilate(thick, disk(3)), picture.held]
    return np.maximum.reduce(stays).astype(np.float32)


def _near_the_end(end: int | None, shape: tuple[int, ...], face_width_px: float) -> Field:
    """1 above the photograph's last row, 0 well above it, and everywhere if it has none within the crop: [h, w]."""
    if end is None:
        return np.zeros(shape, np.float32)
    above = (end - np.arange(shape[0], dtype=np.float32)) / face_width_px
    return np.repeat(1 - smoothstep(above, *_END_STRIP)[:, None], shape[1], 1)


def _notches(picture: PreparedPhotograph, pockets: HardMask, face_width_px: float) -> Field:
    """Strands lying on a shoulder cut notches into its outline: [h, w] of 0 or 1 where clothes go on below them, and
    below the crumbs of background (`pockets`) that are found between strands."""
    labels = picture.masks.labels
    clothes = (labels == Part.CLOTHES).astype(np.uint8)
    closed = cv2.morphologyEx(clothes, cv2.MORPH_CLOSE, disk(0.35 * face_width_px), borderType=cv2.BORDER_REPLICATE)
    hidden = (labels == Part.HAIR) | pockets
    return ((closed > 0) & hidden).astype(np.float32)


def _under_hair(picture: PreparedPhotograph, hole: Field, face_width_px: float) -> Field:
    """Clothes go on some way under the hair that lies on them [h, w] of 0 or 1: strands lag, and what they uncover
    would be a gap."""
    labels = picture.masks.labels
    body = ((hole > 0) | (labels == Part.CLOTHES)).astype(np.uint8)
    body = cv2.morphologyEx(body, cv2.MORPH_OPEN, disk(_BARE_WIDTHS * face_width_px))
    hair = (labels == Part.HAIR).astype(np.uint8)
    grown = body
    for _ in range(max(1, round(_UNDER_HAIR * face_width_px / 2))):  # not across the air between hair and a shoulder
        grown = np.maximum(body, cv2.dilate(grown, disk(2)) * hair)
    return np.asarray(grown * hair, np.float32)


def _pockets(labels: NDArray[np.uint8], face_width_px: float) -> NDArray[np.bool_]:
    """Background that is enclosed by the person, or all but enclosed: [h, w]. Small, and next to hair."""
    air = (labels == Part.BACKGROUND).astype(np.uint8)
    wide = cv2.morphologyEx(air, cv2.MORPH_OPEN, disk(0.06 * face_width_px), borderType=cv2.BORDER_REPLICATE)
    _, pieces, stats, _ = cv2.connectedComponentsWithStats(wide)
    large = np.nonzero(stats[:, cv2.CC_STAT_AREA] > (0.35 * face_width_px) ** 2)[0]
    outside = cv2.dilate(np.isin(pieces, large[large > 0]).astype(np.uint8), disk(0.06 * face_width_px))
    hairy = cv2.dilate((labels == Part.HAIR).astype(np.uint8), disk(0.06 * face_width_px))
    return np.asarray((air > 0) & (outside == 0) & (hairy > 0))


def _with_seam(hole: Field, picture: PreparedPhotograph, face_width_px: float) -> Field:
    """The hole grown over the clothes' edge, whose pixels are mixed with the hair that is about to leave."""
    seam = cv2.dilate(picture.hanging, disk(0.03 * face_width_px)) * (picture.masks.labels == Part.CLOTHES)
    near = cv2.dilate(hole, disk(0.03 * face_width_px))
    return np.maximum(hole, (seam > 0.5) * near).astype(np.float32)


def _behind_the_head(picture: PreparedPhotograph, drawn: HardMask, pockets: HardMask, face_width_px: float) -> Field:
    """Pixels hidden by the head behind which clothes go on: [h, w] of 0 or 1.

    Under hair, beard or chin the clothes' upper edge is not seen; it is drawn straight between the columns where it is
    seen against the background or the neck.
    """
    labels = picture.masks.labels
    height, width = labels.shape
    is_clothes = labels == Part.CLOTHES
    columns = np.nonzero(is_clothes.any(0))[0]
    if len(columns) < 8:
        return np.zeros(labels.shape, np.float32)
    top = is_clothes.argmax(0)
    above = labels[np.maximum(top - 3, 0), np.arange(width)]
    honest = is_clothes.any(0) & np.isin(above, (Part.BACKGROUND, Part.NECK, Part.CLOTHES))
    # Hair leaves crumbs of background between its strands: there the edge that is seen is the hair's.
    hairy = (labels == Part.HAIR).astype(np.uint8)
    around = cv2.dilate(hairy, disk(0.06 * face_width_px))[np.maximum(top - 3, 0), np.arange(width)]
    honest &= (above == Part.NECK) | (around == 0)
    # A column or two between strands say nothing about the shoulder.
    run = np.ones((1, max(3, round(0.05 * face_width_px))), np.uint8)
    # An even kernel moves what it opens by a column, which may show no clothes at all.
    honest &= cv2.morphologyEx(honest.astype(np.uint8)[None], cv2.MORPH_OPEN, run)[0] > 0
    if not honest.any():  # strands wherever one looks: then the lowest edge of a piece is the best that is known
        honest = is_clothes.any(0)
    under_hair = (hairy > 0) | (is_clothes & (labels[np.maximum(top - 3, 0), np.arange(width)] == Part.HAIR))
    line = _shoulder_line(np.nonzero(honest)[0], top[honest], columns, drawn, under_hair, face_width_px)
    below = np.arange(height)[:, None] >= line
    # A veil falls to the arms: what it hides is no plate of clothes.
    hidden = ~np.isin(labels, (Part.BACKGROUND, Part.NECK, Part.CLOTHES, Part.HEADWEAR)) | drawn
    hidden |= pockets
    return (below & hidden & ~is_clothes & (labels != Part.NECK)).astype(np.float32)


def _shoulder_line(
    seen: NDArray[np.intp],
    heights: NDArray[np.intp],
    columns: NDArray[np.intp],
    drawn: NDArray[np.bool_],
    hairy: NDArray[np.bool_],
    face_width_px: float,
) -> NDArray[np.float64]:
    """Row at which clothes begin in every column; the picture's height where there are none.

    Between the columns where the edge is `seen` at `heights` it is straight. Where hair hides it (`hairy`, and clothes
    whose upper edge is hair's), it runs as shoulders do: up along the neck, then down to the arms.
    """
    height, width = drawn.shape
    middle = float(np.nonzero(drawn)[1].mean()) if drawn.any() else width / 2
    front = np.abs(seen - middle) < 0.45 * face_width_px
    base = float(np.median(heights[front] if front.any() else heights))
    xs, ys = seen.astype(np.float64), heights.astype(np.float64)
    first, last = float(columns[0]), float(columns[-1])
    for side in (-1, 1):
        for aside, drop in zip(SHOULDER_WIDTHS, SHOULDER_DROPS, strict=True):
            x, y = middle + side * aside * face_width_px, base + drop * face_width_px
            inside = 0 <= x < width and 0 <= y < height
            if inside and hairy[int(y), int(x)] and np.abs(seen - x).min() > 0.1 * face_width_px:
                xs, ys = np.append(xs, x), np.append(ys, y)
                first, last = min(first, x), max(last, x)
    order = np.argsort(xs, kind="stable")
    every = np.arange(width)
    line = np.interp(every, xs[order], ys[order])
    guessed = np.ones(width, bool)
    guessed[seen] = False
    line = np.where(guessed, gaussian_filter1d(line, 0.08 * face_width_px, mode="nearest"), line)
    return np.where((every < first) | (every > last), height, line)


def _relief(surface: HeadSurface, pose: OwnPose) -> Float32[np.ndarray, "h w"]:
    """Depth of the body: at the neck's middle under the chin, nearer towards the chest, farther at the shoulders."""
    camera = pose.camera
    base = surface.outer & (surface.head_share > 0.05) & (surface.head_share < 0.4)
    points = pose.vertices[base if base.any() else surface.outer]
    pixels = pose.pixels[base if base.any() else surface.outer]
    scale = pose.metres_per_pixel(points.mean(0).astype(np.float32))
    rows, columns = np.mgrid[: camera.height, : camera.width].astype(np.float32)
    down = np.clip((rows - pixels[:, 1].mean()) * scale, -0.03, 0.2)
    aside = np.abs(columns - pixels[:, 0].mean()) * scale
    return (pixels[:, 2].mean() + 0.01 - 0.55 * down + 0.9 * np.maximum(aside - 0.07, 0) ** 1.2).astype(np.float32)
