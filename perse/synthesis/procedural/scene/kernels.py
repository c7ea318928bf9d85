"""Kernels of drawing: collect surface fragments pixel by pixel, then sort, shade and blend them.

One thread by design: the pipeline runs one animator per core.
"""

from __future__ import annotations

import numpy as np

from perse.render.compiled import exact_kernel
from perse.render.triangle_kernels import at_pixel, pixel_box, signed_area

MAX_LAYERS = 24
"""Surfaces looked at in one pixel; what lies behind the first 24 is not seen through them anyway."""


@exact_kernel
def _corners(start, rows, columns, u, v):  # type: ignore[no-untyped-def]
    """Rows of the four texels around (u, v), row by row, and how far it lies from the first; u wraps, v is clamped."""
    x = u * columns - 0.5
    y = min(max(v, 0.0), 1.0) * rows - 0.5
    x0 = int(np.floor(x))
    y0 = int(np.floor(y))
    left = x0 % columns
    right = (x0 + 1) % columns
    upper = start + min(max(y0, 0), rows - 1) * columns
    lower = start + min(max(y0 + 1, 0), rows - 1) * columns
    return (upper + left, upper + right, lower + left, lower + right), x - x0, y - y0


@exact_kernel
def _texel(texels, start, rows, columns, u, v, out):  # type: ignore[no-untyped-def]
    """Bilinear RGBA at (u, v). Colours are mixed by alpha, so clear texels do not bleed."""
    corners, fx, fy = _corners(start, rows, columns, u, v)
    r = g = b = a = 0.0
    for corner in range(4):
        share = (1 - fy if corner < 2 else fy) * (1 - fx if corner % 2 == 0 else fx)
        index = corners[corner]
        weight = share * texels[index, 3]
        r += weight * texels[index, 0]
        g += weight * texels[index, 1]
        b += weight * texels[index, 2]
        a += weight
    inverse = 1.0 / a if a > 1e-6 else 0.0
    out[0] = r * inverse
    out[1] = g * inverse
    out[2] = b * inverse
    out[3] = a / 255.0


@exact_kernel
def _opacity(texels, start, rows, columns, u, v):  # type: ignore[no-untyped-def]
    """The alpha of `_texel`, in [0, 1]."""
    corners, fx, fy = _corners(start, rows, columns, u, v)
    a = (1 - fy) * (1 - fx) * texels[corners[0], 3]
    a += (1 - fy) * fx * texels[corners[1], 3]
    a += fy * (1 - fx) * texels[corners[2], 3]
    a += fy * fx * texels[corners[3], 3]
    return a / 255.0


@exact_kernel
def _mip_level(pixels, uvs, a, b, c, rows, columns, n_levels):  # type: ignore[no-untyped-def]
    """The level whose texels are about as large as pixels on this triangle."""
    area_px = abs(
        (pixels[b, 0] - pixels[a, 0]) * (pixels[c, 1] - pixels[a, 1])
        - (pixels[c, 0] - pixels[a, 0]) * (pixels[b, 1] - pixels[a, 1])
    )
    area_uv = abs((uvs[b, 0] - uvs[a, 0]) * (uvs[c, 1] - uvs[a, 1]) - (uvs[c, 0] - uvs[a, 0]) * (uvs[b, 1] - uvs[a, 1]))
    ratio = area_uv * rows * columns / max(area_px, 1e-6)
    if ratio <= 1.0:
        return 0
    return min(int(0.5 * np.log2(ratio) + 0.4), n_levels - 1)


@exact_kernel
def fragment_bound(pixels, faces, width, height):  # type: ignore[no-untyped-def]
    """Upper bound of the number of fragments: the sum of the triangles' boxes inside the picture."""
    total = 1
    for t in range(faces.shape[0]):
        left = top = np.inf
        right = bottom = -np.inf
        for corner in range(3):
            x, y = pixels[faces[t, corner], 0], pixels[faces[t, corner], 1]
            left, right, top, bottom = min(left, x), max(right, x), min(top, y), max(bottom, y)
        if right > 0 and bottom > 0 and left < width and top < height:
            across = min(right, float(width)) - max(left, 0.0) + 1
            down = min(bottom, float(height)) - max(top, 0.0) + 1
            if np.isfinite(across * down):
                total += int(np.ceil(across * down))
    return total


@exact_kernel
def collect_fragments(pixels, faces, owner, opaque, uvs, texels, levels, depth, alpha, solid, capacity):  # type: ignore[no-untyped-def]
    """Fragments in front of what is opaque already, as one linked list per pixel.

    Returns heads [h, w], links [n], triangles [n], perspective-correct weights [n, 2], depths [n], the depth [h, w] of
    the nearest opaque thing, and the mip level [t] of each triangle.
    """
    height, width = depth.shape
    heads = np.full((height, width), -1, np.int32)
    links = np.empty(capacity, np.int32)
    triangles = np.empty(capacity, np.int32)
    weights = np.empty((capacity, 2), np.float32)
    depths = np.empty(capacity, np.float32)
    mips = np.zeros(faces.shape[0], np.int32)
    nearest = np.empty((height, width), np.float32)
    for y in range(height):
        for x in range(width):
            nearest[y, x] = depth[y, x] if alpha[y, x] >= solid else np.inf
    count = 0
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        area = signed_area(pixels, a, b, c)
        if area == 0:
            continue
        left, right, top, bottom = pixel_box(pixels, a, b, c, width, height)
        k = owner[t]
        mips[t] = _mip_level(pixels, uvs, a, b, c, levels[k, 0, 1], levels[k, 0, 2], levels.shape[1])
        start, rows, columns = levels[k, mips[t], 0], levels[k, mips[t], 1], levels[k, mips[t], 2]
        inverse_area = 1.0 / area
        for y in range(top, bottom + 1):
            for x in range(left, right + 1):
                z, w0, w1, _ = at_pixel(pixels, a, b, c, inverse_area, x, y)
                if z < 0 or z > nearest[y, x]:
                    continue
                if opaque[k]:
                    nearest[y, x] = z
                else:
                    w2 = 1.0 - w0 - w1
                    u = w0 * uvs[a, 0] + w1 * uvs[b, 0] + w2 * uvs[c, 0]
                    v = w0 * uvs[a, 1] + w1 * uvs[b, 1] + w2 * uvs[c, 1]
                    cover = _opacity(texels, start, rows, columns, u, v)
                    if cover < 0.004:
                        continue
                    if cover >= solid:
                        nearest[y, x] = z
                links[count] = heads[y, x]
                heads[y, x] = count
                triangles[count] = t
                weights[count, 0] = w0
                weights[count, 1] = w1
                depths[count] = z
                count += 1
    return heads, links[:count], triangles[:count], weights[:count], depths[:count], nearest, mips


