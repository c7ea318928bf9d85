# mypy: ignore-errors
"""The pose response, the activations and their gradients, for numba, sixteen points at a time.

Attributes are rows [s, n, 14] of subjects, of which the last seven columns are read: logarithms of the scales, logit of
opacity, logits of RGB. A response [n, 24] is the matrix [4, 6] from (displacement, turn) to opacity and RGB.
"""

from __future__ import annotations

import math

import numba
import numpy as np

from perse.avatar.canonical import N_ATTRIBUTES, OPACITY
from perse.avatar.deformation_kernels import BLOCK
from perse.render.compiled import kernel, parallel_kernel
from perse.render.lane_memory import gather, load, scatter, store
from perse.render.lanes import WIDTH, choose, exp2, larger, smaller, spread
from perse.render.record_kernels import load_fours, load_vectors, store_vectors

LOG_SCALE_RANGE = (-8.5, -3.0)
"""Scales stay between 0.2 mm and 5 cm: smaller is invisible at any size we render, larger is a fog."""

DISPLACEMENT_UNIT = 100.0
"""Displacements enter the response in centimetres, of the order of one as the turns are (radians)."""

ANSWERS, QUESTIONS = 4, 6

_f4 = np.float32
_ZERO, _ONE, _TWO = _f4(0), _f4(1), _f4(2)
_LOW, _HIGH = _f4(LOG_SCALE_RANGE[0]), _f4(LOG_SCALE_RANGE[1])
_JUST_BELOW, _JUST_ABOVE = np.nextafter(_LOW, _f4(-9)), np.nextafter(_HIGH, _f4(0))  # `choose` compares strictly
_LOG2_E = _f4(math.log2(math.e))
_LOWEST = _f4(-125)  # 2^-125 is nothing beside 1, and exp2 is defined there
_UNIT = _f4(DISPLACEMENT_UNIT)
_STRIDE, _LOG_SCALES, _LOGITS = N_ATTRIBUTES, 7, OPACITY


@kernel
def _sigmoid(x):
    falling = exp2(larger(smaller(x, _ZERO - x) * _LOG2_E, _LOWEST))  # e^-|x|
    return choose(x, _ZERO, _ONE, falling) / (falling + _ONE) + (x - x)  # NaN stays NaN


@kernel
def _scale(logarithm):
    inside = larger(smaller(logarithm, spread(_HIGH)), spread(_LOW))
    return exp2(inside * _LOG2_E) + (logarithm - logarithm)  # NaN stays NaN


@kernel
def _happening(shift, turns, row, valid, scratch):
    """What happens to the points: displacement in its unit and turn, [6, 16] into ``scratch``."""
    dx, dy, dz = load_vectors(shift, row, valid)
    w, x, y, z = load_fours(turns, row, valid)
    twice = choose(_ZERO, w, -_TWO, _TWO)  # the shorter way round
    store(scratch, 0, dx * _UNIT)
    store(scratch, WIDTH, dy * _UNIT)
    store(scratch, 2 * WIDTH, dz * _UNIT)
    store(scratch, 3 * WIDTH, x * twice)
    store(scratch, 4 * WIDTH, y * twice)
    store(scratch, 5 * WIDTH, z * twice)


@kernel
def _load_response(response, first, valid, own):
    """The responses of a strip, [24, 16] into ``own``."""
    width = ANSWERS * QUESTIONS
    for k in range(width):
        store(own, k * WIDTH, gather(response, first * width + k, width, valid))


@kernel
def _logit(attributes, at, answer, valid, responds, own, happening):
    logit = gather(attributes, at + _LOGITS + answer, _STRIDE, valid)
    if responds:
        for question in range(QUESTIONS):
            k = answer * QUESTIONS + question
            logit = logit + load(own, k * WIDTH) * load(happening, question * WIDTH)
    return logit


