"""What ``import ams`` costs a program that may not trace at all. ``./ams bench import`` measures it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import ams

HEAVY = {
    "aiokafka",
    "asyncio",
    "click",
    "concurrent",
    "email",
    "http",
    "httpx",
    "multiprocessing",
    "rich",
    "socket",
    "ssl",
    "subprocess",
    "urllib",
}


def loaded(code: str) -> set[str]:
    program = f"{code}\nimport sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    return {name.partition(".")[0] for name in done.stdout.split()}


def test_importing_ams_loads_nothing_that_only_sending_needs() -> None:
    assert loaded("import ams") & HEAVY <= loaded("import msgspec, opentelemetry.trace") & HEAVY


def test_calls_before_init_load_nothing_more_and_change_nothing() -> None:
    code = "import ams\nwith ams.tool('t'): pass\nassert ams.flush().complete and ams.shutdown().complete"
    assert "httpx" not in loaded(code)


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert ams.__version__ == project["version"]
