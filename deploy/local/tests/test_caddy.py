"""The gateway's configuration is one that Caddy takes."""

import subprocess
import sys
from pathlib import Path

import pytest

from ams_local.servers.caddy import Caddy, Upstreams


@pytest.mark.parametrize("otlp_port", [4318, None])
def test_caddy_takes_the_file(tmp_path: Path, otlp_port: int | None) -> None:
    caddy = Caddy(
        data=tmp_path / "caddy",
        hosts=("127.0.0.1", "::1"),
        port=8080,
        otlp_port=otlp_port,
        upstreams=Upstreams(identity=1, intake=2, query=3, live=4),
        explorer=tmp_path / "with space",
        wheels=tmp_path / "sdk",
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