@parallel_kernel
def activate(attributes, response, shift, turns, of_frame, scales, opacities, colors):
    """Scales, opacities and colours of f frames.

    Args:
        attributes: [s, n, 14].
        response: [n, 24], or [n, 0] for none.
        shift, turns: [f, n, 3] and [f, n, 4], what happens to the points.
        of_frame: [f] int64 subjects.
        scales, opacities, colors: out, [f, n, 3], [f, n] and [f, n, 3].
    """
    frames, count, responds = shift.shape[0], shift.shape[1], response.shape[1] > 0
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        own, happening = np.empty(ANSWERS * QUESTIONS * WIDTH, _f4), np.empty(QUESTIONS * WIDTH, _f4)
        for first in range(block * BLOCK, min(count, (block + 1) * BLOCK), WIDTH):
            valid = min(count - first, WIDTH)
            if responds:
                _load_response(response, first, valid, own)
            for f in range(frames):
                at, row = (of_frame[f] * count + first) * _STRIDE, f * count + first
                store_vectors(
                    scales, row, valid, _scale(gather(attributes, at + _LOG_SCALES, _STRIDE, valid)),
                    _scale(gather(attributes, at + _LOG_SCALES + 1, _STRIDE, valid)),
                    _scale(gather(attributes, at + _LOG_SCALES + 2, _STRIDE, valid)),
                )  # fmt: skip
                if responds:
                    _happening(shift, turns, row, valid, happening)
                opacity = _sigmoid(_logit(attributes, at, 0, valid, responds, own, happening))
                scatter(opacities, row, 1, valid, opacity)
                store_vectors(
                    colors, row, valid,
                    _sigmoid(_logit(attributes, at, 1, valid, responds, own, happening)),
                    _sigmoid(_logit(attributes, at, 2, valid, responds, own, happening)),
                    _sigmoid(_logit(attributes, at, 3, valid, responds, own, happening)),
                )  # fmt: skip


@kernel
def _add(array, at, stride, valid, value):
    scatter(array, at, stride, valid, gather(array, at, stride, valid) + value)


@kernel
def _answer_gradient(g, value, answer, at, valid, responds, happening, g_own, g_attributes):
    """From the gradient of an activated value to its logit's and to the responses'."""
    g_logit = g * value * (_ONE - value)
    _add(g_attributes, at + _LOGITS + answer, _STRIDE, valid, g_logit)
    if responds:
        for question in range(QUESTIONS):
            k = (answer * QUESTIONS + question) * WIDTH
            store(g_own, k, load(g_own, k) + g_logit * load(happening, question * WIDTH))


@parallel_kernel
def activate_gradients(
    attributes, shift, turns, of_frame, scales, opacities, colors, g_scales, g_opacities, g_colors,
    g_attributes, g_response,
):  # fmt: skip
    """Chain rule through `activate`, displacements and turns being constants.

    Args:
        g_attributes: added to, the last seven columns.
        g_response: [n, 24] or [n, 0] out.
    """
    frames, count, responds = shift.shape[0], shift.shape[1], g_response.shape[1] > 0
    width = ANSWERS * QUESTIONS
    for block in numba.prange((count + BLOCK - 1) // BLOCK):
        g_own, happening = np.empty(width * WIDTH, _f4), np.empty(QUESTIONS * WIDTH, _f4)
        for first in range(block * BLOCK, min(count, (block + 1) * BLOCK), WIDTH):
            valid = min(count - first, WIDTH)
            g_own[:] = _ZERO
            for f in range(frames):
                at, row = (of_frame[f] * count + first) * _STRIDE, f * count + first
                g_scale, scale = load_vectors(g_scales, row, valid), load_vectors(scales, row, valid)
                for axis in range(3):
                    logarithm = gather(attributes, at + _LOG_SCALES + axis, _STRIDE, valid)
                    g = g_scale[axis] * scale[axis]
                    g = choose(logarithm, _JUST_BELOW, choose(_JUST_ABOVE, logarithm, g, _ZERO), _ZERO)
                    _add(g_attributes, at + _LOG_SCALES + axis, _STRIDE, valid, g)
                if responds:
                    _happening(shift, turns, row, valid, happening)
                g, value = gather(g_opacities, row, 1, valid), gather(opacities, row, 1, valid)
                _answer_gradient(g, value, 0, at, valid, responds, happening, g_own, g_attributes)
                g_red, g_green, g_blue = load_vectors(g_colors, row, valid)
                red, green, blue = load_vectors(colors, row, valid)
                _answer_gradient(g_red, red, 1, at, valid, responds, happening, g_own, g_attributes)
                _answer_gradient(g_green, green, 2, at, valid, responds, happening, g_own, g_attributes)
                _answer_gradient(g_blue, blue, 3, at, valid, responds, happening, g_own, g_attributes)
            if responds:
                for k in range(width):
                    scatter(g_response, first * width + k, width, valid, load(g_own, k * WIDTH))