@exact_kernel
def resolve_fragments(  # type: ignore[no-untyped-def]
    heads, links, triangles, weights, depths, nearest, mips,
    faces, owner, winding, part_of, pixels, uvs, texels, levels, gloss, diffuse, highlight,
    rgb, alpha, parts, depth,
):  # fmt: skip
    """Sort each pixel's fragments, shade them and blend them from the front; writes rgb, alpha, parts, depth."""
    height, width = heads.shape
    order = np.empty(MAX_LAYERS, np.int32)
    colour = np.empty(4, np.float64)
    for y in range(height):
        for x in range(width):
            if heads[y, x] < 0:
                continue
            n = 0
            fragment = heads[y, x]
            while fragment >= 0:
                z = depths[fragment]
                if z <= nearest[y, x] and (n < MAX_LAYERS or z < depths[order[n - 1]]):
                    slot = n if n < MAX_LAYERS else n - 1
                    # Ties are broken by the triangle, so that the outcome does not hang on the order of drawing.
                    while slot > 0 and (
                        depths[order[slot - 1]] > z
                        or (depths[order[slot - 1]] == z and triangles[order[slot - 1]] > triangles[fragment])
                    ):
                        order[slot] = order[slot - 1]
                        slot -= 1
                    order[slot] = fragment
                    n = min(n + 1, MAX_LAYERS)
                fragment = links[fragment]

            base_alpha = alpha[y, x]
            base_depth = depth[y, x]
            base_pending = base_alpha > 0
            left = 1.0
            r = g = b = 0.0
            median_part = -1
            median_depth = np.float32(np.inf)
            last_z, last_owner = np.float32(-1.0), -1
            i = 0
            while left > 0.004 and (i < n or base_pending):
                if base_pending and (i >= n or base_depth < depths[order[i]]):
                    share = left * base_alpha
                    white = 255.0 * (1.0 - base_alpha)
                    r += share * (rgb[y, x, 0] - white) / base_alpha
                    g += share * (rgb[y, x, 1] - white) / base_alpha
                    b += share * (rgb[y, x, 2] - white) / base_alpha
                    left -= share
                    base_pending = False
                    if median_part < 0 and left < 0.5:
                        median_part = parts[y, x]
                        median_depth = base_depth
                    continue
                fragment = order[i]
                i += 1
                t = triangles[fragment]
                k = owner[t]
                z = depths[fragment]
                if k == last_owner and z - last_z < 1e-7 * z:
                    continue  # the edge shared by two triangles must not count twice
                last_owner, last_z = k, z
                p0, p1, p2 = faces[t, 0], faces[t, 1], faces[t, 2]
                w0, w1 = weights[fragment, 0], weights[fragment, 1]
                w2 = 1.0 - w0 - w1
                level = mips[t]
                _texel(
                    texels, levels[k, level, 0], levels[k, level, 1], levels[k, level, 2],
                    w0 * uvs[p0, 0] + w1 * uvs[p1, 0] + w2 * uvs[p2, 0],
                    w0 * uvs[p0, 1] + w1 * uvs[p1, 1] + w2 * uvs[p2, 1],
                    colour,
                )  # fmt: skip
                area = (pixels[p1, 0] - pixels[p0, 0]) * (pixels[p2, 1] - pixels[p0, 1]) - (
                    pixels[p2, 0] - pixels[p0, 0]
                ) * (pixels[p1, 1] - pixels[p0, 1])
                # y points down: counter-clockwise from outside has a negative area.
                side = 0 if area * winding[t] < 0 else 1
                lit = w0 * diffuse[p0, side] + w1 * diffuse[p1, side] + w2 * diffuse[p2, side]
                shine = w0 * highlight[p0, side] + w1 * highlight[p1, side] + w2 * highlight[p2, side]
                metal = min(gloss[p0], 1.0)
                share = left * colour[3]
                r += share * min(colour[0] * lit + shine * (255.0 * (1 - metal) + metal * colour[0]), 255.0)
                g += share * min(colour[1] * lit + shine * (255.0 * (1 - metal) + metal * colour[1]), 255.0)
                b += share * min(colour[2] * lit + shine * (255.0 * (1 - metal) + metal * colour[2]), 255.0)
                left -= share
                if median_part < 0 and left < 0.5:
                    median_part = part_of[k]
                    median_depth = z
            left = max(left, 0.0) if left > 0.004 else 0.0
            rgb[y, x, 0] = r + 255.0 * left
            rgb[y, x, 1] = g + 255.0 * left
            rgb[y, x, 2] = b + 255.0 * left
            alpha[y, x] = 1.0 - left
            if median_part >= 0:
                parts[y, x] = median_part
                depth[y, x] = median_depth
