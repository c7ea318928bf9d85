"""Cache that is bounded in MiB and forgets what was used longest ago."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

MIB = 2**20

Value = TypeVar("Value")


class BoundedCache(Generic[Value]):
    """Cache of values by key, as many as fit. A value that is larger than the whole cache is made and not kept.

    Args:
        limit_mib: how much is kept.
        size_of: bytes of a value.

    Attributes:
        found, made: how often a value was there, and how often it had to be made.
    """

    def __init__(self, limit_mib: float, size_of: Callable[[Value], int]) -> None:
        self.found = self.made = 0
        self._limit, self._size_of = int(limit_mib * MIB), size_of
        self._values: OrderedDict[str, Value] = OrderedDict()
        self._bytes = 0

    def get(self, key: str, make: Callable[[], Value]) -> Value:
        """The value under a key, made if it is not there."""
        if key in self._values:
            self.found += 1
            self._values.move_to_end(key)
            return self._values[key]
        value = make()
        self.made += 1
        self._keep(key, value)
        return value

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._bytes = 0

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def size_mib(self) -> float:
        """Size of what is kept now, MiB."""
        return self._bytes / MIB

    def _keep(self, key: str, value: Value) -> None:
        size = self._size_of(value)
        if size > self._limit:
            return
        while self._bytes + size > self._limit:
            _, oldest = self._values.popitem(last=False)
            self._bytes -= self._size_of(oldest)
        self._values[key] = value
        self._bytes += size
