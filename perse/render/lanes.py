"""Sixteen float32 numbers in one register, for numba kernels: explicit SIMD where the auto-vectoriser is a lottery.

A value of type ``Lanes`` is LLVM's ``<16 x float>``: one AVX-512 register, two AVX, four NEON. Inside ``njit`` code it
knows ``+ - * /`` (a float32 on either side is spread over all lanes) and the functions of this module. Nothing here
exists outside of compiled code. `perse.render.lane_memory` reads and writes them.
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
FLOAT = ir.FloatType()
VECTOR = ir.VectorType(FLOAT, WIDTH)
INT_VECTOR = ir.VectorType(ir.IntType(32), WIDTH)

# Multiply-adds may be fused. Nothing else is relaxed: results must not depend on what the compiler finds around them,
# and NaN must stay NaN.
FLAGS = ("contract",)


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, fe_type: LanesType) -> None:
        super().__init__(manager, fe_type, VECTOR)


def constant_vector(values: Sequence[float] | float) -> ir.Constant:
    listed = [values] * WIDTH if isinstance(values, (int, float)) else list(values)
    return ir.Constant(VECTOR, [float(np.float32(v)) for v in listed])


def _spread(builder: ir.IRBuilder, scalar: ir.Value) -> ir.Value:
    one = builder.insert_element(ir.Constant(VECTOR, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
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
    operator.add: _elementwise(2, lambda builder, a, b: builder.fadd(a, b, flags=FLAGS)),
    operator.sub: _elementwise(2, lambda builder, a, b: builder.fsub(a, b, flags=FLAGS)),
    operator.mul: _elementwise(2, lambda builder, a, b: builder.fmul(a, b, flags=FLAGS)),
    operator.truediv: _elementwise(2, lambda builder, a, b: builder.fdiv(a, b, flags=FLAGS)),
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
    whole = builder.fptosi(x, INT_VECTOR)
    rest = builder.fsub(x, builder.sitofp(whole, VECTOR), flags=FLAGS)
    value: ir.Value = constant_vector(_EXP2[0])
    for coefficient in _EXP2[1:]:
        value = builder.fadd(builder.fmul(value, rest, flags=FLAGS), constant_vector(coefficient), flags=FLAGS)
    shift = ir.Constant(INT_VECTOR, [23] * WIDTH)
    bits = builder.add(builder.bitcast(value, INT_VECTOR), builder.shl(whole, shift))
    return builder.bitcast(bits, VECTOR)


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
        return ir.Constant(INT_VECTOR, [value] * WIDTH)

    bits = builder.bitcast(x, INT_VECTOR)
    # Subtracting the bits of sqrt(1/2) makes the exponent field change at sqrt(1/2) instead of 1.
    offset = builder.and_(builder.sub(bits, fixed(0x3F3504F3)), fixed(-0x00800000))
    mantissa = builder.bitcast(builder.sub(bits, offset), VECTOR)
    exponent = builder.sitofp(builder.ashr(offset, fixed(23)), VECTOR)
    t = builder.fsub(mantissa, constant_vector(1.0), flags=FLAGS)
    value: ir.Value = constant_vector(_LOG2[0])
    for coefficient in _LOG2[1:]:
        value = builder.fadd(builder.fmul(value, t, flags=FLAGS), constant_vector(coefficient), flags=FLAGS)
    return builder.fadd(builder.fmul(value, t, flags=FLAGS), exponent, flags=FLAGS)


log2 = _elementwise(1, _emit_log2)
"""log2(x) for normal positive x, absolute error 1e-6. Garbage, but no trap, outside."""


def _llvm(name: str) -> Callable[..., Any]:
    def emit(builder: ir.IRBuilder, a: ir.Value) -> ir.Value:
        kind = ir.FunctionType(VECTOR, [VECTOR])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{WIDTH}f32"), [a])

    return _elementwise(1, emit)


square_root = _llvm("sqrt")
floor = _llvm("floor")
ceiling = _llvm("ceil")


def constant(values: Sequence[float]) -> Any:
    """An intrinsic without arguments that yields fixed lanes."""

    @intrinsic
    def fixed(typing):  # type: ignore[no-untyped-def]
        return LANES(), lambda context, builder, signature, args: constant_vector(values)

    return fixed


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
