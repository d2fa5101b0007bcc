"""The chart, the kustomize base, its components and its overlays: without a cluster, by Helm and kubectl themselves."""

import json
import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from prometheus_client.metrics import Gauge, MetricWrapperBase
from tests.kubernetes.manifests import CUSTOM_RESOURCES, Object, References, closed, policy_faults, schema_faults, without_order, workloads
from tests.kubernetes.variants import SECRET_KEYS, SETTINGS, VARIANTS, alert_rules, environment, rendered, settings_of

from ams_identity.oidc_settings import parse_issuers
from ams_kit.bus.__main__ import TopicSettings
from ams_kit.settings import SHARED_NAMES
from ams_kit.telemetry import metrics
from ams_local.dashboards import DASHBOARDS, dashboard, expressions
from ams_local.kubernetes import CHART, KUSTOMIZE, build, identity, overlays, render, run_tool, stale
from ams_local.servers.base import ServerError
from ams_local.workspace import ROOT

pytestmark = pytest.mark.xdist_group("kubernetes")

NOT_ON_A_DASHBOARD = {
    "ams_consumer_events",
    "ams_project_apart",
    "ams_task_hints_lost",
    "ams_sequence_numbers_unproven",
    "ams_retention_deleted",
}  # what a developer looks for in /metrics after an alert


def by_identity(manifests: Sequence[Object]) -> dict[tuple[str, str, str], Object]:
    return {identity(one): without_order(one) for one in manifests}


def test_the_committed_base_components_and_overlays_follow_from_the_chart() -> None:
    assert stale() == []


@pytest.mark.parametrize("overlay", [path.name for path in overlays()])
def test_kustomize_and_helm_give_the_same_objects(overlay: str) -> None:
    built = build(KUSTOMIZE / "overlays" / overlay)

    assert by_identity(built) == by_identity(rendered(overlay))
    assert [fault for one in workloads(built) for fault in policy_faults(one)] == []


def test_helm_finds_no_fault_in_the_chart() -> None:
    assert "0 chart(s) failed" in run_tool("helm", "lint", "--strict", str(CHART))


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_strict_api_server_would_take_every_object(variant: str) -> None:
    assert [fault for manifest in rendered(variant) for fault in schema_faults(manifest)] == []


@pytest.mark.parametrize("variant", VARIANTS)
def test_pods_are_restricted_and_every_reference_resolves(variant: str) -> None:
    manifests = rendered(variant)

    assert [fault for one in workloads(manifests) for fault in policy_faults(one)] == []
    assert References(manifests, SECRET_KEYS).faults() == []
    assert len(by_identity(manifests)) == len(manifests)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_setting_of_a_process_is_one_that_it_reads_and_none_is_missing(variant: str) -> None:
    manifests = rendered(variant)
    found = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one for one in manifests if one["kind"] in {"Deployment", "StatefulSet"}
    }

    for component in SETTINGS:
        names = {name for name in environment(manifests, found[component]) if name.startswith("AMS_")}
        fields = {f"AMS_{field.name.upper()}": field.required for field in msgspec.structs.fields(settings_of(component))}
        assert names <= set(fields) | SHARED_NAMES, component
        assert {name for name, required in fields.items() if required} <= names, component
    [topics] = [one for one in manifests if one["kind"] == "Job" and one["metadata"]["name"].startswith("ams-topics")]
    fields = {f"AMS_{field.name.upper()}" for field in msgspec.structs.fields(TopicSettings)}
    assert {name for name in environment(manifests, topics) if name.startswith("AMS_")} <= fields


