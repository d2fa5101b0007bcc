"""What the chart opens for the servers that settings name: webhooks, access tokens, the receiver of telemetry, the operator of Postgres."""

import re
from typing import Any

import pytest
from tests.kubernetes.manifests import workloads
from tests.kubernetes.variants import SETTINGS, VARIANTS, alert_rules, environment, rendered

from ams_local.kubernetes import render

pytestmark = pytest.mark.xdist_group("kubernetes")


def _egress(variant: str, *more: str) -> dict[str, Any]:
    manifests = render(*VARIANTS[variant], *more) if more else rendered(variant)
    return {one["metadata"]["name"]: one["spec"] for one in manifests if one["kind"] == "NetworkPolicy"}


def _components(policy: Any) -> set[str]:
    [expression] = policy["podSelector"]["matchExpressions"]
    return set(expression["values"])


def test_networks_of_webhooks_reach_trace_query_and_its_policy() -> None:
    pod = next(one for one in workloads(rendered("webhooks inside")) if one["metadata"]["name"] == "ams-trace-query")

    assert environment(rendered("webhooks inside"), pod)["AMS_WEBHOOK_NETWORKS"] == "10.1.0.0/16,fd00::/8"
    rule = _egress("webhooks inside")["ams-to-webhooks"]["egress"][1]
    assert rule == {"ports": [{"port": 443}, {"port": 80}], "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}, {"ipBlock": {"cidr": "fd00::/8"}}]}


def test_without_alerts_trace_query_sends_no_webhooks() -> None:
    pod = next(one for one in workloads(rendered("no alerts")) if one["metadata"]["name"] == "ams-trace-query")

    assert environment(rendered("no alerts"), pod)["AMS_ALERTS"] == "false"
    assert "ams-to-webhooks" not in _egress("no alerts")


def test_every_client_of_kafka_reaches_the_server_of_access_tokens() -> None:
    policies = _egress("tokens")

    assert _components(policies["ams-to-kafka-tokens"]) == _components(policies["ams-to-kafka"])
    assert policies["ams-to-kafka-tokens"]["egress"] == [{"ports": [{"port": 443}]}]
    peers = 'networkPolicy.kafkaTokenPeers=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]'
    there = _egress("tokens", "--set", "kafka.sasl.oauthTokenUrl=https://id.example.com:8443/token", "--set-json", peers)
    assert there["ams-to-kafka-tokens"]["egress"] == [{"ports": [{"port": 8443}], "to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]
    assert "ams-to-kafka-tokens" not in _egress("default")


def test_every_service_reports_to_the_receiver_of_telemetry_and_reaches_it() -> None:
    manifests = rendered("telemetry")
    users = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: environment(manifests, one)
        for one in workloads(manifests)
        if "AMS_OTEL_ENDPOINT" in environment(manifests, one)
    }

    assert set(users) == set(SETTINGS)
    assert all(one["AMS_OTEL_SAMPLE_RATIO"] == "0.1" and "AMS_OTEL_HEADERS" in one and one["AMS_PUBLIC_URL"] for one in users.values())
    assert _components(_egress("telemetry")["ams-to-telemetry"]) == set(users)
    assert _egress("telemetry")["ams-to-telemetry"]["egress"] == [{"ports": [{"port": 4318}]}]
    assert "ams-to-telemetry" not in _egress("default")


def test_the_age_of_a_backup_comes_from_the_operator_where_it_makes_them() -> None:
    [rule] = [rule for rule in alert_rules() if rule["alert"] == "AmsBackupOverdue"]
    monitors = {one["metadata"]["name"]: one["spec"] for one in rendered("everything") if one["kind"] == "PodMonitor"}
    [cluster] = [one for one in rendered("everything") if one["kind"] == "Cluster"]

    assert {"ams_backup_began_seconds", "cnpg_collector_last_available_backup_timestamp"} <= set(re.findall(r"\w+", rule["expr"]))
    assert monitors["ams-postgres"]["selector"]["matchLabels"] == {"cnpg.io/cluster": cluster["metadata"]["name"]}
    assert f'pod=~"{cluster["metadata"]["name"]}-.+"' in rule["expr"]  # the operator numbers its pods
    assert "ams-postgres" not in {one["metadata"]["name"] for one in rendered("monitoring") if one["kind"] == "PodMonitor"}
