"""The cluster files are valid offline, locked with tokens, and claim what the stages claim."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from perse.recipes import recipe_named
from perse.recipes.resources import WorkerPool
from perse_ray.serving.deployment import ServeArguments

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
RAY_VERSION = next(
    line.partition("==")[2].strip()
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line.startswith("ray==")
)


def load(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CLUSTER / name).read_text())
    assert isinstance(content, dict)
    return content


JOB = load("kuberay/rayjob-build.yaml")
SERVICE = load("kuberay/rayservice-render.yaml")
CLUSTERS = [JOB["spec"]["rayClusterSpec"], SERVICE["spec"]["rayClusterConfig"]]


def groups(cluster: dict[str, Any]) -> list[dict[str, Any]]:
    return [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]


def container(group: dict[str, Any]) -> dict[str, Any]:
    (only,) = group["template"]["spec"]["containers"]
    assert isinstance(only, dict)
    return only


def claimed(pools: list[WorkerPool]) -> tuple[float, float]:
    """CPUs and GPUs that the largest pools claim together."""
    return sum(p.workers[1] * p.cpus for p in pools), sum(p.workers[1] * p.gpus for p in pools)


def test_kinds_and_versions() -> None:
    assert (JOB["apiVersion"], JOB["kind"]) == ("ray.io/v1", "RayJob")
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    for cluster in CLUSTERS:
        assert cluster["rayVersion"] == RAY_VERSION
        assert all(container(group)["image"].rpartition(":")[2] == RAY_VERSION for group in groups(cluster))


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "service"])
def test_every_cluster_asks_for_a_token_and_every_pod_is_restricted(cluster: dict[str, Any]) -> None:
    assert cluster["authOptions"] == {"mode": "token"}
    for group in groups(cluster):
        security = container(group)["securityContext"]
        assert security["runAsNonRoot"] and not security["allowPrivilegeEscalation"]
        names = {variable["name"] for variable in container(group)["env"]}
        assert not names & {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}, "tokens come from the operator's secret"


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "service"])
def test_requests_are_limits_and_ray_is_told_the_same(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"]
        told = group["rayStartParams"]["num-cpus"]
        assert told == ("0" if group is cluster["headGroupSpec"] else resources["limits"]["cpu"])


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "service"])
def test_every_pod_sees_the_workspaces(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(group)["volumeMounts"]}
        assert mounts == {"workspaces": "/workspaces"} and volumes == {"workspaces"}


def test_the_jobs_workers_have_what_driver_and_stages_claim() -> None:
    spec = JOB["spec"]
    words = spec["entrypoint"].split()
    assert (ROOT / words[1]).is_file() and words[words.index("--workspace") + 1].startswith("/workspaces/")
    use = recipe_named(words[words.index("--recipe") + 1]).cluster
    cpus, gpus = claimed([use.edit, use.screen, use.animate, use.morph])
    cpus += use.train_workers * use.train.cpus
    gpus += use.train_workers * use.train.gpus
    ray_data_itself = 2
    (workers,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    limits = container(workers)["resources"]["limits"]
    assert float(limits["cpu"]) * workers["replicas"] == math.ceil(spec["entrypointNumCpus"] + cpus + ray_data_itself)
    assert float(limits.get("nvidia.com/gpu", 0)) * workers["replicas"] == math.ceil(gpus)


def test_a_retried_job_is_a_resumed_one() -> None:
    assert JOB["spec"]["backoffLimit"] >= 1 and JOB["spec"]["shutdownAfterJobFinishes"]


def test_the_serve_config_is_valid_and_its_workers_hold_its_replicas() -> None:
    config = yaml.safe_load(SERVICE["spec"]["serveConfigV2"])
    schema = ServeDeploySchema.model_validate(config)
    (application,) = schema.applications
    assert set(config) <= {"http_options", "applications", "proxy_location", "logging_config"}
    assert set(config["applications"][0]) <= {"name", "import_path", "route_prefix", "args", "deployments"}
    arguments = ServeArguments.model_validate(application.args)
    module, _, name = application.import_path.partition(":")
    assert hasattr(__import__(module, fromlist=[name]), name)
    (workers,) = SERVICE["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    cpus = float(container(workers)["resources"]["limits"]["cpu"]) * workers["replicas"]
    assert cpus == arguments.replicas * arguments.num_cpus


def test_the_file_for_ray_up_is_valid_and_locked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = load("ray-up.yaml")
    monkeypatch.setenv("HOME", str(tmp_path))
    validate_config(prepare_config(load("ray-up.yaml")))
    for commands in (config["head_start_ray_commands"], config["worker_start_ray_commands"]):
        (start,) = [line for line in commands if "ray start" in line]
        assert "RAY_AUTH_MODE=token" in start
    assert "--dashboard-host=127.0.0.1" in "".join(config["head_start_ray_commands"])
    assert "~/.ray/auth_token" in config["file_mounts"]


def test_a_typo_in_the_file_for_ray_up_is_noticed() -> None:
    """The schema does look: otherwise the test above would prove nothing."""
    config = load("ray-up.yaml")
    config["max_wokers"] = config.pop("max_workers")
    with pytest.raises(Exception, match="max_wokers"):
        validate_config(prepare_config(config))
