"""The gateway's configuration is one that Caddy takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ams_local.servers.base import ServerError
from ams_local.servers.caddy import Caddy, Upstreams, cluster_caddyfile, parse_hosts, parse_strict_transport


@pytest.mark.parametrize("otlp_port", [4318, None])
def test_caddy_takes_the_file(tmp_path: Path, otlp_port: int | None) -> None:
    caddy = Caddy(
        data=tmp_path / "caddy",
        hosts=("127.0.0.1", "::1"),
        port=8080,
        otlp_port=otlp_port,
        grpc_port=None if otlp_port is None else 4317,
        upstreams=Upstreams(identity=1, intake=2, intake_grpc=5, query=3, live=4),
        explorer=tmp_path / "with space",
        wheels=tmp_path / "sdk",
        documentation=tmp_path / "docs",
        public_url="https://ams.example",
        allowed_hosts=("ams.internal",),
    )
    caddy.prepare()

    binary = Path(sys.executable).with_name("caddy")
    done = subprocess.run(
        [binary, "validate", "--config", tmp_path / "caddy" / "Caddyfile", "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert ("4318" in caddy.caddyfile()) == (otlp_port is not None)
    assert ("h2c://127.0.0.1:5" in caddy.caddyfile()) == (otlp_port is not None)


@pytest.mark.parametrize("proxies", ["", "10.0.0.0/8 fd00::/8"])
def test_caddy_takes_the_file_for_kubernetes(tmp_path: Path, proxies: str) -> None:
    (tmp_path / "Caddyfile").write_text(cluster_caddyfile(), encoding="utf-8")
    environ = {
        "GATEWAY_SITES": "http://ams.example.com:8080, http://ams.internal:8080",
        "GATEWAY_GRPC_SITES": "http://ams.example.com:4317, http://ams.internal:4317",
        "GATEWAY_PUBLIC_URL": "https://ams.example.com",
        "GATEWAY_NOT_ORIGINS": "not header Origin https://ams.example.com\nnot header Origin https://ams.internal\n",
        "GATEWAY_TRUSTED_PROXIES": proxies,
        **({"GATEWAY_STRICT_TRANSPORT": "Strict-Transport-Security max-age=60"} if proxies else {}),
        "HOME": str(tmp_path),
    }

    done = subprocess.run(
        [Path(sys.executable).with_name("caddy"), "adapt", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"],
        capture_output=True,
        text=True,
        check=False,
        env=environ,
    )

    assert done.returncode == 0, done.stderr
    assert all(f"ams-{service}:8000" in done.stdout for service in ("identity", "intake", "trace-query", "live-gateway"))
    assert "https://ams.internal" in done.stdout
    assert "ams-intake:4317" in done.stdout
    assert ("max-age=60" in done.stdout) == bool(proxies)


@pytest.mark.parametrize("text", ["http://a", "a:80", "a b", "{a}", "-a", "a,;"])
def test_what_is_no_host_name_is_refused(text: str) -> None:
    with pytest.raises(ServerError, match="AMS_ALLOWED_HOSTS"):
        parse_hosts(text)


@pytest.mark.parametrize("text", ["", "-1", "1e9", "x", "9999999999"])
def test_what_is_no_number_of_seconds_is_refused(text: str) -> None:
    with pytest.raises(ServerError, match="AMS_STRICT_TRANSPORT_SECONDS"):
        parse_strict_transport(text)


def test_host_names_are_separated_by_commas() -> None:
    assert parse_hosts(" Ams.Internal, 10.0.0.7,::1 ,") == ("ams.internal", "10.0.0.7", "::1")
