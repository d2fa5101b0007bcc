"""The chart's Valkey, by its own command and the secrets of its pod: each service signs in as itself, and as nobody else."""

import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError
from tests.client import eventually

from ams_local.kubernetes import render
from ams_local.servers.base import free_port
from ams_local.servers.valkey import USERS, valkey_binary

pytestmark = pytest.mark.xdist_group("kubernetes")


def variables(container: dict[str, Any]) -> dict[str, str]:
    """The environment of a container, whose secrets are their own names; references to variables are expanded, as Kubernetes does."""
    values: dict[str, str] = {}
    for one in container["env"]:
        value = one["valueFrom"].get("secretKeyRef", {}).get("key", "") if "valueFrom" in one else str(one["value"])
        for name, known in values.items():
            value = value.replace(f"$({name})", known)
        values[one["name"]] = value
    return values


def containers() -> dict[str, dict[str, Any]]:
    manifests = render("--set", "redis.valkey.enabled=true")
    return {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"]["template"]["spec"]["containers"][0]
        for one in manifests
        if one["kind"] in {"Deployment", "StatefulSet"}
    }


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Address of the server for each service."""
    found, data, port = containers(), tmp_path_factory.mktemp("valkey"), free_port()
    command = found["valkey"]["args"][0].replace("valkey-server", f"{valkey_binary()} --port {port} --bind 127.0.0.1", 1)
    process = subprocess.Popen(
        ["/bin/sh", "-c", command.replace("dir /data", f"dir {data}")],
        env=variables(found["valkey"]), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield {name: variables(found[name])["AMS_REDIS_URL"].replace("ams-valkey:6379", f"127.0.0.1:{port}") for name in USERS}
    finally:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    try:
        return Redis.from_url(url).exists("ams:revocations") == 0
    except RedisError:
        return False


def test_each_service_has_the_user_of_its_secret(addresses: dict[str, str]) -> None:
    assert eventually(lambda: answers(addresses["identity"]), bool, 10)
    assert {name: urlsplit(url).username for name, url in addresses.items()} == {name: f"ams-{name}" for name in USERS}
    for url in addresses.values():
        assert Redis.from_url(url).hgetall("ams:revocations") == {}
    with pytest.raises(NoPermissionError):
        Redis.from_url(addresses["trace-query"]).hset("ams:revocations", "a", "b")
    with pytest.raises(AuthenticationError):
        Redis.from_url(addresses["identity"].replace("ams-identity:", "ams-intake:")).ping()
    with pytest.raises(AuthenticationError):
        Redis.from_url(addresses["identity"].replace("ams-identity:redis-password-identity@", "")).ping()
