"""The cluster files are valid offline, locked with tokens, and claim what the stages claim."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray._common.utils import import_attr
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.config import AutoscalingConfig
from ray.serve.schema import DeploymentSchema, RayActorOptionsSchema, ServeApplicationSchema, ServeDeploySchema

from perse.recipes import recipe_named
from perse.recipes.resources import WorkerPool
from perse_ray.serving.http.app import READY_WITHIN_S
from perse_ray.serving.protection import Protection
from perse_ray.serving.ray_serve import proxy
from perse_ray.serving.ray_serve.arguments import ServeArguments
from perse_ray.serving.ray_serve.deployment import INGRESS
from perse_ray.serving.ray_serve.renderer import DRAIN_S, RENDERER
from perse_ray.studio.ray_serve import STUDIO, StudioArguments

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
RAY_VERSION = next(
    line.partition("==")[2].strip(" \\")
    for line in (ROOT / "requirements.lock").read_text().splitlines()
    if line.startswith("ray==")
)


def load(name: str) -> dict[str, Any]:
    content = yaml.safe_load((CLUSTER / name).read_text())
    assert isinstance(content, dict)
    return content


JOB = load("kuberay/base/build/rayjob.yaml")
SERVICE = load("kuberay/base/render/rayservice.yaml")
STANDING = load("kuberay/base/cluster/raycluster.yaml")
CLUSTERS = [JOB["spec"]["rayClusterSpec"], STANDING["spec"], SERVICE["spec"]["rayClusterConfig"]]
SERVE_CONFIGS = [load("serve.yaml"), yaml.safe_load(SERVICE["spec"]["serveConfigV2"])]


def deployments(config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {deployment["name"]: deployment for deployment in config["applications"][0]["deployments"]}


def cpus(config: dict[str, Any], deployment: str) -> float:
    return float(deployments(config)[deployment]["ray_actor_options"]["num_cpus"])


def misspelt(config: dict[str, Any]) -> list[str]:
    """Keys of a Serve config that Serve does not know."""
    unknown = set(config) - set(ServeDeploySchema.model_fields)
    for application in config["applications"]:
        unknown |= set(application) - set(ServeApplicationSchema.model_fields)
        for deployment in application["deployments"]:
            unknown |= set(deployment) - set(DeploymentSchema.model_fields)
            unknown |= set(deployment.get("autoscaling_config", {})) - set(AutoscalingConfig.model_fields)
            unknown |= set(deployment.get("ray_actor_options", {})) - set(RayActorOptionsSchema.model_fields)
    return sorted(unknown)


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
    assert (STANDING["apiVersion"], STANDING["kind"]) == ("ray.io/v1", "RayCluster")
    assert (SERVICE["apiVersion"], SERVICE["kind"]) == ("ray.io/v1", "RayService")
    for cluster in CLUSTERS:
        assert cluster["rayVersion"] == RAY_VERSION
        assert all(container(group)["image"].rpartition(":")[2] == RAY_VERSION for group in groups(cluster))


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "standing", "service"])
def test_every_cluster_asks_for_a_token_and_every_pod_is_restricted(cluster: dict[str, Any]) -> None:
    assert cluster["authOptions"] == {"mode": "token"}
    for group in groups(cluster):
        security = container(group)["securityContext"]
        assert security["runAsNonRoot"] and not security["allowPrivilegeEscalation"]
        names = {variable["name"] for variable in container(group)["env"]}
        assert not names & {"RAY_AUTH_TOKEN", "RAY_AUTH_MODE"}, "tokens come from the operator's secret"


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "standing", "service"])
def test_requests_are_limits_and_ray_is_told_the_same(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        resources = container(group)["resources"]
        assert resources["requests"] == resources["limits"]
        told = group["rayStartParams"]["num-cpus"]
        assert told == ("0" if group is cluster["headGroupSpec"] else resources["limits"]["cpu"])


@pytest.mark.parametrize("cluster", CLUSTERS, ids=["job", "standing", "service"])
def test_every_pod_sees_the_workspaces(cluster: dict[str, Any]) -> None:
    for group in groups(cluster):
        volumes = {volume["name"] for volume in group["template"]["spec"]["volumes"]}
        mounts = {mount["name"]: mount["mountPath"] for mount in container(group)["volumeMounts"]}
        assert mounts.pop("workspaces") == "/workspaces" and volumes == {"workspaces", *mounts}


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


@pytest.mark.parametrize("config", SERVE_CONFIGS, ids=["serve.yaml", "kuberay"])
def test_the_serve_configs_are_valid(config: dict[str, Any]) -> None:
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert misspelt(config) == []
    module, _, name = application.import_path.partition(":")
    assert hasattr(__import__(module, fromlist=[name]), name)
    arguments = ServeArguments.model_validate(application.args)
    assert arguments.authentication == "tokens" and not arguments.token_digests
    assert set(deployments(config)) == {INGRESS, RENDERER}
    assert cpus(config, RENDERER) == arguments.num_cpus, "a renderer draws with as many threads as it claims"
    scaling = deployments(config)[RENDERER]["autoscaling_config"]
    assert 1 <= scaling["min_replicas"] < scaling["max_replicas"]
    timeout_s, deadline_s = config["http_options"]["request_timeout_s"], Protection(tokens=None).media_s
    assert timeout_s > deadline_s, "our own answer to what takes too long comes before Serve's"


def test_the_studios_serve_config_is_valid() -> None:
    config = load("studio.yaml")
    (application,) = ServeDeploySchema.model_validate(config).applications
    assert misspelt(config) == []
    module, _, name = application.import_path.partition(":")
    assert hasattr(__import__(module, fromlist=[name]), name)
    arguments = StudioArguments.model_validate(application.args)
    assert arguments.authentication == "tokens" and not arguments.token_digests
    assert set(deployments(config)) == {STUDIO} and cpus(config, STUDIO) == arguments.num_cpus
    assert config["http_options"]["request_timeout_s"] > Protection(tokens=None).media_s


def test_a_typo_in_a_serve_config_is_noticed() -> None:
    """Serve's own schema passes over unknown keys of a deployment."""
    config = yaml.safe_load((CLUSTER / "serve.yaml").read_text())
    deployment = deployments(config)[RENDERER]
    deployment["autoscaling_config"]["max_replica"] = deployment["autoscaling_config"].pop("max_replicas")
    deployment["max_ongoing_request"] = 5
    ServeDeploySchema.model_validate(config)
    assert misspelt(config) == ["max_ongoing_request", "max_replica"]


