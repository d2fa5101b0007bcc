"""Python environments beside ``.venv`` for what must not be mixed with it: image builds, and programs that tests run."""

import fcntl
import subprocess
import sys
import tomllib

from ams_local.workspace import ROOT

CACHE = ROOT / ".cache"
UV = str(CACHE / "bootstrap" / "bin" / "uv")
_VERSION = "import sys; print(*sys.version_info[:2], sep='.')"


def python_with(lock: str, interpreter: str = sys.executable) -> str:
    """Return the Python of the environment that holds what ``requirements/<lock>.txt`` lists.

    It is installed when it is not there or the lock has changed; of several processes one installs and the others wait.

    Args:
        lock: The name of a lock file.
        interpreter: The Python that the environment is of.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed. The installer's own words are on standard error.
    """
    version = subprocess.run([interpreter, "-c", _VERSION], check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603  the caller's
    name = f"{lock}-{version}"
    environment = CACHE / name
    python = str(environment / "bin" / "python")
    requirements = ROOT / "requirements" / f"{lock}.txt"
    installed = environment / "installed.txt"
    CACHE.mkdir(exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != requirements.read_bytes():
            subprocess.run([UV, "venv", "--quiet", "--allow-existing", "--python", interpreter, str(environment)], check=True)  # noqa: S603  the pinned uv
            subprocess.run([UV, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)], check=True)  # noqa: S603  the same
            installed.write_bytes(requirements.read_bytes())
    return python


def python_with_workspace(interpreter: str) -> str:
    """Return the Python of an environment like ``.venv``, made with another interpreter: the development lock and this repository, editable."""
    python = python_with("dev", interpreter)
    members = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["uv"]["workspace"]["members"]
    editable = [part for one in members for part in ("-e", str(ROOT / one))]
    command = [UV, "pip", "install", "--quiet", "--python", python, "--no-deps", "--no-build-isolation", "--offline", *editable]
    subprocess.run(command, check=True)  # noqa: S603  the pinned uv
    return python
