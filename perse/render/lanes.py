"""Sixteen float32 numbers in one register, for numba kernels: explicit SIMD where the auto-vectoriser is a lottery.

A value of type ``Lanes`` is LLVM's ``<16 x float>``: one AVX-512 register, two AVX, four NEON. Inside ``njit`` code it
knows ``+ - * /`` (a float32 on either side is spread over all lanes) and the functions of this module. Nothing here
exists outside of compiled code.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 16


class LanesType(types.Type):
    """Numba's type of sixteen float32."""

    def __init__(self) -> None:
        super().__init__(name="Lanes(float32 x 16)")


LANES = LanesType()
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, WIDTH)
_INT_VECTOR = ir.VectorType(ir.IntType(32), WIDTH)

# Multiply-adds may be fused. Nothing else is relaxed: results must not depend on what the compiler finds around them,
# and NaN must stay NaN.
_FLAGS = ("contract",)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: LanesType) -> None:
        super().__init__(manager, fe_type, _VECTOR)


def _constant(values: Sequence[float] | float) -> ir.Constant:
    listed = [values] * WIDTH if isinstance(values, (int, float)) else list(values)
    return ir.Constant(_VECTOR, [float(np.float32(v)) for v in listed])


def _spread(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH))


def _as_vector(context: Any, builder: ir.IRBuilder, numba_type: types.Type, value: ir.Value) -> ir.Value:
    if isinstance(numba_type, LanesType):
        return value
    return _spread(builder, context.cast(builder, value, numba_type, types.float32))


def _is_operand(numba_type: types.Type) -> bool:
    return isinstance(numba_type, (LanesType, types.Float, types.Integer))