def test_providers_and_their_secrets_reach_identity() -> None:
    manifests = rendered("providers")
    pod = next(one for one in workloads(manifests) if one["metadata"]["name"] == "ams-identity")
    values = environment(manifests, pod)

    [issuer] = parse_issuers(str(values["AMS_OIDC_ISSUERS"]), {"/etc/ams/oidc/acme": "secret"}.__getitem__)
    assert (issuer.client_secret, values["AMS_PASSWORD_LOGIN"]) == ("secret", "off")
    assert "/etc/ams/oidc" in json.dumps(pod)
    policies = {one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"}
    assert policies["ams-to-oidc"]["egress"] == [{"ports": [{"port": 443}]}]
    assert "ams-to-oidc" not in json.dumps(rendered("default"))


@pytest.mark.parametrize("variant", ["default", "external", "small", "production"])
def test_network_policies_open_exactly_the_connections_of_the_settings(variant: str) -> None:
    manifests = rendered(variant)
    policies = {one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"}
    servers = {"kafka": "AMS_KAFKA_BOOTSTRAP", "postgres": "AMS_DATABASE_URL", "redis": "AMS_REDIS_URL", "identity": "AMS_IDENTITY_URL"}

    assert policies["ams-default-deny"]["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policies["ams-default-deny"]
    assert "ingress" not in policies["ams-default-deny"]
    for server, setting in servers.items():
        users = {
            one["metadata"]["labels"]["app.kubernetes.io/component"]
            for one in workloads(manifests)
            if one["metadata"]["labels"]["app.kubernetes.io/component"] != "valkey" and setting in environment(manifests, one)
        }
        [expression] = policies[f"ams-to-{server}"]["podSelector"]["matchExpressions"]
        assert set(expression["values"]) == users, server
        port = policies[f"ams-to-{server}"]["egress"][0]["ports"][0]["port"]
        addresses = [
            str(environment(manifests, one).get(setting)) for one in workloads(manifests) if environment(manifests, one).get(setting)
        ]
        assert all(re.search(rf":{port}\b", address) for address in addresses), server
    for component in SETTINGS:
        assert any("podSelector" in peer for rule in policies[f"ams-{component}"]["ingress"] for peer in rule["from"])


@pytest.mark.parametrize(
    "values",
    [
        "unknown=1", "publicUrl=ams.example.com", "publicUrl=https://ams.example.com/path", "image.tag=latest", "image.pullPolicy=Sometimes",
        "retentionDays=0", "registration=maybe", "adminEmail=somebody", "retentionDays=4000", "kafka.bootstrap=kafka", "kafka.sasl.mechanism=GSSAPI", "postgres.sslMode=maybe", "postgres.port=0",
        "redis.port=70000", "projector.replicas=13", "projector.keda.maxReplicas=13", "intake.replicas=0", "allowedHosts={http://a}", "corsOrigins={app.example.com}", "secret.name=",
        "logLevel=LOUD", "passwordLogin=maybe", "oidc.registration=all", "oidc.issuers[0].id=x", "redis.users=some", "smtp.host=http://mail", "smtp.security=ssl", "smtp.port=0", "intake.autoscaling.enabled=perhaps", "secret.externalSecrets.storeKind=Vault",
        "telemetry.endpoint=collector:4317", "telemetry.endpoint=http://user:secret@collector:4318", "telemetry.sampleRatio=2", "alerts.webhookNetworks={10.0.0.7}", "kafka.sasl.oauthTokenUrl=id.example.com",
    ],
)  # fmt: skip
def test_wrong_values_are_refused(values: str) -> None:
    with pytest.raises(ServerError, match="values don't meet the specifications"):
        render("--set", values)


def test_trace_query_reaches_the_internet_and_no_internal_network_for_webhooks() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in rendered("default") if one["kind"] == "NetworkPolicy"}

    assert policies["ams-to-webhooks"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "trace-query"
    [rule] = policies["ams-to-webhooks"]["egress"]
    assert rule["ports"] == [{"port": 443}]
    assert {"10.0.0.0/8", "169.254.0.0/16", "192.168.0.0/16"} <= set(rule["to"][0]["ipBlock"]["except"])


def test_a_mail_server_without_a_sender_is_refused() -> None:
    with pytest.raises(ServerError, match=r"smtp.from is required"):
        render("--set", "smtp.host=mail.example.com")


def test_identity_reaches_the_mail_server_and_nobody_else_does() -> None:
    policies = {one["metadata"]["name"]: one["spec"] for one in rendered("smtp") if one["kind"] == "NetworkPolicy"}

    assert policies["ams-to-smtp"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "identity"
    assert policies["ams-to-smtp"]["egress"] == [{"ports": [{"port": 587}], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    assert "ams-to-smtp" not in {one["metadata"]["name"] for one in rendered("default")}


def _without(manifest: Object, *path: str | int) -> Object:
    copy = json.loads(json.dumps(manifest))
    inside = copy
    for step in path[:-1]:
        inside = inside[step]
    del inside[path[-1]]
    return copy


def _with(manifest: Object, value: Any, *path: str | int) -> Object:
    copy = json.loads(json.dumps(manifest))
    inside = copy
    for step in path[:-1]:
        inside = inside[step]
    inside[path[-1]] = value
    return copy


CONTAINER = ("spec", "template", "spec", "containers", 0)


@pytest.mark.parametrize(
    ("name", "path", "value"),
    [
        ("root", ("spec", "template", "spec", "securityContext", "runAsUser"), 0),
        ("seccomp", ("spec", "template", "spec", "securityContext", "seccompProfile"), {"type": "Unconfined"}),
        ("token", ("spec", "template", "spec", "automountServiceAccountToken"), True),
        ("host network", ("spec", "template", "spec", "hostNetwork"), True),
        ("host path", ("spec", "template", "spec", "volumes"), [{"name": "tmp", "hostPath": {"path": "/"}}]),
        ("privileges", (*CONTAINER, "securityContext", "allowPrivilegeEscalation"), True),
        ("capabilities", (*CONTAINER, "securityContext", "capabilities"), {"drop": []}),
        ("writable root", (*CONTAINER, "securityContext", "readOnlyRootFilesystem"), False),
        ("latest", (*CONTAINER, "image"), "ams-intake:latest"),
        ("no version", (*CONTAINER, "image"), "registry:5000/ams-intake"),
        ("no limit", (*CONTAINER, "resources"), {"requests": {"cpu": "1", "memory": "1Gi"}}),
        ("no probe", (*CONTAINER, "readinessProbe"), None),
        ("service variables", ("spec", "template", "spec", "enableServiceLinks"), True),
    ],
)
def test_the_rules_for_pods_find_a_fault(name: str, path: tuple[str | int, ...], value: Any) -> None:
    [intake] = [one for one in rendered("default") if identity(one) == ("apps", "Deployment", "ams-intake")]

    assert list(policy_faults(_with(intake, value, *path))), name


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("Deployment", ("spec", "replica")),
        ("Kafka", ("spec", "kafka", "listener")),
        ("Cluster", ("spec", "instance")),
        ("HTTPRoute", ("spec", "rule")),
    ],
)
def test_an_unknown_field_is_found(kind: str, path: tuple[str, ...]) -> None:
    manifest = next(one for one in rendered("everything") if one["kind"] == kind)

    assert schema_faults(_with(manifest, 1, *path))


def test_an_unknown_kind_is_found() -> None:
    manifest = {"apiVersion": "example.com/v1", "kind": "Thing", "metadata": {"name": "x"}}

    assert schema_faults(manifest) == ["Thing/x: unknown kind"]


def test_every_custom_resource_has_a_schema_that_can_be_closed() -> None:
    assert all(closed(schema)["properties"]["spec"].get("additionalProperties") is False for schema in CUSTOM_RESOURCES.values())


def test_a_missing_reference_is_found() -> None:
    manifests = [one for one in rendered("default") if identity(one) != ("", "ConfigMap", "ams-intake")]

    faults = References(manifests, SECRET_KEYS - {"redis-password-identity"}).faults()

    assert "ams-intake: no ConfigMap ams-intake" in faults
    assert "ams-identity: no key redis-password-identity in Secret ams" in faults


PROCESS_METRICS = {"process_cpu_seconds_total", "process_resident_memory_bytes"}
SCRAPED = {"namespace", "pod", "container"}  # labels of the PodMonitor
FUNCTIONS = {"le"}


def known_metrics() -> dict[str, set[str]]:
    """Name of each sample of the services -> its labels."""
    found: dict[str, set[str]] = {}
    for metric in vars(metrics).values():
        if isinstance(metric, MetricWrapperBase):
            for family in metric.describe():
                for end in ("", "_total", "_bucket", "_count", "_sum"):
                    found[family.name + end] = {*metric._labelnames, *SCRAPED, *FUNCTIONS}
    return found | dict.fromkeys(PROCESS_METRICS, SCRAPED)


def faults_of(expression: str) -> set[str]:
    """What a PromQL expression names and no service has: metrics, and labels of its metrics."""
    known = known_metrics()
    named = set(re.findall(r"\b(?:ams|process)_\w+", expression))
    labels = {one.strip() for group in re.findall(r"by \(([^)]*)\)", expression) for one in group.split(",")}
    labels |= set(re.findall(r"(\w+)=~?\"", expression))
    has = set().union(*(known.get(name, set()) for name in named))
    return {name for name in named if name not in known} | {label for label in labels if label not in has}


def unset_ones(expression: str) -> set[str]:
    """Gauges without labels of which a PromQL expression takes the lowest value: every process reports 0 until it sets one, which only one service does."""
    gauges = {one._name for one in vars(metrics).values() if isinstance(one, Gauge) and not one._labelnames}
    return gauges & set(re.findall(r"\bmin\((\w+)(?:\{[^}]*\})?\)", expression))


def test_a_query_for_a_metric_or_label_that_no_service_has_is_found() -> None:
    assert faults_of("sum by (reason) (rate(ams_events_accepted_total[5m]))") == {"reason"}
    assert faults_of('max(ams_lag_minutes{partition="1"})') == {"ams_lag_minutes", "partition"}
    assert unset_ones("0.5 * min(ams_log_retention_seconds{$here})") == {"ams_log_retention_seconds"}


def test_alerts_name_metrics_that_exist_and_a_page_that_helps() -> None:
    headings = {
        f"docs/kubernetes.md#{line.removeprefix('### ').lower()}"
        for line in (ROOT / "docs" / "kubernetes.md").read_text(encoding="utf-8").splitlines()
        if line.startswith("### Ams")
    }
    rules = alert_rules()
    assert len(rules) >= 10
    assert {rule["alert"]: faults_of(rule["expr"]) for rule in rules if faults_of(rule["expr"])} == {}
    assert set().union(*(unset_ones(rule["expr"]) for rule in rules)) == set()
    assert {rule["annotations"]["runbook"] for rule in rules} == headings
    assert {rule["labels"]["severity"] for rule in rules} == {"warning", "critical"}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_dashboards_ask_for_metrics_that_exist(name: str) -> None:
    _, panels = DASHBOARDS[name]
    assert {one: faults_of(one) for one in expressions(panels) if faults_of(one)} == {}
    assert set().union(*(unset_ones(one) for one in expressions(panels))) == set()
    assert len({panel.title for panel in panels}) == len(panels)
    model = json.loads(dashboard(name))
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in model["panels"]]
    assert len(set(places)) == len(places)
    assert all(panel["description"] for panel in model["panels"])


def test_every_metric_of_the_pipeline_is_on_a_dashboard() -> None:
    shown = " ".join(one for _, panels in DASHBOARDS.values() for one in expressions(panels))
    named = {family.name for metric in vars(metrics).values() if isinstance(metric, MetricWrapperBase) for family in metric.describe()}
    unseen = {name for name in named if name not in shown}
    assert unseen <= NOT_ON_A_DASHBOARD, "show it, or say here why not"
