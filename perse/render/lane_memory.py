"""`Lanes` to and from arrays of float32: runs, strides, tables by column, and sums across the lanes.

Arrays are C-contiguous and addressed by their flat index. See `perse.render.lanes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from perse.render.lanes import FLAGS, INT_VECTOR, LANES, VECTOR, WIDTH, LanesType, constant_vector

_INT = ir.IntType(32)


def _is_flat(array_type: Any) -> bool:
    return isinstance(array_type, types.Array) and array_type.dtype == types.float32 and array_type.layout == "C"


def _intp(context: Any, builder: ir.IRBuilder, signature: Any, args: Any, *positions: int) -> list[ir.Value]:
    return [context.cast(builder, args[p], signature.args[p], types.intp) for p in positions]


def _pointer(
    context: Any, builder: ir.IRBuilder, signature: Any, args: Any, start: ir.Value, ahead: int = 0,
    vector: ir.Type = VECTOR,
) -> ir.Value:  # fmt: skip
    """Where `ahead` numbers after `start` of the array, the first argument, lie."""
    data = context.make_array(signature.args[0])(context, builder, args[0]).data
    place = builder.add(start, ir.Constant(start.type, ahead))
    return builder.bitcast(builder.gep(data, [place]), vector.as_pointer())


def _shuffled(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, picks: Sequence[int]) -> ir.Value:
    """Lanes of a (0 … 15) and of b (16 … 31)."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(picks)), list(picks)))


@intrinsic
def load(typing, array, start):  # type: ignore[no-untyped-def]
    """load(array, start): sixteen consecutive numbers."""
    if not _is_flat(array) or not isinstance(start, types.Integer):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        return builder.load(_pointer(context, builder, signature, args, start), align=4)

    return LANES(array, start), lower


