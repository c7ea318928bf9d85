"""JSON that may come from anybody: what is read of it can be told, written down and sent on."""

from __future__ import annotations

import json
from typing import Any


def value_of_json(content: str | bytes) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is no JSON, is nested too deeply, or see `check_writable`.
    """
    try:
        value = json.loads(content)
        check_writable(value)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def check_writable(value: object) -> None:
    """
    Raises:
        ValueError: a text in it holds half a pair of surrogates: JSON can spell it (``\\ud800``), and no file, terminal
            or answer takes it.
        RecursionError: it is nested too deeply.
    """
    json.dumps(value, ensure_ascii=False).encode()
