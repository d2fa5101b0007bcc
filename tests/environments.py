"""Environments of their own for programs that the tests run, as locked in ``requirements/``; kept in the cache folder."""

import fcntl
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"


def python_with(lock: str) -> str:
    """The Python of the environment with what ``requirements/<lock>.txt`` lists; installs it when it is not there or has changed."""
    environment = CACHE / lock
    uv = str(CACHE / "bootstrap" / "bin" / "uv")
    python = str(environment / "bin" / "python")
    requirements = ROOT / "requirements" / f"{lock}.txt"
    installed = environment / "installed.txt"
    CACHE.mkdir(exist_ok=True)
    with environment.with_suffix(".lock").open("w") as locked:  # of several test processes one installs
        fcntl.flock(locked, fcntl.LOCK_EX)
        if not installed.exists() or installed.read_bytes() != requirements.read_bytes():
            subprocess.run([uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(environment)], check=True)
            subprocess.run([uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(requirements)], check=True)
            installed.write_bytes(requirements.read_bytes())
    return python
