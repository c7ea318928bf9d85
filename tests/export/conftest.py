"""A small untrained avatar and an edit state of it in a few frames."""

from __future__ import annotations

import pytest
from synthetic_avatar import synthetic_avatar

from perse.attributes import Category
from perse.avatar import Avatar
from perse.export import Provenance, SigningIdentity, SplatScene, freeze, make_identity, mixed_code
from perse.synthesis.motion import load_motion


@pytest.fixture(scope="session")
def avatar(head_model, tiny_clips) -> Avatar:  # type: ignore[no-untyped-def]
    return synthetic_avatar(head_model, tiny_clips).eval()


@pytest.fixture(scope="session")
def hat(avatar: Avatar) -> dict[Category, dict[str, float]]:
    """The mix that wears the avatar's hat."""
    return {Category.HAT: {next(s.key for s in avatar.subjects if s.category is Category.HAT): 1.0}}


@pytest.fixture(scope="session")
def scene(avatar: Avatar, hat, head_model) -> SplatScene:  # type: ignore[no-untyped-def]
    return freeze(avatar, mixed_code(avatar, hat), load_motion(head_model).frame(slice(20, 60, 10)), fps=5.0)


@pytest.fixture(scope="session")
def provenance(avatar: Avatar, hat) -> Provenance:  # type: ignore[no-untyped-def]
    return Provenance.of(avatar, [hat], "2026-08-02T12:00:00+00:00")


@pytest.fixture(scope="session")
def identity() -> SigningIdentity:
    return make_identity()