@intrinsic
def store(typing, array, start, value):  # type: ignore[no-untyped-def]
    """store(array, start, lanes): the reverse of `load`."""
    if not _is_flat(array) or not isinstance(start, types.Integer) or not isinstance(value, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        builder.store(args[2], _pointer(context, builder, signature, args, start), align=4)
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


@intrinsic
def gather(typing, array, start, stride, valid):  # type: ignore[no-untyped-def]
    """gather(array, start, stride, valid): array[start + stride · lane]; from lane `valid` on, the one before."""
    if not _is_flat(array):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        value = ir.Constant(VECTOR, ir.Undefined)
        offsets = _clamped_offsets(builder, *_intp(context, builder, signature, args, 1, 2, 3))
        for lane, offset in enumerate(offsets):
            value = builder.insert_element(value, builder.load(builder.gep(data, [offset])), ir.Constant(_INT, lane))
        return value

    return LANES(array, start, stride, valid), lower


@intrinsic
def scatter(typing, array, start, stride, valid, value):  # type: ignore[no-untyped-def]
    """scatter(array, start, stride, valid, lanes): the reverse of `gather`; lanes from `valid` on are dropped."""
    if not _is_flat(array) or not isinstance(value, LanesType):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        offsets = _clamped_offsets(builder, *_intp(context, builder, signature, args, 1, 2, 3))
        # Last lane first: what lies beyond `valid` goes to the last valid place, and is overwritten there.
        for lane, offset in reversed(list(enumerate(offsets))):
            number = builder.extract_element(args[4], ir.Constant(_INT, lane))
            builder.store(number, builder.gep(data, [offset]))
        return context.get_dummy_value()

    return types.none(array, start, stride, valid, value), lower


def _load_records(size: int) -> Any:
    """load_…(array, start): sixteen records of ``size`` numbers that lie one after another, as ``size`` lanes."""

    @intrinsic
    def load_records(typing, array, start):  # type: ignore[no-untyped-def]
        if not _is_flat(array):
            return None

        def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
            (start,) = _intp(context, builder, signature, args, 1)
            pieces = [
                builder.load(_pointer(context, builder, signature, args, start, WIDTH * k), align=4)
                for k in range(size)
            ]  # fmt: skip
            return context.make_tuple(builder, signature.return_type, [column(builder, pieces, c) for c in range(size)])

        return types.UniTuple(LANES, size)(array, start), lower

    def column(builder: ir.IRBuilder, pieces: list[ir.Value], c: int) -> ir.Value:
        places = [size * lane + c for lane in range(WIDTH)]
        value = pieces[0]
        for k in range(1, size):
            # What earlier pieces hold has been put where it belongs; this one fills its own lanes.
            earlier = [lane if k > 1 else place % WIDTH for lane, place in enumerate(places)]
            picks = [WIDTH + p % WIDTH if p // WIDTH == k else e for p, e in zip(places, earlier, strict=True)]
            value = _shuffled(builder, value, pieces[k], picks)
        return value

    return load_records


load_triples = _load_records(3)
"""load_triples(array, start): x, y and z of sixteen vectors [·, 3]."""

load_quads = _load_records(4)
"""load_quads(array, start): the four numbers of sixteen rows [·, 4]."""


def _emit_store_records(
    context: Any, builder: ir.IRBuilder, signature: Any, args: Any, columns: list[ir.Value]
) -> ir.Value:
    """The reverse of `_load_records`."""
    size = len(columns)
    (start,) = _intp(context, builder, signature, args, 1)
    for k in range(size):
        places = [divmod(WIDTH * k + lane, size) for lane in range(WIDTH)]  # (record, column)
        value = columns[0]
        for c in range(1, size):
            earlier = [lane if c > 1 else record for lane, (record, _) in enumerate(places)]
            picks = [WIDTH + record if column == c else e for (record, column), e in zip(places, earlier, strict=True)]
            value = _shuffled(builder, value, columns[c], picks)
        builder.store(value, _pointer(context, builder, signature, args, start, WIDTH * k), align=4)
    return context.get_dummy_value()


@intrinsic
def store_triples(typing, array, start, x, y, z):  # type: ignore[no-untyped-def]
    """store_triples(array, start, x, y, z): the reverse of `load_triples`."""
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in (x, y, z)):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _emit_store_records(context, builder, signature, args, list(args[2:]))

    return types.none(array, start, x, y, z), lower


@intrinsic
def store_quads(typing, array, start, a, b, c, d):  # type: ignore[no-untyped-def]
    """store_quads(array, start, a, b, c, d): the reverse of `load_quads`."""
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in (a, b, c, d)):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _emit_store_records(context, builder, signature, args, list(args[2:]))

    return types.none(array, start, a, b, c, d), lower


