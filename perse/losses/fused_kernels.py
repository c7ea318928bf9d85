# mypy: ignore-errors
"""L1 and SSIM of a picture with their gradient in one sweep over its rows, for numba.

A row of w pixels with c channels is w·c numbers in a line; neighbours in x are c apart, so all channels are filtered at
once. The sweep is a pipeline with three stations, each five rows (the window's radius) behind the one before::

    row r       read x and y, filter x, y, x² + y², xy along the row
    row r - 5   filter those down the columns ─► SSIM and its derivatives by the three means that depend on x
                filter the derivatives along the row
    row r - 10  filter those down the columns (the window is symmetric: its adjoint is itself) ─► gradient

Between the stations lie rings of eleven rows that stay in cache. SSIM needs the variances only as a sum, so four means
do instead of five.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.losses.constants import SSIM_C1, SSIM_C2, SSIM_RADIUS_PX, SSIM_SIGMA_PX
from perse.render.compiled import kernel, parallel_kernel
from perse.render.lane_memory import load, store
from perse.render.lanes import choose, larger, spread

_RADIUS = SSIM_RADIUS_PX
_RING = 2 * _RADIUS + 1
_LANES = 16
BAND = 128
"""Rows that one thread takes at a time; it reads ten more above and below."""

_f4 = np.float32
_ZERO, _ONE, _TWO = _f4(0), _f4(1), _f4(2)
_C1, _C2 = _f4(SSIM_C1), _f4(SSIM_C2)
_window = [math.exp(-0.5 * (k / SSIM_SIGMA_PX) ** 2) for k in range(_RADIUS + 1)]
_total = _window[0] + 2 * sum(_window[1:])
_W0, _W1, _W2, _W3, _W4, _W5 = (_f4(w / _total) for w in _window)


@kernel
def _along(row, at, step, out, out_at, size):
    """Window mean along a row that starts at ``row[at]`` and has zeros around it; neighbours are ``step`` apart."""
    for j in range(0, size, _LANES):
        k = at + j
        total = load(row, k) * _W0
        total = total + (load(row, k - step) + load(row, k + step)) * _W1
        total = total + (load(row, k - 2 * step) + load(row, k + 2 * step)) * _W2
        total = total + (load(row, k - 3 * step) + load(row, k + 3 * step)) * _W3
        total = total + (load(row, k - 4 * step) + load(row, k + 4 * step)) * _W4
        total = total + (load(row, k - 5 * step) + load(row, k + 5 * step)) * _W5
        store(out, out_at + j, total)


@kernel
def _down(ring, plane, rows, j):
    """Window mean down the columns of a ring's plane, sixteen columns from j on; ``rows`` are its slots in order."""
    total = load(ring, plane + rows[5] + j) * _W0
    total = total + (load(ring, plane + rows[4] + j) + load(ring, plane + rows[6] + j)) * _W1
    total = total + (load(ring, plane + rows[3] + j) + load(ring, plane + rows[7] + j)) * _W2
    total = total + (load(ring, plane + rows[2] + j) + load(ring, plane + rows[8] + j)) * _W3
    total = total + (load(ring, plane + rows[1] + j) + load(ring, plane + rows[9] + j)) * _W4
    total = total + (load(ring, plane + rows[0] + j) + load(ring, plane + rows[10] + j)) * _W5
    return total


@kernel
def _slots(row, stride):
    """Offsets in a ring of the eleven rows around ``row``, top to bottom."""
    first = row - _RADIUS + _RING * 2
    return (
        first % _RING * stride, (first + 1) % _RING * stride, (first + 2) % _RING * stride,
        (first + 3) % _RING * stride, (first + 4) % _RING * stride, (first + 5) % _RING * stride,
        (first + 6) % _RING * stride, (first + 7) % _RING * stride, (first + 8) % _RING * stride,
        (first + 9) % _RING * stride, (first + 10) % _RING * stride,
    )  # fmt: skip


