"""Reader of pickles as plain data, which does nothing of what they say.

An unpickler is an interpreter: even one that only lets numpy's own constructors through crashed on 774 bytes that set
the flags of a dtype by hand. This reader knows the opcodes alone (`pickletools.genops`). Numbers, text, lists and
dictionaries become themselves, what the pickle would import becomes a `Name`, what it would call becomes a `Call`;
nothing is imported, called or allocated beyond the file's own bytes.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

MAX_OPCODES = 100_000
"""FLAME's files have a few hundred."""

MAX_NESTING = 100
"""Marks open at the same time."""


class PickleDataError(ValueError):
    """Error: the bytes are no pickle, are damaged, or use what no file of arrays needs; the text says which."""


@dataclass(frozen=True, eq=False)
class Name:
    """Something that the pickle would import."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(frozen=True, eq=False)
class Call:
    """Something that the pickle would call, and the states that it would set on what it got.

    Attributes:
        of: what would be called.
        arguments: with what.
        states: what it would hand to ``__setstate__``, in order.
    """

    of: Name
    arguments: tuple[Any, ...]
    states: list[Any] = field(default_factory=list)


def parse_pickle(data: bytes) -> Any:
    """The value that the pickle describes: plain values, lists, tuples, dictionaries, `Name` and `Call`.

    Text that Python 2 wrote as bytes is latin-1 here. Entries of dictionaries whose key is not text are left out.

    Raises:
        PickleDataError: see there.
    """
    machine = _Machine()
    try:
        for number, (opcode, argument, _) in enumerate(pickletools.genops(data)):
            if number > MAX_OPCODES:
                raise PickleDataError(f"it has more than {MAX_OPCODES:,} steps")
            machine.step(opcode.name, argument)
    except PickleDataError:
        raise
    except (ValueError, IndexError, KeyError, OverflowError, MemoryError):  # genops' own, a stack or memo that is empty
        raise PickleDataError("it is damaged, or no pickle at all") from None
    if len(machine.stack) != 1:
        raise PickleDataError("it is damaged: it leaves more or less than one value")
    return machine.stack[0]


class _Machine:
    """The pickle machine's stack, marks and memo."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        if opcode in _VALUES:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode]())
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in _REMARKS:
            raise PickleDataError(f"it uses {opcode}, which no file of arrays needs")

    def pop(self) -> Any:
        return self.stack.pop()

    def mark(self, _: Any) -> None:
        if len(self.marks) >= MAX_NESTING:
            raise PickleDataError("it is nested too deeply")
        self.marks.append(self.stack)
        self.stack = []

    def since_mark(self) -> list[Any]:
        values = self.stack
        self.stack = self.marks.pop()
        return values

    def tuple_(self, _: Any) -> None:
        values = tuple(self.since_mark())
        self.stack.append(values)

    def tuple_of(self, count: int) -> None:
        if len(self.stack) < count:
            raise PickleDataError("it is damaged: a value is missing")
        values = tuple(self.stack[-count:])
        self.stack[-count:] = [values]

    def list_(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append(values)

    def dict_(self, _: Any) -> None:
        values = self.since_mark()
        self.stack.append({})
        self.set_items(values)

    def append(self, _: Any) -> None:
        value = self.pop()
        self.top(list).append(value)

    def appends(self, _: Any) -> None:
        values = self.since_mark()
        self.top(list).extend(values)

    def set_item(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.set_items([key, value])

    def set_items(self, values: list[Any]) -> None:
        if len(values) % 2:
            raise PickleDataError("it is damaged: a key has no value")
        entries = self.top(dict)
        for key, value in zip(values[::2], values[1::2], strict=True):
            if isinstance(key, str):
                entries[key] = value

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise PickleDataError(f"it fills something that is no {kind.__name__}")
        return self.stack[-1]

    def global_(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(Name(module, name))

    def stack_global(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        if not isinstance(name, str) or not isinstance(module, str):
            raise PickleDataError("it imports something that has no name")
        self.stack.append(Name(module, name))

    def call(self, _: Any) -> None:
        arguments, of = self.pop(), self.pop()
        if not isinstance(of, Name) or not isinstance(arguments, tuple):
            raise PickleDataError("it calls something that it has made itself")
        self.stack.append(Call(of, arguments))

    def build(self, _: Any) -> None:
        state = self.pop()
        self.top(Call).states.append(state)

    def get(self, index: int) -> None:
        self.stack.append(self.memo[int(index)])

    def put(self, index: int) -> None:
        self.memo[int(index)] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def drop(self, _: Any) -> None:
        if self.stack:
            self.pop()
        else:
            self.since_mark()

    def drop_mark(self, _: Any) -> None:
        self.since_mark()

    def duplicate(self, _: Any) -> None:
        self.stack.append(self.stack[-1])


_REMARKS = ("PROTO", "FRAME", "STOP")
_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": list,  # members need not be hashable for us
}
_ACTIONS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "TUPLE": _Machine.tuple_,
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "LIST": _Machine.list_,
    "DICT": _Machine.dict_,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "ADDITEMS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": lambda machine, _: machine.set_items(machine.since_mark()),
    "GLOBAL": _Machine.global_,
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": _Machine.call,
    "NEWOBJ": _Machine.call,
    "BUILD": _Machine.build,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "POP": _Machine.drop,
    "POP_MARK": _Machine.drop_mark,
    "DUP": _Machine.duplicate,
}
