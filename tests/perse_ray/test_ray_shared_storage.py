"""What a cluster's machines must share is looked at on every one of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray

from perse.data.workspace import Workspace
from perse.errors import StageError
from perse_ray.runtime import shared_storage

NOWHERE = "e" * 56
"""Name of a node that is none."""


@pytest.mark.usefixtures("ray_session")
def test_nodes_of_one_address_are_all_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes on one machine share its address; the first one here answers to nobody."""
    workspace = Workspace.open(tmp_path / "w")
    shared_storage.check_seen_by_all(workspace)
    (here,) = ray.nodes()
    monkeypatch.setattr(ray, "nodes", lambda: [here | {"NodeID": NOWHERE}, here])
    with pytest.raises(StageError, match=f"node {here['NodeManagerAddress']} does not answer"):
        shared_storage.check_seen_by_all(workspace)
