"""Bearer tokens. Only their hashes are kept in memory, and comparing takes the same time whatever is given."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from perse.errors import InputError

MIN_LENGTH = 16
"""Shorter tokens can be guessed. Ours have 43 characters."""
_TOKEN = re.compile(r"[\x21-\x7e]{16,512}")

VARIABLE, FILE_VARIABLE = "PERSE_TOKENS", "PERSE_TOKENS_FILE"


@dataclass(frozen=True)
class Tokens:
    """Set of the tokens that are accepted.

    Attributes:
        digests: SHA-256 of each, hexadecimal. Not salted: what is hashed is random, not a password.
    """

    digests: frozenset[str]

    def __post_init__(self) -> None:
        if any(not re.fullmatch("[0-9a-f]{64}", digest) for digest in self.digests):
            raise ValueError("a digest is 64 hexadecimal digits")

    @classmethod
    def of(cls, tokens: Iterable[str]) -> Tokens:
        """Set of these tokens.

        Raises:
            InputError: one is too short, too long, or not printable ASCII without spaces.
        """
        given = list(tokens)
        if any(not _TOKEN.fullmatch(token) for token in given):
            raise InputError(f"a token has {MIN_LENGTH} to 512 printable ASCII characters and no spaces")
        return cls(frozenset(_digest(token) for token in given))

    def owner(self, token: str) -> str | None:
        """Name, short, for whoever has this token; None for a stranger."""
        digest = _digest(token)
        # Every comparison is made: how long it takes says nothing about which one was near.
        matches = [known for known in sorted(self.digests) if hmac.compare_digest(known, digest)]
        return matches[0][:12] if matches else None

    def __or__(self, other: Tokens) -> Tokens:
        return Tokens(self.digests | other.digests)

    def __bool__(self) -> bool:
        return bool(self.digests)


def new_token() -> str:
    """A random token of 256 bits."""
    return secrets.token_urlsafe(32)


def read_tokens(path: Path) -> Tokens:
    """Tokens from a file, one a line; empty lines and lines that begin with # are passed over.

    Raises:
        InputError: it cannot be read, holds none, or one that is no token. No token is quoted.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"the file of tokens {path} cannot be read") from None
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not found:
        raise InputError(f"the file of tokens {path} holds none; write one a line")
    return Tokens.of(found)


def environment_tokens() -> Tokens:
    """Tokens from $PERSE_TOKENS (separated by commas or white space) and the file $PERSE_TOKENS_FILE; maybe none.

    Raises:
        InputError: what is there cannot be used.
    """
    tokens = Tokens.of(os.environ.get(VARIABLE, "").replace(",", " ").split())
    file = os.environ.get(FILE_VARIABLE)
    return tokens | read_tokens(Path(file)) if file else tokens


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()
