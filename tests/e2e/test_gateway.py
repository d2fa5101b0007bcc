"""What the gateway routes, refuses and adds."""

import contextlib
import json
import socket
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.installation import Platform

ENDLESS = (b"10000\r\n" + b"x" * 65_536 + b"\r\n") * 400  # 26 MB of chunks, and no end

pytestmark = [pytest.mark.xdist_group("platform"), pytest.mark.timeout(240)]


@pytest.mark.parametrize(
    "path", ["/internal/access", "/metrics", "/livez", "/readyz", "/readyz/local", "/api/nothing", "/.well-known/else"]
)
def test_what_is_internal_is_not_routed(platform: Platform, path: str) -> None:
    status, headers, body = platform.get(path)

    assert status == 404
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "not_found"


def test_every_service_is_reached_by_its_prefix(platform: Platform) -> None:
    key = platform.key()

    answers = {
        path: platform.get(path)[0]
        for path in ("/api/users/me", "/api/projects", "/api/me", "/api/traces/p/tasks", "/api/ingest/p/tasks/t")
    }

    assert set(answers.values()) <= {401, 405}, answers
    assert platform.get("/.well-known/jwks.json")[0] == 200
    assert platform.get("/api/health")[0] == 200
    assert platform.get("/v1/traces", Authorization=f"Bearer {key}")[0] == 405
    assert platform.get("/api/live")[0] in {400, 401, 403, 404, 405, 426}


def test_the_explorer_is_served_for_every_address_of_its_own(platform: Platform) -> None:
    status, headers, body = platform.get("/p/some/task/address")

    assert status == 200
    assert b"<div id=" in body
    assert headers["Cache-Control"] == "no-cache"
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"


def test_hashed_files_are_kept_for_ever_and_missing_ones_are_not(platform: Platform) -> None:
    page = platform.get("/")[2].decode()
    script = page.split('src="', 1)[1].split('"', 1)[0]

    found = platform.get(script, **{"Accept-Encoding": "gzip"})
    missing = platform.get("/assets/never-built.js")

    assert "immutable" in found[1]["Cache-Control"]
    assert found[1]["Content-Encoding"] == "gzip"
    assert missing[0] == 404
    assert "immutable" not in missing[1].get("Cache-Control", "")


def test_a_huge_header_is_refused(platform: Platform) -> None:
    assert platform.get("/api/health", **{"X-Huge": "x" * 60_000})[0] == 431


@pytest.mark.parametrize(
    ("more", "body"),
    [("Content-Length: 99000000000", b""), ("Content-Length: 20971520", b"x" * 100_000), ("Transfer-Encoding: chunked", ENDLESS)],
    ids=["declared", "begun", "endless"],
)
def test_a_body_that_is_too_large_is_refused_before_it_is_there(platform: Platform, more: str, body: bytes) -> None:
    address = urlsplit(platform.url)
    head = f"POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {platform.key()}\r\nContent-Type: application/json\r\n{more}\r\n\r\n"
    with socket.create_connection((address.hostname, address.port), timeout=20) as connection:
        connection.sendall(head.encode())
        with contextlib.suppress(ConnectionError):  # it is answered and closed while we are at it
            connection.sendall(body)
        answer = connection.recv(4_096)

    assert answer.startswith(b"HTTP/1.1 413 ")


def test_the_sdk_that_it_serves_needs_nothing_of_ours(platform: Platform, tmp_path: Path) -> None:
    page = platform.get("/sdk/")[2].decode()
    name = page.split('href="', 1)[1].split('"', 1)[0]
    wheel = tmp_path / name
    wheel.write_bytes(platform.get(f"/sdk/{name}")[2])

    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        metadata = next(archive.read(one).decode() for one in archive.namelist() if one.endswith("METADATA"))
    program = (
        f"import sys; sys.path[:0] = [{str(tmp_path / 'site')!r}]; import ams, ams_contracts; print(ams.__file__, ams_contracts.__file__)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert "ams-contracts" not in metadata
    assert done.stdout.count(str(tmp_path)) == 2


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.2", "ams", "[::2]"])
@pytest.mark.parametrize("path", ["/", "/api/health", "/v1/traces", "/api/live", "/sdk/", "/assets/x.js"])
def test_a_foreign_host_name_is_refused(platform: Platform, host: str, path: str) -> None:
    status, headers, body = platform.get(path, Host=host)

    assert status == 421
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(body)["code"] == "unknown_host"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1", "[::1]"])
def test_loopback_names_are_served(platform: Platform, host: str) -> None:
    assert platform.get("/api/health", Host=host)[0] == 200


def test_a_page_of_another_origin_is_refused(platform: Platform) -> None:
    own = platform.get("/api/health", Origin=platform.url)[0]
    others = {
        origin: platform.get("/api/health", Origin=origin)[0]
        for origin in ("https://evil.example", platform.url.replace("http:", "https:"), platform.url + "1", "null", "http://localhost")
    }

    assert own == 200
    assert set(others.values()) == {403}, others