def test_a_renderer_and_the_ingresses_fit_on_one_worker_and_all_renderers_on_all() -> None:
    (workers,) = SERVICE["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    config = SERVE_CONFIGS[1]
    renderer, ingress = cpus(config, RENDERER), cpus(config, INGRESS)
    limits = container(workers)["resources"]["limits"]
    ingresses = deployments(config)[INGRESS]["num_replicas"]
    assert renderer + ingresses * ingress <= float(limits["cpu"]) < 2 * renderer
    scaling = deployments(config)[RENDERER]["autoscaling_config"]
    assert (workers["minReplicas"], workers["maxReplicas"]) == (scaling["min_replicas"], scaling["max_replicas"])
    assert SERVICE["spec"]["rayClusterConfig"]["enableInTreeAutoscaling"]
    memory_gib = float(limits["memory"].removesuffix("Gi"))
    assert config["applications"][0]["args"]["memory_mib"] / 1024 <= 0.6 * memory_gib, "Ray and torch need the rest"


def test_the_service_asks_for_tokens_and_refuses_early() -> None:
    for group in groups(SERVICE["spec"]["rayClusterConfig"]):
        environment = {variable["name"]: variable["value"] for variable in container(group)["env"]}
        assert import_attr(environment[proxy.VARIABLE]) is proxy.middlewares
        mounts = {mount["mountPath"]: mount for mount in container(group)["volumeMounts"]}
        folder, _, file = environment["PERSE_TOKENS_FILE"].rpartition("/")
        assert file == "tokens" and mounts[folder]["readOnly"]
        (volume,) = [v for v in group["template"]["spec"]["volumes"] if v["name"] == mounts[folder]["name"]]
        assert volume["secret"] == {"secretName": "perse-tokens", "defaultMode": 0o440}
        assert group["template"]["spec"]["securityContext"]["fsGroup"] == 1000
        assert not any("TOKENS" in name and name != "PERSE_TOKENS_FILE" for name in environment)
    scaling = deployments(SERVE_CONFIGS[1])[RENDERER]["autoscaling_config"]
    shared = int(environment["PERSE_LANE_PICTURES"]) * scaling["max_replicas"]
    own = deployments(SERVE_CONFIGS[1])[INGRESS]["ray_actor_options"]["runtime_env"]["env_vars"]
    assert int(own["PERSE_LANE_PICTURES"]) == shared


def test_traffic_waits_for_the_first_picture_and_pods_for_the_last() -> None:
    (workers,) = SERVICE["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    probe = container(workers)["readinessProbe"]
    assert probe["httpGet"] == {"path": "/readyz", "port": SERVE_CONFIGS[1]["http_options"]["port"]}
    assert probe["timeoutSeconds"] > READY_WITHIN_S
    assert workers["template"]["spec"]["terminationGracePeriodSeconds"] > DRAIN_S


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
