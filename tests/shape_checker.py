"""What holds calls to the shapes in their signatures in tests: beartype, shown the hints of arrays and nothing else.

Everything else is mypy's: many a hint is a Protocol, or a name that is imported for type checkers alone, and cannot be
asked at run time.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Union, get_args, get_origin

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

_CONTAINERS = (tuple, list, dict, Sequence, Mapping)
_whole = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, whose arguments and result must have the shapes that it says."""
    function.__annotations__ = {name: only_arrays(hint) for name, hint in function.__annotations__.items()}
    held = _whole(function)
    if function.__name__ != "__init__":
        return held

    def of_record(self: Any, *values: Any, **named: Any) -> Any:
        """A record that refuses wrong shapes by itself says so in its own words."""
        return (function if hasattr(type(self), "__post_init__") else held)(self, *values, **named)

    return of_record


def unchecked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as it is for a user, who has no checker: for tests of what it refuses in its own words."""
    return inspect.unwrap(function)


def only_arrays(hint: Any) -> Any:
    """A hint without what is no array: that may be anything."""
    if hint is Ellipsis:
        return hint
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and issubclass(hint, AbstractArray):
        return hint
    origin, parts = get_origin(hint), tuple(only_arrays(part) for part in get_args(hint))
    known = [part for part in parts if part is not Any and part is not Ellipsis]
    if origin in (Union, types.UnionType):
        others = [part for part in get_args(hint) if part is not type(None) and only_arrays(part) is Any]
        return Any if others or not known else Union[(*known, type(None))]
    if origin in _CONTAINERS and known:
        return origin[parts]
    return Any
