"""What every rendered manifest must satisfy: strict schemas, Pod Security ``restricted``, and references that resolve."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any

import jsonschema
import kubernetes_validate

from ams_local.workspace import ROOT

KUBERNETES_VERSION = "1.37"
CUSTOM_RESOURCES: dict[str, Any] = json.loads((ROOT / "deploy" / "k8s" / "schemas" / "crds.json").read_text(encoding="utf-8"))
BUILT_IN_GROUPS = {"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io"}
WORKLOADS = {"Deployment", "StatefulSet", "Job"}
MOUNTED_SECRETS = {
    "ams-kafka-cluster-ca-cert",
    "ams-postgres-ca",
    "kafka-ca",
    "kafka-client",
    "postgres-ca",
    "ams-oidc",
}  # certificates and keys of the operators, and those that the values of a test name

Object = dict[str, Any]


def closed(schema: Any) -> Any:
    """Return the schema of a custom resource with every object closed, as a strict API server does."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: closed(value) for key, value in schema.items()}
    if found.pop("x-kubernetes-int-or-string", False):
        return {"type": ["integer", "string"]}
    if found.get("nullable"):
        found["type"] = [found["type"], "null"]
    open_ended = found.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in found
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object" and not open_ended:
        found["additionalProperties"] = False
    return found


def schema_faults(manifest: Object) -> list[str]:
    """Return what a strict API server would refuse."""
    group = manifest["apiVersion"].rpartition("/")[0]
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    if group in BUILT_IN_GROUPS:
        try:
            kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)
        except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
            return [f"{name}: {error}"]
        return []
    schema = CUSTOM_RESOURCES.get(f"{manifest['apiVersion']}/{manifest['kind']}")
    if schema is None:
        return [f"{name}: unknown kind"]
    strict = closed(schema)
    strict["properties"] |= {"apiVersion": {}, "kind": {}, "metadata": {"type": "object"}}
    return [f"{name}: {error.json_path}: {error.message}" for error in jsonschema.Draft7Validator(strict).iter_errors(manifest)]


def pod_template(manifest: Object) -> Object:
    return manifest["spec"]["template"]


def workloads(manifests: Sequence[Object]) -> list[Object]:
    return [one for one in manifests if one["kind"] in WORKLOADS]


def _expansion_faults(name: str, container: Object) -> Iterator[str]:
    """Kubernetes expands only variables that are defined earlier in the list."""
    defined: set[str] = set()
    for variable in container.get("env", []):
        if not set(re.findall(r"\$\((\w+)\)", variable.get("value", ""))) <= defined:
            yield f"{name}: {variable['name']} expands a variable that is defined after it"
        defined.add(variable["name"])


def policy_faults(manifest: Object) -> Iterator[str]:
    """Yield what breaks the rules for pods: Pod Security ``restricted``, a read-only root, resources, probes, pinned images."""
    spec = pod_template(manifest)["spec"]
    name = f"{manifest['kind']}/{manifest['metadata']['name']}"
    security = spec.get("securityContext", {})
    if not (
        security.get("runAsNonRoot") and security.get("runAsUser") == 10001 and security.get("seccompProfile") == {"type": "RuntimeDefault"}
    ):
        yield f"{name}: runs as root or without seccomp"
    if spec.get("automountServiceAccountToken") is not False:
        yield f"{name}: mounts a token of the cluster"
    if spec.get("enableServiceLinks") is not False:
        yield f"{name}: gets variables of services, whose names begin with AMS_"
    if any(spec.get(field) for field in ("hostNetwork", "hostPID", "hostIPC")) or any("hostPath" in one for one in spec.get("volumes", [])):
        yield f"{name}: reaches its node"
    for container in spec["containers"]:
        yield from _expansion_faults(name, container)
        inside = container.get("securityContext", {})
        if (
            inside.get("allowPrivilegeEscalation") is not False
            or inside.get("capabilities") != {"drop": ["ALL"]}
            or not inside.get("readOnlyRootFilesystem")
        ):
            yield f"{name}: has privileges or a writable root"
        tag = container["image"].rpartition("/")[2].partition(":")[2]
        if tag in {"", "latest"}:
            yield f"{name}: an image without a version"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            yield f"{name}: no requests or no memory limit"
        if manifest["kind"] != "Job" and not all(container.get(probe) for probe in ("startupProbe", "livenessProbe", "readinessProbe")):
            yield f"{name}: a probe is missing"


