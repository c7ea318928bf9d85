"""Consent to an avatar: who gave it, what for, when, and until when."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from datetime import date as Day
from pathlib import Path

from perse.data.strangers_json import value_of_json
from perse.data.workspace import Workspace
from perse.errors import InputError

FILE = "consent.json"
KEPT = (f"portrait/{FILE}", f"avatar/{FILE}")
"""Where a workspace has it: beside the portrait, and beside the avatar, with which it travels."""
EXAMPLE = '{"who": "Ada Lovelace", "purpose": "our film", "date": "2026-11-01", "expires": "2027-11-01"}'
LONGEST = 500
"""Characters of a field."""


@dataclass(frozen=True)
class Consent:
    """Record of a consent; kept beside the avatar, and shown by the service.

    Attributes:
        who: the person of the portrait, or who may speak for them.
        purpose: what the avatar may be used for.
        date: when it was given, ISO 8601.
        expires: the last day that it holds; empty if it has none.
    """

    who: str
    purpose: str
    date: str
    expires: str = ""

    def __post_init__(self) -> None:
        for name in ("who", "purpose"):
            if not 0 < len(getattr(self, name).strip()) <= LONGEST:
                raise InputError(f"a consent needs {name!r}, of {LONGEST} letters at most; for example {EXAMPLE}")
        given = _day(self.date, "date")
        if self.expires and _day(self.expires, "expires") < given:
            raise InputError(f"the consent expires on {self.expires}, before it was given on {self.date}")

    def has_expired(self, today: Day) -> bool:
        return bool(self.expires) and today > Day.fromisoformat(self.expires)


def read_consent(path: Path) -> Consent:
    """A consent from a JSON file.

    Raises:
        InputError: it cannot be read, or lacks something.
    """
    try:
        return consent_of(path.read_bytes())
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror})") from None


def consent_of(content: bytes) -> Consent:
    """A consent from the bytes of its file.

    Raises:
        InputError: it is none.
    """
    try:
        value = value_of_json(content)
        known = {field.name for field in fields(Consent)}
        if not isinstance(value, dict) or not set(value) <= known:
            raise ValueError("other fields")
        return Consent(**{name: str(text) for name, text in value.items()})
    except (ValueError, TypeError):
        raise InputError(f"this is no consent; expected something like {EXAMPLE}") from None


def save_consent(workspace: Workspace, consent: Consent) -> None:
    """Write a consent into both places."""
    for name in KEPT:
        workspace.write_json(name, asdict(consent))


def load_consent(workspace: Workspace) -> Consent | None:
    """Consent that was kept, if one was; where one copy is damaged, the other.

    Raises:
        InputError: what was kept is damaged.
    """
    broken = ""
    for name in KEPT:
        if workspace.has(name):
            try:
                return consent_of(workspace.read(name))
            except InputError:
                broken = name
    if broken:
        raise InputError(f"{workspace.location}/{broken} is damaged; give the consent again, with --consent {FILE}")
    return None


def _day(text: str, name: str) -> Day:
    try:
        return Day.fromisoformat(text)
    except ValueError:
        raise InputError(f"the consent's {name} is {text[:40]!r}, expected a day such as 2026-11-01") from None
