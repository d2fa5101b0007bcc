"""The sets of values that tests render the chart with, and what the processes of a rendering get."""

import importlib
from collections.abc import Sequence
from functools import cache
from typing import Any

import msgspec
import yaml
from tests.kubernetes.manifests import Object

from ams_local.kubernetes import CHART, COMPONENTS, overlays, render

SECRET_KEYS = {
    "service-secret", "secret-key", "redis-password", "redis-password-identity", "redis-password-intake", "redis-password-trace-query",
    "redis-password-live-gateway", "smtp-password", "kafka-password", "otel-headers", "postgres-admin-url", "postgres-password-identity",
    "postgres-password-owner", "postgres-password-writer", "postgres-password-reader",
}  # fmt: skip
EVERYTHING = tuple(
    argument for value in COMPONENTS.values() if value != "postgres.bootstrap.enabled" for argument in ("--set", f"{value}=true")
)
EXTERNAL = (
    "--set", "kafka.bootstrap=a:9093\\,b:9093", "--set", "kafka.tls=true", "--set", "kafka.caSecret=kafka-ca",
    "--set", "kafka.clientCertificateSecret=kafka-client", "--set", "kafka.sasl.mechanism=SCRAM-SHA-512", "--set", "kafka.sasl.user=ams",
    "--set", "postgres.host=one\\,two", "--set", "postgres.readHost=three\\,four", "--set", "postgres.sslMode=verify-full", "--set", "postgres.caSecret=postgres-ca",
    "--set", "postgres.bootstrap.enabled=true", "--set", "redis.tls=true", "--set", "projector.keda.enabled=true",
)  # fmt: skip
PROVIDERS = (
    "--set-json", 'oidc.issuers=[{"id":"acme","name":"Acme","issuer":"https://id.example.com","client_id":"ams","clientSecretKey":"acme"}]',
    "--set", "oidc.clientSecret=ams-oidc", "--set", "passwordLogin=false",
)  # fmt: skip
VARIANTS: dict[str, tuple[str, ...]] = {
    "default": (),
    "everything": EVERYTHING,
    "external": EXTERNAL,
    **{component: ("--set", f"{value}=true") for component, value in COMPONENTS.items()},
    **{folder.name: ("--values", str(folder / "values.yaml")) for folder in overlays()},
    "providers": PROVIDERS,
    "tokens": tuple(
        part
        for value in ("mechanism=OAUTHBEARER", "user=ams", "oauthTokenUrl=https://id.example.com/token", "oauthScope=kafka")
        for part in ("--set", f"kafka.sasl.{value}")
    ),
    "telemetry": (
        "--set",
        "telemetry.endpoint=http://otel-collector.monitoring:4318",
        "--set",
        "telemetry.headers=true",
        "--set-json",
        "telemetry.sampleRatio=0.1",
    ),
    "webhooks inside": ("--set", "alerts.webhookNetworks={10.1.0.0/16,fd00::/8}"),
    "no alerts": ("--set", "alerts.enabled=false"),
    "hosts": (
        "--set",
        "allowedHosts={ams.internal,10.0.0.7}",
        "--set",
        "corsOrigins={https://app.example.com}",
        "--set",
        "image.registry=registry.example.com/ai",
        "--set",
        "image.pullSecrets={pull}",
    ),
    "one user of redis": ("--set", "redis.users=false", "--set", "redis.valkey.enabled=true"),
    "smtp": (
        "--set",
        "smtp.host=mail.example.com",
        "--set",
        "smtp.from=AMS <ams@example.com>",
        "--set",
        "smtp.username=ams",
        "--set-json",
        'networkPolicy.smtpPeers=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]',
    ),
    "open network": ("--set", "networkPolicy.enabled=false"),
    "peers": ("--set-json", 'networkPolicy.kafkaPeers=[{"ipBlock":{"cidr":"10.0.0.0/8"}}]'),
}
SETTINGS = {
    "identity": ("ams_identity.settings", "Settings"),
    "intake": ("ams_trace_ingest.settings", "IntakeSettings"),
    "projector": ("ams_trace_ingest.settings", "ProjectorSettings"),
    "trace-query": ("ams_trace_query.settings", "Settings"),
    "live-gateway": ("ams_live_gateway.settings", "Settings"),
}


@cache
def rendered(variant: str) -> tuple[Object, ...]:
    return tuple(render(*VARIANTS[variant]))


def settings_of(component: str) -> type[msgspec.Struct]:
    module, name = SETTINGS[component]
    return getattr(importlib.import_module(module), name)


def environment(manifests: Sequence[Object], workload: Object) -> dict[str, Any]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    maps = {one["metadata"]["name"]: one["data"] for one in manifests if one["kind"] == "ConfigMap"}
    values = {name: value for source in container.get("envFrom", []) for name, value in maps[source["configMapRef"]["name"]].items()}
    return values | {one["name"]: one.get("value") for one in container["env"]}


def alert_rules() -> list[Any]:
    rules = yaml.safe_load((CHART / "files" / "alerts.yaml").read_text(encoding="utf-8"))
    return [rule for group in rules["groups"] for rule in group["rules"]]
