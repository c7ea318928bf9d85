"""Errors of requests, by what the answer is. Anything else of `perse.errors` is a 503.

`UnknownName` is a 422: the request names something that the avatar does not have, or that several things answer to.
"""

from __future__ import annotations

from perse.errors import InputError, PerseError, UnknownName

__all__ = ["DeadlineExceeded", "NoSuchAvatar", "Unavailable", "UnknownName"]


class NoSuchAvatar(InputError):
    """Error 404: the id is nobody's."""


class Unavailable(PerseError):
    """Error 503: nobody can do it now; ask again."""


class DeadlineExceeded(PerseError):
    """Error 504: the answer would come too late to be of use."""
