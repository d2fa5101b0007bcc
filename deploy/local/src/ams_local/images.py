"""Builds the images of ``deploy/images`` with the container engine that answers, or their file systems without one."""

import os
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from ams_local.environments import python_with
from ams_local.servers.base import ServerError
from ams_local.workspace import ROOT

CONTAINERFILE = ROOT / "deploy" / "images" / "Containerfile"
ASSEMBLE = ROOT / "deploy" / "images" / "assemble.py"
IMAGES = ("identity", "trace-ingest", "trace-query", "live-gateway", "gateway")
ENGINES = ("docker", "podman", "buildah")
ANSWER_SECONDS = 20


def find_engine(engines: tuple[str, ...] = ENGINES) -> str:
    """Return the name of the first engine that answers ``info``.

    Raises:
        ServerError: None answers. The message says what to do.
    """
    silent: list[str] = []
    for name in engines:
        if shutil.which(name) is None:
            continue
        try:
            done = subprocess.run([name, "info"], capture_output=True, timeout=ANSWER_SECONDS, check=False)  # noqa: S603  one of three names
        except subprocess.TimeoutExpired:
            silent.append(name)
            continue
        if done.returncode == 0:
            return name
        silent.append(name)
    without = "or write the images' files without one: ./ams images --rootfs FOLDER"
    if silent:
        raise ServerError(
            f"{' and '.join(silent)} {'is' if len(silent) == 1 else 'are'} installed, but '{silent[0]} info' fails. Start the service, {without}"
        )
    raise ServerError(f"no container engine was found ({', '.join(engines)}). Install one, for example podman, {without}")


def chart_version() -> str:
    """The release that the chart asks for when nobody sets ``image.tag``."""
    found = re.search(r"^appVersion: (\S+)$", (ROOT / "deploy" / "helm" / "ams" / "Chart.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ServerError("Chart.yaml names no appVersion; give --tag")
    return found[1]


def git(*arguments: str) -> str:
    """One line of Git's answer, empty outside a repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603, S607  the person's git
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def reference(image: str, registry: str, tag: str) -> str:
    """The name under which the chart looks for an image."""
    return f"{registry.rstrip('/')}/ams-{image}:{tag}" if registry else f"ams-{image}:{tag}"


def build_command(engine: str, image: str, name: str, version: str) -> list[str]:
    """The engine's command line for one image.

    The labels' time is that of the commit: the same sources give the same labels.
    """
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)
    labels = {
        "VERSION": version,
        "REVISION": git("rev-parse", "HEAD") or "unknown",
        "CREATED": datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    arguments = [part for key, value in labels.items() for part in ("--build-arg", f"{key}={value}")]
    if os.environ.get("UV_DEFAULT_INDEX"):
        arguments += ["--build-arg", "UV_DEFAULT_INDEX"]  # the value stays out of the command line
    return [engine, "build", "--file", str(CONTAINERFILE), "--target", image, "--tag", name, *arguments, str(ROOT)]


def build(engine: str, image: str, name: str, version: str, extra: tuple[str, ...] = ()) -> None:
    """Build one image.

    Raises:
        ServerError: The engine failed. Its own words are above.
    """
    command = build_command(engine, image, name, version)
    command[2:2] = extra
    if subprocess.run(command, check=False).returncode != 0:  # noqa: S603  see ``find_engine``
        raise ServerError(f"{engine} could not build {name}; what it said is above")


def write_rootfs(image: str, folder: Path) -> None:
    """Write what the image adds to its base into ``folder``, by the same steps as the Containerfile, without an engine or root.

    Raises:
        ServerError: A step failed. Its own words are above.
    """
    try:
        subprocess.run([python_with("image-build"), str(ASSEMBLE), image, str(folder)], check=True)  # noqa: S603  our own script
    except subprocess.CalledProcessError as error:
        raise ServerError(f"the files of {image} could not be put together; what failed is above") from error
