"""What KubeRay and Kubernetes allow in the resources of `cluster/kuberay`: a structural subset, written by hand.

Names and types are those of the custom resource definitions of KubeRay 1.6.0, against which the rendered files were
validated as a whole. `kubectl apply` refuses fields that these do not have; offline nothing else would notice a typo.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]

TEXT, FLAG, COUNT, NUMBER = ({"type": name} for name in ("string", "boolean", "integer", "number"))
ANYTHING: Schema = {}
TEXTS = {"type": "object", "additionalProperties": TEXT}
QUANTITIES = {"type": "object", "additionalProperties": {"type": ["string", "integer"]}}


def record(required: str = "", **fields: Schema) -> Schema:
    """An object of these fields and no others."""
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def each(schema: Schema) -> Schema:
    return {"type": "array", "items": schema}


def one_of(*values: str) -> Schema:
    return {"enum": list(values)}


SECURITY = record(
    allowPrivilegeEscalation=FLAG, runAsNonRoot=FLAG, runAsUser=COUNT, readOnlyRootFilesystem=FLAG,
    capabilities=record(add=each(TEXT), drop=each(TEXT)),
)  # fmt: skip
PROBE = record(
    httpGet=record("port", path=TEXT, port=COUNT, scheme=TEXT), initialDelaySeconds=COUNT, periodSeconds=COUNT,
    timeoutSeconds=COUNT, failureThreshold=COUNT, successThreshold=COUNT,
)  # fmt: skip
CONTAINER = record(
    "name", name=TEXT, image=TEXT, imagePullPolicy=one_of("Always", "IfNotPresent", "Never"), command=each(TEXT),
    args=each(TEXT), env=each(record("name", name=TEXT, value=TEXT, valueFrom=ANYTHING)),
    resources=record(requests=QUANTITIES, limits=QUANTITIES), securityContext=SECURITY, readinessProbe=PROBE,
    livenessProbe=PROBE, volumeMounts=each(record("name mountPath", name=TEXT, mountPath=TEXT, readOnly=FLAG)),
)  # fmt: skip
VOLUME = record(
    "name", name=TEXT, persistentVolumeClaim=record("claimName", claimName=TEXT, readOnly=FLAG),
    secret=record(secretName=TEXT, defaultMode=COUNT), configMap=record(name=TEXT, defaultMode=COUNT),
    emptyDir=record(medium=TEXT, sizeLimit={"type": ["string", "integer"]}),
)  # fmt: skip
TOLERATION = record(key=TEXT, operator=one_of("Exists", "Equal"), value=TEXT, effect=TEXT, tolerationSeconds=COUNT)
POD = record(
    "spec", metadata=ANYTHING,
    spec=record(
        "containers", containers=each(CONTAINER), volumes=each(VOLUME), nodeSelector=TEXTS,
        tolerations=each(TOLERATION), securityContext=record(fsGroup=COUNT, runAsNonRoot=FLAG, runAsUser=COUNT),
        serviceAccountName=TEXT, terminationGracePeriodSeconds=COUNT,
    ),
)  # fmt: skip
CLUSTER = record(
    "headGroupSpec", rayVersion=TEXT, suspend=FLAG, enableInTreeAutoscaling=FLAG,
    autoscalerOptions=record(
        idleTimeoutSeconds=COUNT, upscalingMode=TEXT, version=one_of("v1", "v2"), image=TEXT,
        resources=record(requests=QUANTITIES, limits=QUANTITIES), securityContext=SECURITY,
    ),
    authOptions=record(mode=one_of("disabled", "token"), secretName=TEXT, enableK8sTokenAuth=FLAG),
    headGroupSpec=record("template", rayStartParams=TEXTS, serviceType=TEXT, template=POD),
    workerGroupSpecs=each(
        record(
            "groupName template", groupName=TEXT, replicas=COUNT, minReplicas=COUNT, maxReplicas=COUNT,
            numOfHosts=COUNT, idleTimeoutSeconds=COUNT, rayStartParams=TEXTS, template=POD,
        )
    ),
)  # fmt: skip
SPECS: dict[str, Schema] = {
    "RayCluster": CLUSTER,
    "RayJob": record(
        entrypoint=TEXT, entrypointNumCpus=NUMBER, entrypointNumGpus=NUMBER, entrypointResources=TEXT,
        submissionMode=one_of("K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"), backoffLimit=COUNT,
        activeDeadlineSeconds=COUNT, shutdownAfterJobFinishes=FLAG, ttlSecondsAfterFinished=COUNT, suspend=FLAG,
        runtimeEnvYAML=TEXT, jobId=TEXT, rayClusterSpec=CLUSTER,
    ),
    "RayService": record(
        serveConfigV2=TEXT, rayClusterConfig=CLUSTER, rayClusterDeletionDelaySeconds=COUNT,
        excludeHeadPodFromServeSvc=FLAG, upgradeStrategy=ANYTHING,
    ),
}  # fmt: skip


def problems(resource: dict[str, Any]) -> list[str]:
    """What is wrong with a resource of KubeRay, each with its place; none if it is well."""
    meta = record("name", name={"type": "string", "pattern": "^[a-z]([-a-z0-9]*[a-z0-9])?$"}, namespace=TEXT)
    whole = record("apiVersion kind metadata spec", apiVersion=one_of("ray.io/v1"), kind=one_of(*SPECS), metadata=meta)
    whole["properties"]["spec"] = SPECS[resource["kind"]]
    found = Draft202012Validator(whole).iter_errors(resource)
    return [f"{'/'.join(map(str, one.absolute_path))}: {one.message}" for one in found]
