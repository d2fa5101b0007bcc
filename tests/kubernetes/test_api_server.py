"""The chart and the overlays against a real API server: strict validation, admission, Pod Security and access rights.

Runs where Go and its module proxy are present, because the server is built from source. ``test_manifests.py`` checks the schemas without them.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.kubernetes.api_server import NAMESPACE, ApiServer, SourcesUnavailableError, as_pod, binaries, go, run_api_server
from tests.kubernetes.manifests import Object, workloads
from tests.kubernetes.test_manifests import VARIANTS, rendered

from ams_local.kubernetes import KUSTOMIZE, build, identity, overlays

COMPILER = go()
pytestmark = [
    pytest.mark.xdist_group("kubernetes"),
    pytest.mark.timeout(3_600),  # the first test of a machine waits for the build
    pytest.mark.skipif(COMPILER is None, reason="the API server is built by Go, which is not installed here"),
]
OPERATOR = "operator"
EVERYBODY = {
    "selfsubjectaccessreviews.authorization.k8s.io",
    "selfsubjectrulesreviews.authorization.k8s.io",
    "selfsubjectreviews.authentication.k8s.io",
    "clustertrustbundles.certificates.k8s.io",
}  # what Kubernetes lets each client ask about itself, and public certificates


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    assert COMPILER is not None
    try:
        programs = binaries(COMPILER)
    except SourcesUnavailableError as error:
        pytest.skip(str(error))
    with run_api_server(tmp_path_factory.mktemp("api-server"), programs) as server:
        accounts = [one for one in rendered("everything") if one["kind"] == "ServiceAccount"]
        assert server.apply(accounts) == ""  # admission of pods asks for them
        yield server


@pytest.mark.parametrize("overlay", [path.name for path in overlays()])
def test_an_overlay_is_applied_twice(api: ApiServer, overlay: str) -> None:
    manifests = build(KUSTOMIZE / "overlays" / overlay)

    assert api.apply(manifests, dry=True) == ""
    assert api.apply(manifests) == ""
    assert api.apply(manifests) == ""
    assert (
        api.run(
            "delete", "-n", NAMESPACE, "--wait=false", "-f", "-", objects=[m for m in manifests if m["kind"] != "ServiceAccount"]
        ).returncode
        == 0
    )


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_server_takes_every_object_and_every_pod_of_the_chart(api: ApiServer, variant: str) -> None:
    manifests = list(rendered(variant))

    assert api.apply(manifests + [as_pod(one) for one in workloads(manifests)], dry=True) == ""


def changed(variant: str, name: tuple[str, str], change: Callable[[Any], object]) -> Object:
    """Return a copy of an object, named by kind and name, after a change."""
    copy = json.loads(json.dumps(next(one for one in rendered(variant) if identity(one)[1:] == name)))
    change(copy)
    return copy


def container(workload: Any) -> Any:
    return workload["spec"]["template"]["spec"]["containers"][0]


INTAKE = ("Deployment", "ams-intake")
BROKEN: dict[str, tuple[tuple[str, str], Callable[[Any], object], str]] = {
    "unknown field": (INTAKE, lambda one: one["spec"].update(replica=2), ".spec.replica: field not declared in schema"),
    "misspelt probe": (INTAKE, lambda one: container(one).update(readynessProbe={}), "readynessProbe: field not declared in schema"),
    "text for a number": (INTAKE, lambda one: one["spec"].update(replicas="two"), "expected numeric"),
    "negative replicas": (INTAKE, lambda one: one["spec"].update(replicas=-1), "must be greater than or equal to 0"),
    "selector": (INTAKE, lambda one: one["spec"]["selector"]["matchLabels"].update(app="x"), "does not match template `labels`"),
    "no image": (INTAKE, lambda one: container(one).pop("image"), "image: Required value"),
    "quantity": (INTAKE, lambda one: container(one)["resources"]["limits"].update(memory="lots"), "quantit"),
    "request above limit": (
        INTAKE,
        lambda one: container(one)["resources"]["requests"].update(memory="64Gi"),
        "must be less than or equal to memory limit",
    ),
    "probe without a way": (INTAKE, lambda one: container(one).update(livenessProbe={"periodSeconds": 5}), "must specify a handler type"),
    "mount without volume": (INTAKE, lambda one: container(one)["volumeMounts"].append({"name": "x", "mountPath": "/x"}), "Not found"),
    "two containers of one name": (INTAKE, lambda one: one["spec"]["template"]["spec"]["containers"].append(container(one)), "uplicate"),
    "capital letters": (INTAKE, lambda one: one["metadata"].update(name="AMS-intake"), "RFC 1123"),
    "port": (("Service", "ams-intake"), lambda one: one["spec"]["ports"][0].update(port=70_000), "must be between 1 and 65535"),
    "job that restarts for ever": (
        ("Job", "ams-migrate-traces-0-1-0"),
        lambda one: one["spec"]["template"]["spec"].update(restartPolicy="Always"),
        "restartPolicy",
    ),
    "disruption budget with both": (
        ("PodDisruptionBudget", "ams-intake"),
        lambda one: one["spec"].update(minAvailable=1, maxUnavailable=1),
        "cannot be both set",
    ),
    "scaling to less than the minimum": (
        ("HorizontalPodAutoscaler", "ams-intake"),
        lambda one: one["spec"].update(minReplicas=9, maxReplicas=2),
        "must be greater than or equal to",
    ),
    "network": (
        ("NetworkPolicy", "ams-to-kafka"),
        lambda one: one["spec"]["egress"][0].update(to=[{"ipBlock": {"cidr": "10.0.0.0/99"}}]),
        "cidr",
    ),
    "custom resource, unknown field": (
        ("ScaledObject", "ams-projector"),
        lambda one: one["spec"].update(maxReplicas=3),
        ".spec.maxReplicas: field not declared in schema",
    ),
    "custom resource, text for a number": (("Cluster", "ams-postgres"), lambda one: one["spec"].update(instances="three"), "instances"),
    "custom resource, missing field": (("KafkaNodePool", "ams-kafka"), lambda one: one["spec"].pop("roles"), "Required value"),
    "unknown kind": (INTAKE, lambda one: one.update(kind="Deploymint"), "no matches for kind"),
    "removed version": (INTAKE, lambda one: one.update(apiVersion="apps/v1beta1"), "no matches for kind"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_manifest_is_refused_with_its_reason(api: ApiServer, case: str) -> None:
    name, change, reason = BROKEN[case]

    assert reason in api.apply([changed("everything", name, change)], dry=True)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("runAsNonRoot", lambda spec: spec["securityContext"].update(runAsNonRoot=False)),
        ("runAsUser=0", lambda spec: spec["securityContext"].update(runAsUser=0)),
        ("seccompProfile", lambda spec: spec["securityContext"].pop("seccompProfile")),
        ("host namespaces", lambda spec: spec.update(hostNetwork=True)),
        ("hostPath", lambda spec: spec["volumes"].append({"name": "root", "hostPath": {"path": "/"}})),
        ("privileged", lambda spec: spec["containers"][0]["securityContext"].update(privileged=True, allowPrivilegeEscalation=True)),
        ("unrestricted capabilities", lambda spec: spec["containers"][0]["securityContext"].update(capabilities={"add": ["NET_ADMIN"]})),
    ],
)
def test_pod_security_refuses_a_pod_with_more_rights(api: ApiServer, case: str, change: Callable[[Any], object]) -> None:
    pod = as_pod(changed("default", INTAKE, lambda _: None))
    change(pod["spec"])

    refused = api.apply([pod], dry=True)

    assert 'violates PodSecurity "restricted' in refused
    assert case in refused


def test_a_selector_cannot_be_changed_later(api: ApiServer) -> None:
    assert api.apply([changed("default", INTAKE, lambda _: None)]) == ""

    def rename(one: Any) -> None:
        one["spec"]["selector"]["matchLabels"]["part"] = one["spec"]["template"]["metadata"]["labels"]["part"] = "x"

    assert "field is immutable" in api.apply([changed("default", INTAKE, rename)], dry=True)


def binding(role: str) -> Object:
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": role.replace(":", "-")},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": OPERATOR}],
    }


def test_the_rights_of_one_namespace_are_enough_for_the_base_and_open_no_other(api: ApiServer) -> None:
    # what the role "admin" sums up, which a controller does and there is none here
    assert api.apply([binding(f"system:aggregate-to-{role}") for role in ("view", "edit", "admin")]) == ""
    other = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "other"}}
    assert api.apply([other], namespace="") == ""

    assert api.apply(list(rendered("default")), dry=True, user=OPERATOR) == ""
    assert "forbidden" in api.apply(list(rendered("default")), namespace="other", dry=True, user=OPERATOR)
    assert "forbidden" in api.apply(list(rendered("default")), dry=True, user="nobody")


@pytest.mark.parametrize("account", sorted(one["metadata"]["name"] for one in rendered("everything") if one["kind"] == "ServiceAccount"))
def test_a_service_account_has_no_rights_in_the_cluster(api: ApiServer, account: str) -> None:
    answer = api.run("auth", "can-i", "--list", "--no-headers", "-n", NAMESPACE, f"--as=system:serviceaccount:{NAMESPACE}:{account}")

    resources = {line.split()[0] for line in answer.stdout.splitlines() if not line.startswith((" ", "["))}
    assert resources == EVERYBODY