@kernel
def _read_row(image, target, scale, mask, has_mask, channels, x, y, weight, at):
    """x, y [at …]: a row of the picture, masked, and of the target, as float32; weight: the mask at every number."""
    count = image.shape[0]
    xs, ys, ms = x[at : at + count], y[at : at + count], weight[at : at + count]
    for j in range(count):
        ys[j] = _f4(target[j]) * scale
    if has_mask:
        for j in range(mask.shape[0]):
            for c in range(channels):
                ms[j * channels + c] = mask[j]
        for j in range(count):
            xs[j] = ys[j] + ms[j] * (image[j] - ys[j])
    else:
        for j in range(count):
            xs[j] = image[j]


@kernel
def _sum(row, size):
    """Sum of sixteen partial sums: always in the same order."""
    total = spread(_ZERO)
    for j in range(0, size, _LANES):
        total = total + load(row, j)
    lanes = row[size : size + _LANES]
    store(lanes, 0, total)
    result = _ZERO
    for value in lanes:
        result += value
    return result


@kernel
def _means_row(x, y, products, margin, step, ring, slot, plane, size):
    """Station one: the four means along a row into their rings."""
    _along(x, margin, step, ring, slot, size)
    _along(y, margin, step, ring, plane + slot, size)
    for j in range(margin, margin + size, _LANES):
        a, b = load(x, j), load(y, j)
        store(products, j, a * a + b * b)
    _along(products, margin, step, ring, 2 * plane + slot, size)
    for j in range(margin, margin + size, _LANES):
        store(products, j, load(x, j) * load(y, j))
    _along(products, margin, step, ring, 3 * plane + slot, size)


@kernel
def _similarity_row(ring, plane, slots, by_mean, by_square, by_product, loss, margin, count, size):
    """Station two: 1 - SSIM of a row, and the derivatives of SSIM by the means of x, of x² and of xy."""
    for j in range(0, size, _LANES):
        mean_x, mean_y = _down(ring, 0, slots, j), _down(ring, plane, slots, j)
        squares, products = _down(ring, 2 * plane, slots, j), _down(ring, 3 * plane, slots, j)
        both, means2 = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
        a, b = both * _TWO + _C1, (products - both) * _TWO + _C2
        c, d = means2 + _C1, squares - means2 + _C2
        inverse = _ONE / (c * d)
        value = a * b * inverse
        d_square = _ZERO - value * c * inverse  # by way of d
        d_product = a * _TWO * inverse  # by way of b
        d_mean = (mean_y * b - mean_x * value * d) * inverse * _TWO - mean_x * d_square * _TWO - mean_y * d_product
        store(loss, j, _ONE - value)
        store(by_mean, margin + j, d_mean)
        store(by_square, margin + j, d_square)
        store(by_product, margin + j, d_product)
    # Lanes past the row's end are no pixels.
    for j in range(count, size):
        loss[j] = _ZERO
        by_mean[margin + j] = _ZERO
        by_square[margin + j] = _ZERO
        by_product[margin + j] = _ZERO


@kernel
def _gradient_row(ring, plane, slots, x, y, margin, l1_factor, ssim_factor, loss, gradient, size):
    """Station three: |x - y| of a row, and the derivative of the whole loss by x."""
    for j in range(0, size, _LANES):
        a, b = load(x, margin + j), load(y, margin + j)
        through = _down(ring, 0, slots, j) + a * _down(ring, plane, slots, j) * _TWO
        through = through + b * _down(ring, 2 * plane, slots, j)
        difference = a - b
        store(loss, j, larger(difference, _ZERO - difference))
        sign = choose(difference, _ZERO, _ONE, choose(_ZERO, difference, -_ONE, _ZERO))
        store(gradient, j, sign * l1_factor - through * ssim_factor)


