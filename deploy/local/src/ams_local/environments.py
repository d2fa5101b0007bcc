"""Python environments beside ``.venv`` for what must not be mixed with it: image builds, and programs that tests run."""

import fcntl
import subprocess
import sys

from ams_local.workspace import ROOT

CACHE = ROOT / ".cache"


def python_with(lock: str) -> str:
    """Return the Python of the environment that holds what ``requirements/<lock>.txt`` lists.

    It is installed when it is not there or the lock has changed; of several processes one installs and the others wait.

    Raises:
        subprocess.CalledProcessError: The packages cannot be installed. The installer's own words are on standard error.
    """
    environment = CACHE / lock
    uv = str(CACHE / "bootstrap" / "bin" / "uv")
    python = str(environment / "bin" / "python")
    requirements = ROOT / "requirements" / f"{lock}.txt"
    installed = environment / "installed.txt"
    CACHE.mkdir(exist_ok=True)
    with environment.with_suffix(".lock").open("w") as locked:
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != requirements.read_bytes():
            subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(environment)], check=True)  # noqa: S603  the pinned uv
            subprocess.run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)], check=True)  # noqa: S603  the same
            installed.write_bytes(requirements.read_bytes())
    return python