def _elementwise(arity: int, emit: Callable[..., ir.Value]) -> Callable[..., Any]:
    """An intrinsic that turns its operands into vectors and hands them to ``emit(builder, *vectors)``."""

    def typed(*operands: types.Type) -> Any:
        if not all(map(_is_operand, operands)):
            return None

        def lower(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> ir.Value:
            pairs = zip(signature.args, args, strict=True)
            return emit(builder, *(_as_vector(context, builder, t, v) for t, v in pairs))

        return LANES(*operands), lower

    # Numba reads the parameter names, so the arity must be spelled out.
    if arity == 1:
        return intrinsic(lambda typing, a: typed(a))
    if arity == 2:
        return intrinsic(lambda typing, a, b: typed(a, b))
    return intrinsic(lambda typing, a, b, c, d: typed(a, b, c, d))


_ARITHMETIC = {
    operator.add: _elementwise(2, lambda builder, a, b: builder.fadd(a, b, flags=_FLAGS)),
    operator.sub: _elementwise(2, lambda builder, a, b: builder.fsub(a, b, flags=_FLAGS)),
    operator.mul: _elementwise(2, lambda builder, a, b: builder.fmul(a, b, flags=_FLAGS)),
    operator.truediv: _elementwise(2, lambda builder, a, b: builder.fdiv(a, b, flags=_FLAGS)),
}


def _teach(symbol: Callable[..., Any], instruction: Callable[..., Any]) -> None:
    @overload(symbol, inline="always")
    def implementation(a, b):  # type: ignore[no-untyped-def]
        if (isinstance(a, LanesType) or isinstance(b, LanesType)) and _is_operand(a) and _is_operand(b):
            return lambda a, b: instruction(a, b)
        return None


for _symbol, _instruction in _ARITHMETIC.items():
    _teach(_symbol, _instruction)


def _emit_choose(builder: ir.IRBuilder, value: Any, limit: Any, above: Any, otherwise: Any) -> ir.Value:
    return builder.select(builder.fcmp_ordered(">", value, limit), above, otherwise)


def _emit_smaller(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered("<", a, b), a, b)


def _emit_larger(builder: ir.IRBuilder, a: ir.Value, b: ir.Value) -> ir.Value:
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _exp2_polynomial(degree: int = 4) -> list[float]:
    """2^x on (-1, 0] by interpolation at Chebyshev nodes, highest power first; relative error below 5e-6."""
    nodes = np.cos((2 * np.arange(64) + 1) * math.pi / 128) * 0.5 - 0.5
    # Weighted by 1 / 2^x, so that the error is even in relative terms.
    return [float(c) for c in np.polyfit(nodes, 2.0**nodes, degree, w=2.0**-nodes)]


_EXP2 = _exp2_polynomial()


def _emit_exp2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """2^x as (mantissa by polynomial) with the integer part added to the exponent bits."""
    whole = builder.fptosi(x, _INT_VECTOR)
    rest = builder.fsub(x, builder.sitofp(whole, _VECTOR), flags=_FLAGS)
    value: ir.Value = _constant(_EXP2[0])
    for coefficient in _EXP2[1:]:
        value = builder.fadd(builder.fmul(value, rest, flags=_FLAGS), _constant(coefficient), flags=_FLAGS)
    shift = ir.Constant(_INT_VECTOR, [23] * WIDTH)
    bits = builder.add(builder.bitcast(value, _INT_VECTOR), builder.shl(whole, shift))
    return builder.bitcast(bits, _VECTOR)


choose = _elementwise(4, _emit_choose)
"""choose(value, limit, above, otherwise): lane by lane, `above` where value > limit, else `otherwise`."""

smaller = _elementwise(2, _emit_smaller)
larger = _elementwise(2, _emit_larger)

spread = _elementwise(1, lambda builder, a: a)
"""spread(x): the same number in all lanes."""

exp2 = _elementwise(1, _emit_exp2)
"""exp2(x): 2^x for -126 < x <= 0, relative error 5e-6. Garbage, but no trap, outside: select it away."""


def _log2_polynomial(degree: int = 7) -> list[float]:
    """log2(1 + t) / t for 1 + t in [0.7, 1.42], highest power first; absolute error of the logarithm below 1e-6."""
    t = np.cos((2 * np.arange(64) + 1) * math.pi / 128) * 0.36 + 0.06
    return [float(c) for c in np.polyfit(t, np.log2(1 + t) / t, degree, w=t)]


_LOG2 = _log2_polynomial()


def _emit_log2(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """Split x into 2^k (1 + t) with 1 + t around 1, so that log2 x = k + log2(1 + t)."""

    def fixed(value: int) -> ir.Constant:
        return ir.Constant(_INT_VECTOR, [value] * WIDTH)

    bits = builder.bitcast(x, _INT_VECTOR)
    # Subtracting the bits of sqrt(1/2) makes the exponent field change at sqrt(1/2) instead of 1.
    offset = builder.and_(builder.sub(bits, fixed(0x3F3504F3)), fixed(-0x00800000))
    mantissa = builder.bitcast(builder.sub(bits, offset), _VECTOR)
    exponent = builder.sitofp(builder.ashr(offset, fixed(23)), _VECTOR)
    t = builder.fsub(mantissa, _constant(1.0), flags=_FLAGS)
    value: ir.Value = _constant(_LOG2[0])
    for coefficient in _LOG2[1:]:
        value = builder.fadd(builder.fmul(value, t, flags=_FLAGS), _constant(coefficient), flags=_FLAGS)
    return builder.fadd(builder.fmul(value, t, flags=_FLAGS), exponent, flags=_FLAGS)


log2 = _elementwise(1, _emit_log2)
"""log2(x) for normal positive x, absolute error 1e-6. Garbage, but no trap, outside."""


def _llvm(name: str) -> Callable[..., Any]:
    def emit(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f32"), [a])

    return _elementwise(1, emit)


square_root = _llvm("sqrt")
floor = _llvm("floor")
ceiling = _llvm("ceil")


def constant(values: Sequence[float]) -> Any:
    """An intrinsic without arguments that yields fixed lanes."""

    @intrinsic
    def fixed(typing):  # type: ignore[no-untyped-def]
        return LANES(), lambda context, builder, signature, args: _constant(values)

    return fixed


def _lane_pointer(
    context: Any, builder: ir.IRBuilder, array_type: Any, array: Any, start: ir.Value, vector: Any
) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [start]), vector.as_pointer())


def _is_flat(array_type: Any) -> bool:
    return isinstance(array_type, types.Array) and array_type.dtype == types.float32 and array_type.layout == "C"


@intrinsic
def load(typing, array, start):  # type: ignore[no-untyped-def]
    """load(array, start): sixteen consecutive numbers of a C-contiguous float32 array, counted in its flat order."""
    if not _is_flat(array) or not isinstance(start, types.Integer):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _lane_pointer(context, builder, signature.args[0], args[0], start, _VECTOR)
        return builder.load(pointer, align=4)

    return LANES(array, start), lower


@intrinsic
def store(typing, array, start, value):  # type: ignore[no-untyped-def]
    """store(array, start, lanes): the reverse of `load`."""
    if not _is_flat(array) or not isinstance(start, types.Integer) or not isinstance(value, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = context.cast(builder, args[1], signature.args[1], types.intp)
        pointer = _lane_pointer(context, builder, signature.args[0], args[0], start, _VECTOR)
        builder.store(args[2], pointer, align=4)
        return context.get_dummy_value()

    return types.none(array, start, value), lower


def _clamped_offsets(builder: ir.IRBuilder, start: ir.Value, stride: ir.Value, valid: ir.Value) -> list[ir.Value]:
    """start + stride · min(lane, valid - 1) for every lane."""
    last = builder.sub(valid, ir.Constant(valid.type, 1))
    offsets = []
    for lane in range(WIDTH):
        index = ir.Constant(valid.type, lane)
        index = builder.select(builder.icmp_signed("<", index, last), index, last)
        offsets.append(builder.add(start, builder.mul(index, stride)))
    return offsets


def _intp(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, *positions: int) -> list[ir.Value]:
    return [context.cast(builder, args[p], signature.args[p], types.intp) for p in positions]


@intrinsic
def gather(typing, array, start, stride, valid):  # type: ignore[no-untyped-def]
    """gather(array, start, stride, valid): array[start + stride · lane]; from lane `valid` on, the one before."""
    if not _is_flat(array):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        value = ir.Constant(_VECTOR, ir.Undefined)
        offsets = _clamped_offsets(builder, *_intp(context, builder, signature, args, 1, 2, 3))
        for lane, offset in enumerate(offsets):
            number = builder.load(builder.gep(data, [offset]))
            value = builder.insert_element(value, number, ir.Constant(ir.IntType(32), lane))
        return value

    return LANES(array, start, stride, valid), lower


@intrinsic
def scatter(typing, array, start, stride, valid, value):  # type: ignore[no-untyped-def]
    """scatter(array, start, stride, valid, lanes): the reverse of `gather`; lanes from `valid` on must repeat, too."""
    if not _is_flat(array) or not isinstance(value, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        offsets = _clamped_offsets(builder, *_intp(context, builder, signature, args, 1, 2, 3))
        for lane, offset in enumerate(offsets):
            number = builder.extract_element(args[4], ir.Constant(ir.IntType(32), lane))
            builder.store(number, builder.gep(data, [offset]))
        return context.get_dummy_value()

    return types.none(array, start, stride, valid, value), lower


@intrinsic
def store_columns(typing, array, start, a, b, c, d, e, f, g, h, i, j, k, l):  # type: ignore[no-untyped-def]
    """store_columns(array, start, *twelve): lane r of column c goes to array[start + 16 r + c]; the rest becomes 0."""
    columns = (a, b, c, d, e, f, g, h, i, j, k, l)
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in columns):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        rows = list(args[2:]) + [_constant(0.0)] * (WIDTH - len(columns))
        index_type = ir.VectorType(ir.IntType(32), WIDTH)
        # Transposition by four rounds of interleaving: the r-th vector is zipped with the (r + 8)-th.
        low = ir.Constant(index_type, [lane // 2 + WIDTH * (lane % 2) for lane in range(WIDTH)])
        high = ir.Constant(index_type, [WIDTH // 2 + lane // 2 + WIDTH * (lane % 2) for lane in range(WIDTH)])
        for _ in range(4):
            pairs = [(rows[r], rows[r + WIDTH // 2]) for r in range(WIDTH // 2)]
            rows = [builder.shuffle_vector(x, y, pick) for x, y in pairs for pick in (low, high)]
        for r, row in enumerate(rows):
            offset = builder.add(start, ir.Constant(start.type, WIDTH * r))
            pointer = _lane_pointer(context, builder, signature.args[0], args[0], offset, _VECTOR)
            builder.store(row, pointer, align=4)
        return context.get_dummy_value()

    return types.none(array, start, *columns), lower


@intrinsic
def store_packed(typing, array, start, low, high):  # type: ignore[no-untyped-def]
    """store_packed(array, start, low, high): sixteen int32, low + 65536 high, of numbers in [0, 32767]."""
    if not isinstance(array, types.Array) or array.dtype != types.int32 or array.layout != "C":
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        low, high = builder.fptosi(args[2], _INT_VECTOR), builder.fptosi(args[3], _INT_VECTOR)
        packed = builder.or_(low, builder.shl(high, ir.Constant(_INT_VECTOR, [16] * WIDTH)))
        pointer = _lane_pointer(context, builder, signature.args[0], args[0], start, _INT_VECTOR)
        builder.store(packed, pointer, align=4)
        return context.get_dummy_value()

    return types.none(array, start, low, high), lower


@intrinsic
def bits_above(typing, value, limit):  # type: ignore[no-untyped-def]
    """bits_above(value, limit): an integer whose bit k says whether value > limit in lane k."""
    if not isinstance(value, LanesType) or not isinstance(limit, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        bits = builder.bitcast(builder.fcmp_ordered(">", args[0], args[1]), ir.IntType(16))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(value, limit), lower


@intrinsic
def prefetch(typing, array, start):  # type: ignore[no-untyped-def]
    """prefetch(array, start): ask for the cache line of array[start] (flat order), which will be read soon."""
    if not _is_flat(array):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        pointer = builder.bitcast(builder.gep(data, [start]), ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [pointer.type, i32, i32, i32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # read, keep in all caches, data
        builder.call(function, [pointer, ir.Constant(i32, 0), ir.Constant(i32, 3), ir.Constant(i32, 1)])
        return context.get_dummy_value()

    return types.none(array, start), lower


def _emit_folded(builder: ir.IRBuilder, vectors: list[ir.Value]) -> ir.Value:
    """Lane k of the result is the sum over the lanes of vectors[k].

    Adding each vector up by itself takes 4 shuffles and 4 adds a vector. Here two vectors share every step: halves are
    exchanged and added, so that 2 vectors become 1, until one is left (a transposition that adds as it goes).
    """
    level = [*vectors, *([_constant(0.0)] * (WIDTH - len(vectors)))]
    half = WIDTH // 2
    index_type = ir.VectorType(ir.IntType(32), WIDTH)
    while half:
        lanes = np.arange(WIDTH)
        within = lanes % (2 * half)
        from_first = within < half
        low = np.where(from_first, lanes, lanes - half + WIDTH)
        high = np.where(from_first, lanes + half, lanes + WIDTH)
        pick_low = ir.Constant(index_type, [int(v) for v in low])
        pick_high = ir.Constant(index_type, [int(v) for v in high])
        count = len(level) // 2
        level = [
            builder.fadd(builder.shuffle_vector(a, b, pick_low), builder.shuffle_vector(a, b, pick_high), flags=_FLAGS)
            for a, b in zip(level[:count], level[count:], strict=True)
        ]
        half //= 2
    return level[0]


@intrinsic
def store_sums(typing, array, start, a, b, c, d, e, f, g, h, i, j):  # type: ignore[no-untyped-def]
    """store_sums(array, start, *ten): array[start + k] = the sum of the k-th's lanes; then two zeros."""
    ten = (a, b, c, d, e, f, g, h, i, j)
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in ten):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = context.cast(builder, args[1], signature.args[1], types.intp)
        # Folding pairs k with k + 8, then k + 4, + 2, + 1, so that sum k ends in lane k.
        sums = _emit_folded(builder, list(args[2:]))
        for first, count in ((0, 8), (8, 4)):
            vector = ir.VectorType(_FLOAT, count)
            lanes = [int(v) for v in range(first, first + count)]
            piece = builder.shuffle_vector(sums, sums, ir.Constant(ir.VectorType(ir.IntType(32), count), lanes))
            offset = builder.add(start, ir.Constant(start.type, first))
            pointer = _lane_pointer(context, builder, signature.args[0], args[0], offset, vector)
            builder.store(piece, pointer, align=4)
        return context.get_dummy_value()

    return types.none(array, start, *ten), lower


@intrinsic
def largest(typing, a):  # type: ignore[no-untyped-def]
    """largest(lanes): the largest of the sixteen, a float32."""
    if not isinstance(a, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value, width = args[0], WIDTH
        index_type = ir.VectorType(ir.IntType(32), WIDTH)
        while width > 1:
            width //= 2
            turned = builder.shuffle_vector(
                value, value, ir.Constant(index_type, [(k + width) % WIDTH for k in range(WIDTH)])
            )
            value = _emit_larger(builder, value, turned)
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float32(a), lower


@intrinsic
def lowest_set_bit(typing, bits):  # type: ignore[no-untyped-def]
    """lowest_set_bit(bits): position of the lowest 1 of an int64 that is not zero."""
    if bits != types.int64:
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(bits), lower


@intrinsic
def take_ticket(typing, counter):  # type: ignore[no-untyped-def]
    """take_ticket(counter): counter[0] before adding one to it atomically: deals work out to whoever is free."""
    if not isinstance(counter, types.Array) or counter.dtype != types.int64:
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        return builder.atomic_rmw("add", data, ir.Constant(ir.IntType(64), 1), "monotonic")

    return types.int64(counter), lower