def _sorted_text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def without_order(manifest: Object) -> Object:
    """Return a copy whose variables, volumes and mounts are sorted: kustomize appends merged entries, and their order has no meaning to a pod.

    The exception, a variable that expands another one, is a rule of ``policy_faults``.
    """
    copy = json.loads(json.dumps(manifest))
    if manifest["kind"] in WORKLOADS:
        spec = pod_template(copy)["spec"]
        spec["volumes"] = sorted(spec.get("volumes", []), key=_sorted_text)
        for container in spec["containers"]:
            container["env"] = sorted(container.get("env", []), key=_sorted_text)
            container["volumeMounts"] = sorted(container.get("volumeMounts", []), key=_sorted_text)
    return copy


class References:
    """Finds references without a target in the objects of one rendering.

    Args:
        manifests: All objects.
        secret_keys: The keys of the Secret that the operator of the platform creates.
    """

    def __init__(self, manifests: Sequence[Object], secret_keys: set[str]) -> None:
        self._manifests = manifests
        self._names = {(one["kind"], one["metadata"]["name"]) for one in manifests}
        self._secrets = {("ams", key) for key in secret_keys}
        self._secrets |= {(one["metadata"]["name"], "password") for one in manifests if one["kind"] == "KafkaUser"}
        for cluster in (one for one in manifests if one["kind"] == "Cluster"):
            self._secrets |= {(role["passwordSecret"]["name"], "password") for role in cluster["spec"]["managed"]["roles"]}

    def faults(self) -> list[str]:
        """Return a sentence for each reference without a target."""
        found = [fault for one in workloads(self._manifests) for fault in (*self._of_pod(one), *self._of_volumes(one))]
        return found + [fault for one in self._manifests for fault in self._of_selector(one)]

    def _of_pod(self, manifest: Object) -> Iterator[str]:
        name, spec = manifest["metadata"]["name"], pod_template(manifest)["spec"]
        if "serviceAccountName" in spec and ("ServiceAccount", spec["serviceAccountName"]) not in self._names:
            yield f"{name}: no such ServiceAccount"
        for container in spec["containers"]:
            for source in container.get("envFrom", []):
                if ("ConfigMap", source["configMapRef"]["name"]) not in self._names:
                    yield f"{name}: no ConfigMap {source['configMapRef']['name']}"
            for variable in container.get("env", []):
                reference = variable.get("valueFrom", {}).get("secretKeyRef")
                if reference and not reference.get("optional") and (reference["name"], reference["key"]) not in self._secrets:
                    yield f"{name}: no key {reference['key']} in Secret {reference['name']}"

    def _of_volumes(self, manifest: Object) -> Iterator[str]:
        name, spec = manifest["metadata"]["name"], pod_template(manifest)["spec"]
        volumes = {volume["name"] for volume in spec.get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in manifest["spec"].get("volumeClaimTemplates", [])}
        if any({mount["name"] for mount in container.get("volumeMounts", [])} != volumes for container in spec["containers"]):
            yield f"{name}: volumes and mounts differ"
        for volume in spec.get("volumes", []):
            if "secret" in volume and volume["secret"]["secretName"] not in MOUNTED_SECRETS:
                yield f"{name}: unknown Secret {volume['secret']['secretName']}"
            if "configMap" in volume and ("ConfigMap", volume["configMap"]["name"]) not in self._names:
                yield f"{name}: no ConfigMap {volume['configMap']['name']}"

    def _of_selector(self, manifest: Object) -> Iterator[str]:
        name, kind, spec = manifest["metadata"]["name"], manifest["kind"], manifest.get("spec", {})
        if kind in {"Service", "PodDisruptionBudget"}:
            wanted = spec["selector"].get("matchLabels", spec["selector"])
            if not any(wanted.items() <= pod_template(one)["metadata"]["labels"].items() for one in workloads(self._manifests)):
                yield f"{name}: selects no pod"
        if kind in {"HorizontalPodAutoscaler", "ScaledObject"}:
            target = spec["scaleTargetRef"]
            if (target["kind"], target["name"]) not in self._names:
                yield f"{name}: scales nothing"
