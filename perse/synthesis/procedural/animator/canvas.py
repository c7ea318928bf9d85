"""Canvas of a frame: supersampled buffers, the head's shading and the final reduction.

The buffers are `perse.synthesis.procedural.scene.FrameBuffers`, so that attachments are drawn onto the same
canvas. All kernels run on one thread: the pipeline keeps one animator per core.
"""

from __future__ import annotations

import numpy as np

from perse.render.compiled import exact_kernel

_RIM_START, _RIM_END = 0.42, 0.08
"""A texel's outline alpha comes in between these cosines of normal and view."""


@exact_kernel
def vertex_normals(vertices, faces):  # type: ignore[no-untyped-def]
    """Area-weighted unit normals [v, 3] of float32 vertices [v, 3]; zero where a vertex has no face."""
    normals = np.zeros_like(vertices)
    for t in range(faces.shape[0]):
        a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
        x, y, z = vertices[a, 0], vertices[a, 1], vertices[a, 2]
        ux, uy, uz = vertices[b, 0] - x, vertices[b, 1] - y, vertices[b, 2] - z
        vx, vy, vz = vertices[c, 0] - x, vertices[c, 1] - y, vertices[c, 2] - z
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for corner in (a, b, c):
            normals[corner, 0] += nx
            normals[corner, 1] += ny
            normals[corner, 2] += nz
    for i in range(normals.shape[0]):
        length = np.sqrt(normals[i, 0] ** 2 + normals[i, 1] ** 2 + normals[i, 2] ** 2) + 1e-20
        for k in range(3):
            normals[i, k] /= length
    return normals


@exact_kernel
def paint_head(  # type: ignore[no-untyped-def]
    depth,
    face,
    weights,
    faces,
    corner_uvs,
    texture,
    dressed,
    rim,
    labels,
    facing,
    shade,
    outline,
    out_rgb,
    out_alpha,
    out_parts,
    out_depth,
):
    """Composite the head's fragments over the buffers, in place.

    Args:
        depth, face, weights: mesh fragments [h, w], [h, w], [h, w, 3].
        faces [t, 3], corner_uvs [t, 3, 2], texture [th, tw, 4] uint8, dressed, rim and labels [th, tw]
            uint8.
        facing: [n] cosine of normal and view; shade: [n] multipliers.
        outline: [h, w], 1 along the head's outline and 0 inside it.
        out_rgb, out_alpha, out_parts, out_depth: the buffers; rgb is composited over white already. What is dressed is
            painted behind them: taking the neck away by as much as a half-transparent collar covers would let the wall
            through.
    """
    height, width = face.shape
    th, tw = texture.shape[0], texture.shape[1]
    for y in range(height):
        for x in range(width):
            t = face[y, x]
            if t < 0:
                continue
            w0, w1, w2 = weights[y, x, 0], weights[y, x, 1], weights[y, x, 2]
            a, b, c = faces[t, 0], faces[t, 1], faces[t, 2]
            u = w0 * corner_uvs[t, 0, 0] + w1 * corner_uvs[t, 1, 0] + w2 * corner_uvs[t, 2, 0] - 0.5
            v = w0 * corner_uvs[t, 0, 1] + w1 * corner_uvs[t, 1, 1] + w2 * corner_uvs[t, 2, 1] - 0.5
            u = min(max(u, 0.0), tw - 1.001)
            v = min(max(v, 0.0), th - 1.001)
            i, j = int(v), int(u)
            fu, fv = u - j, v - i
            k00, k01 = (1 - fu) * (1 - fv), fu * (1 - fv)
            k10, k11 = (1 - fu) * fv, fu * fv
            alpha = k00 * texture[i, j, 3] + k01 * texture[i, j + 1, 3]
            alpha = (alpha + k10 * texture[i + 1, j, 3] + k11 * texture[i + 1, j + 1, 3]) / 255.0
            under = (
                k00 * dressed[i, j] + k01 * dressed[i, j + 1] + k10 * dressed[i + 1, j] + k11 * dressed[i + 1, j + 1]
            )
            under /= 255.0
            cosine = w0 * facing[a] + w1 * facing[b] + w2 * facing[c]
            if cosine < _RIM_START and outline[y, x] > 0:
                edge = outline[y, x] * min((_RIM_START - cosine) / (_RIM_START - _RIM_END), 1.0)
                soft = k00 * rim[i, j] + k01 * rim[i, j + 1] + k10 * rim[i + 1, j] + k11 * rim[i + 1, j + 1]
                alpha *= 1 - edge * (1 - soft / 255.0)
            if alpha <= 0.004:
                continue
            light = w0 * shade[a] + w1 * shade[b] + w2 * shade[c]
            behind = 1 - out_alpha[y, x]
            for k in range(3):
                color = k00 * texture[i, j, k] + k01 * texture[i, j + 1, k]
                color = (color + k10 * texture[i + 1, j, k] + k11 * texture[i + 1, j + 1, k]) * light
                # In front of what is painted, or behind it and in front of the white wall.
                over, below = color - out_rgb[y, x, k], behind * (color - 255.0)
                out_rgb[y, x, k] += alpha * (over + under * (below - over))
            solid = alpha * (1 - under * out_alpha[y, x])
            out_alpha[y, x] = 1 - behind * (1 - alpha)
            if solid > 0.5:
                out_parts[y, x] = labels[i + (fv > 0.5), j + (fu > 0.5)]
                out_depth[y, x] = depth[y, x]


@exact_kernel
def reduce_parts(parts, alpha, factor, out_parts):  # type: ignore[no-untyped-def]
    """Most frequent part of every block of factor × factor; BACKGROUND where alpha [h, w] (reduced) is below half.

    A block that is half covered takes the label of its covered half.
    """
    height, width = out_parts.shape
    counts = np.zeros(32, np.int32)
    for y in range(height):
        for x in range(width):
            first = parts[y * factor, x * factor]
            if alpha[y, x] <= 127:
                out_parts[y, x] = 0
                continue
            same = True
            for i in range(y * factor, (y + 1) * factor):
                for j in range(x * factor, (x + 1) * factor):
                    same &= parts[i, j] == first
            if same:
                out_parts[y, x] = first
                continue
            counts[:] = 0
            for i in range(y * factor, (y + 1) * factor):
                for j in range(x * factor, (x + 1) * factor):
                    counts[parts[i, j]] += 1
            counts[0] = 0
            out_parts[y, x] = counts.argmax()
