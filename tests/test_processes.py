"""What `make test` gives to which of its processes (`conftest.pytest_collection_modifyitems`)."""

from __future__ import annotations

import pytest


def test_a_file_stays_whole_and_all_that_needs_ray_is_together(request: pytest.FixtureRequest) -> None:
    groups: dict[str, set[str]] = {}
    for item in request.session.items:
        marker = item.get_closest_marker("xdist_group")
        assert marker is not None, item.nodeid
        groups.setdefault(str(item.path), set()).add(marker.args[0])
        if "ray_session" in getattr(item, "fixturenames", ()):
            assert marker.args[0] == "ray", item.nodeid
    assert all(len(found) == 1 for found in groups.values())
