"""Size check of JSON from strangers, before anything is built from it, and again before it is validated.

Validation writes a sentence for every name that it does not know: 7 MB of them took 23 seconds, and every other
request waited. Nothing that a service of pictures is asked for needs so many names.
"""

from __future__ import annotations

import json
from typing import Any

MAX_MARKS = 100_000
"""Commas, colons and brackets of a message; a film of 300 frames with every expression has a quarter."""
MAX_ENTRIES = 256
"""Of any mapping in a request."""
MAX_NAMES = 5000
"""Of all mappings together; thirty-two frames with every expression of FLAME have 3,500."""
MAX_ITEMS = 300
"""Of any list; the frames of a motion."""


class JsonTooLarge(ValueError):
    """Error: more than any request has; the text is for the client."""


def checked_json(message: bytes | str) -> Any:
    """Value of a JSON text that is small enough to be validated.

    Raises:
        JsonTooLarge: too many values, entries or items.
        ValueError: no JSON (`json.JSONDecodeError`), or nested too deeply.
    """
    if _marks(message) > MAX_MARKS:
        raise JsonTooLarge(f"too many values; {MAX_MARKS} are allowed")
    try:
        value = json.loads(message)
    except RecursionError:
        raise JsonTooLarge("nested too deeply") from None
    waiting, names = [value], 0
    while waiting:
        one = waiting.pop()
        limit = MAX_ENTRIES if isinstance(one, dict) else MAX_ITEMS
        if isinstance(one, dict | list):
            if len(one) > limit:
                raise JsonTooLarge(f"has {len(one)} entries; {limit} are allowed")
            names += len(one) if isinstance(one, dict) else 0
            waiting += one.values() if isinstance(one, dict) else one
        if names > MAX_NAMES:
            raise JsonTooLarge(f"has more than {MAX_NAMES} names")
    return value


def _marks(message: bytes | str) -> int:
    """Those in strings count too; that is cheaper than finding out."""
    if isinstance(message, str):
        return sum(message.count(mark) for mark in ",:[{")
    return sum(message.count(mark) for mark in (b",", b":", b"[", b"{"))
