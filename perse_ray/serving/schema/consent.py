"""Consent beside an avatar, for those who ask the service."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from perse.data.consent import FILE, consent_of
from perse.errors import InputError
from perse_ray.serving.schema.requests import ConsentInfo


def read_consent_info(folder: Path) -> ConsentInfo | None:
    """Record in an avatar's folder; None if there is none that can be read."""
    try:
        return ConsentInfo(**asdict(consent_of((folder / FILE).read_bytes())))
    except (OSError, InputError):
        return None