@kernel
def _sweep(image, target, scale, mask, has_mask, channels, height, begin, end, factors, out, sums):
    """The pipeline over the rows begin … end of one frame, given as rows [h, w·c]."""
    count = image.shape[1]
    size = (count + _LANES - 1) // _LANES * _LANES
    margin = (_RADIUS * channels + _LANES - 1) // _LANES * _LANES
    line = size + 2 * margin
    # Zeros around the rows are what the window sees outside of the picture.
    x, y, weight, products = np.zeros(line, _f4), np.zeros(line, _f4), np.ones(line, _f4), np.zeros(line, _f4)
    by_mean, by_square, by_product = np.zeros(line, _f4), np.zeros(line, _f4), np.zeros(line, _f4)
    loss, gradient = np.zeros(size + _LANES, _f4), np.zeros(size, _f4)
    plane = _RING * size
    means, derivatives = np.zeros(4 * plane, _f4), np.zeros(3 * plane, _f4)

    for ahead in range(begin - 2 * _RADIUS, end + 2 * _RADIUS):
        slot = (ahead + _RING) % _RING * size
        if 0 <= ahead < height:
            _read_row(image[ahead], target[ahead], scale, mask[ahead], has_mask, channels, x, y, weight, margin)
            _means_row(x, y, products, margin, channels, means, slot, plane, size)
        else:
            for k in range(4):
                means[k * plane + slot : k * plane + slot + size] = _ZERO

        row = ahead - _RADIUS
        slot = (row + 2 * _RING) % _RING * size
        if 0 <= row < height and row >= begin - _RADIUS:
            _similarity_row(means, plane, _slots(row, size), by_mean, by_square, by_product, loss, margin, count, size)
            _along(by_mean, margin, channels, derivatives, slot, size)
            _along(by_square, margin, channels, derivatives, plane + slot, size)
            _along(by_product, margin, channels, derivatives, 2 * plane + slot, size)
            if begin <= row < end:
                sums[row, 1] = _sum(loss, size)
        else:
            for k in range(3):
                derivatives[k * plane + slot : k * plane + slot + size] = _ZERO

        row = ahead - 2 * _RADIUS
        if row >= begin:
            _read_row(image[row], target[row], scale, mask[row], has_mask, channels, x, y, weight, margin)
            _gradient_row(
                derivatives, plane, _slots(row, size), x, y, margin, factors[0], factors[1], loss, gradient, size
            )
            sums[row, 0] = _sum(loss, size)
            target_row = out[row]
            if has_mask:
                for j in range(count):
                    target_row[j] = gradient[j] * weight[margin + j]
            else:
                for j in range(count):
                    target_row[j] = gradient[j]


@kernel
def _alpha_rows(alpha, target, scale, mask, has_mask, factor, begin, end, out, sums):
    """|alpha - target| and its gradient."""
    for row in range(begin, end):
        total = _ZERO
        for j in range(alpha.shape[1]):
            weight = mask[row, j] if has_mask else _ONE
            difference = (alpha[row, j] - _f4(target[row, j]) * scale) * weight
            total += abs(difference)
            sign = _ONE if difference > _ZERO else (-_ONE if difference < _ZERO else _ZERO)
            out[row, j] = sign * factor * weight
        sums[row, 2] = total


@parallel_kernel
def picture_losses(
    images, targets, scale, alphas, target_alphas, alpha_scale, masks, channels, factors, g_images, g_alphas, sums
):
    """Losses and gradients of frames.

    Args:
        images, targets: [f, h, w·c] float32; targets may be uint8, then scale is 1/255.
        alphas, target_alphas: [f, h, w], likewise.
        masks: [f, h, w] float32, or [1, h, 0] for none.
        factors: [f, 3] float32: of the sums of |x - y|, of 1 - SSIM and of |alpha - target| in the total.
        g_images, g_alphas: out, derivatives of the total.
        sums: [f, h, 3] float32 out, row sums of the three terms, without their factors.
    """
    frames, height = images.shape[0], images.shape[1]
    bands = (height + BAND - 1) // BAND
    has_mask = masks.shape[2] > 0
    for unit in numba.prange(frames * bands):
        f, band = unit // bands, unit % bands
        begin, end = band * BAND, min((band + 1) * BAND, height)
        mask = masks[f] if has_mask else masks[0]
        _sweep(
            images[f], targets[f], scale, mask, has_mask, channels, height, begin, end, factors[f], g_images[f], sums[f]
        )
        _alpha_rows(
            alphas[f], target_alphas[f], alpha_scale, mask, has_mask, factors[f, 2], begin, end, g_alphas[f], sums[f]
        )