def _transposed(builder: ir.IRBuilder, rows: list[ir.Value]) -> list[ir.Value]:
    """Sixteen vectors as columns, by four rounds of interleaving: the r-th is zipped with the (r + 8)-th."""
    half = WIDTH // 2
    low = [lane // 2 + WIDTH * (lane % 2) for lane in range(WIDTH)]
    high = [half + lane // 2 + WIDTH * (lane % 2) for lane in range(WIDTH)]
    for _ in range(4):
        pairs = [(rows[r], rows[r + half]) for r in range(half)]
        rows = [_shuffled(builder, x, y, picks) for x, y in pairs for picks in (low, high)]
    return rows


@intrinsic
def load_columns(typing, array, start):  # type: ignore[no-untyped-def]
    """load_columns(array, start): the sixteen columns of sixteen rows of sixteen numbers. Unused ones cost nothing."""
    if not _is_flat(array):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        rows = [
            builder.load(_pointer(context, builder, signature, args, start, WIDTH * r), align=4) for r in range(WIDTH)
        ]  # fmt: skip
        return context.make_tuple(builder, signature.return_type, _transposed(builder, rows))

    return types.UniTuple(LANES, WIDTH)(array, start), lower


@intrinsic
def store_columns(typing, array, start, a, b, c, d, e, f, g, h, i, j, k, l):  # type: ignore[no-untyped-def]
    """store_columns(array, start, *twelve): lane r of column c goes to array[start + 16 r + c]; the rest becomes 0."""
    columns = (a, b, c, d, e, f, g, h, i, j, k, l)
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in columns):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        rows = _transposed(builder, list(args[2:]) + [constant_vector(0.0)] * (WIDTH - len(columns)))
        for r, row in enumerate(rows):
            builder.store(row, _pointer(context, builder, signature, args, start, WIDTH * r), align=4)
        return context.get_dummy_value()

    return types.none(array, start, *columns), lower


@intrinsic
def store_packed(typing, array, start, low, high):  # type: ignore[no-untyped-def]
    """store_packed(array, start, low, high): sixteen int32, low + 65536 high, of numbers in [0, 32767]."""
    if not isinstance(array, types.Array) or array.dtype != types.int32 or array.layout != "C":
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        low, high = builder.fptosi(args[2], INT_VECTOR), builder.fptosi(args[3], INT_VECTOR)
        packed = builder.or_(low, builder.shl(high, ir.Constant(INT_VECTOR, [16] * WIDTH)))
        builder.store(packed, _pointer(context, builder, signature, args, start, vector=INT_VECTOR), align=4)
        return context.get_dummy_value()

    return types.none(array, start, low, high), lower


def _prefetch(to_write: int) -> Any:
    @intrinsic
    def ask(typing, array, start):  # type: ignore[no-untyped-def]
        if not _is_flat(array):
            return None

        def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
            (start,) = _intp(context, builder, signature, args, 1)
            pointer = _pointer(context, builder, signature, args, start, vector=ir.IntType(8))
            kind = ir.FunctionType(ir.VoidType(), [pointer.type, _INT, _INT, _INT])
            function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
            # keep in all caches, data
            builder.call(function, [pointer, *(ir.Constant(_INT, number) for number in (to_write, 3, 1))])
            return context.get_dummy_value()

        return types.none(array, start), lower

    return ask


prefetch = _prefetch(0)
"""prefetch(array, start): ask for the cache line of array[start], which will be read soon."""

prefetch_to_write = _prefetch(1)
"""prefetch_to_write(array, start): the same, to be written."""


def _emit_folded(builder: ir.IRBuilder, vectors: list[ir.Value]) -> ir.Value:
    """Lane k of the result is the sum over the lanes of vectors[k].

    Adding each vector up by itself takes 4 shuffles and 4 adds a vector. Here two vectors share every step: halves are
    exchanged and added, so that 2 vectors become 1, until one is left (a transposition that adds as it goes).
    """
    level = [*vectors, *([constant_vector(0.0)] * (WIDTH - len(vectors)))]
    half = WIDTH // 2
    while half:
        # Folding pairs k with k + 8, then k + 4, + 2, + 1, so that sum k ends in lane k.
        lanes = np.arange(WIDTH)
        from_first = lanes % (2 * half) < half
        low = np.where(from_first, lanes, lanes - half + WIDTH).tolist()
        high = np.where(from_first, lanes + half, lanes + WIDTH).tolist()
        count = len(level) // 2
        level = [
            builder.fadd(_shuffled(builder, a, b, low), _shuffled(builder, a, b, high), flags=FLAGS)
            for a, b in zip(level[:count], level[count:], strict=True)
        ]
        half //= 2
    return level[0]


@intrinsic
def store_sums(typing, array, start, a, b, c, d, e, f, g, h, i, j):  # type: ignore[no-untyped-def]
    """store_sums(array, start, *ten): array[start + k] = the sum of the k-th's lanes; then six zeros."""
    ten = (a, b, c, d, e, f, g, h, i, j)
    if not _is_flat(array) or not all(isinstance(v, LanesType) for v in ten):
        return None

    def lower(context, builder, signature, args):  # type: ignore[no-untyped-def]
        (start,) = _intp(context, builder, signature, args, 1)
        sums = _emit_folded(builder, list(args[2:]))
        builder.store(sums, _pointer(context, builder, signature, args, start), align=4)
        return context.get_dummy_value()

    return types.none(array, start, *ten), lower
