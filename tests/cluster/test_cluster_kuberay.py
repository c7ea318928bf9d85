"""KubeRay knows every field of its resources here: it refuses what it does not know, and only when it is applied."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from kuberay_schema import problems

BASE = Path(__file__).parents[2] / "cluster" / "kuberay" / "base"
FILES = ("build/rayjob.yaml", "cluster/raycluster.yaml", "render/rayservice.yaml")


def load(name: str) -> dict[str, Any]:
    content = yaml.safe_load((BASE / name).read_text())
    assert isinstance(content, dict)
    return content


@pytest.mark.parametrize("name", FILES)
def test_kuberay_knows_every_field(name: str) -> None:
    assert problems(load(name)) == []


def test_a_typo_is_noticed() -> None:
    wrong = load(FILES[0])
    cluster = wrong["spec"]["rayClusterSpec"]
    cluster["workerGroupSpecs"][0]["maxReplica"] = cluster["workerGroupSpecs"][0].pop("maxReplicas")
    cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] = 0
    cluster["headGroupSpec"]["template"]["spec"]["containers"][0]["securityContext"]["runAsNonroot"] = True
    wrong["spec"]["backoffLimit"] = "2"
    found = problems(wrong)
    assert len(found) == 5, "head and worker share a security context"
    for word in ("maxReplica", "num-cpus: 0 is not of type 'string'", "runAsNonroot", "backoffLimit"):
        assert any(word in one for one in found), word
