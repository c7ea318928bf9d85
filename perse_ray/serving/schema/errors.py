"""What can go wrong with a request, by what the answer is. Anything else of `perse.errors` is a 503."""

from __future__ import annotations

from perse.errors import InputError, PerseError


class NoSuchAvatar(InputError):
    """404: the id is nobody's."""


class UnknownName(InputError):
    """422: the request names something that the avatar does not have, or that several things answer to."""


class Unavailable(PerseError):
    """503: nobody can do it now; ask again."""


class DeadlineExceeded(PerseError):
    """504: the answer would come too late to be of use."""


def check_names(kind: str, asked: set[str], known: list[str]) -> None:
    """
    Raises:
        UnknownName: something asked for is not known; the message lists what is.
    """
    unknown = sorted(asked - set(known))
    if unknown:
        some = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        raise UnknownName(f"unknown {kind} {', '.join(unknown[:5])}; known are {some or 'none'}")
