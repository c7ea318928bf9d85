"""What `make test` gives to which of its two processes (`conftest.pytest_collection_modifyitems`)."""

from __future__ import annotations

import pytest


def test_a_file_stays_whole_and_all_that_needs_ray_is_together(request: pytest.FixtureRequest) -> None:
    marked: dict[str, set[bool]] = {}
    for item in request.session.items:
        on_ray = item.get_closest_marker("ray") is not None
        marked.setdefault(str(item.path), set()).add(on_ray)
        assert on_ray or "ray_session" not in getattr(item, "fixturenames", ()), item.nodeid
    assert all(len(found) == 1 for found in marked.values())
