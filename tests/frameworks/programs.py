"""The examples of ``examples/frameworks``: where each runs, and how."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import files
from pathlib import Path
from shutil import copy, copytree
from threading import Thread
from types import ModuleType
from typing import Any

from ams_local.environments import python_with

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "frameworks"
PROGRAMS = {
    "pydantic_ai_agent": "frameworks",
    "openai_agents_handoff": "frameworks",
    "langgraph_agent": "frameworks",
    "openai_client": "frameworks",
    "anthropic_client": "frameworks",
    "mcp_tools": "frameworks",
    "agno_agent": "frameworks-more",
    "autogen_team": "frameworks-more",
    "dspy_react": "frameworks-more",
    "haystack_agent": "frameworks-more",
    "litellm_call": "frameworks-more",
    "llama_index_agent": "frameworks-more",
    "smolagents_agent": "frameworks-more",
    "strands_agent": "frameworks-more",
    "crewai_crew": "frameworks-apart",
    "google_adk_handoff": "frameworks-apart",
}
"""Program -> the lock file of its environment."""
EVERY_RUN = [name for name, lock in PROGRAMS.items() if lock == "frameworks"]
ALL = os.environ.get("AMS_TEST_FRAMEWORKS") == "all"
SELECTED = list(PROGRAMS) if ALL else EVERY_RUN
UNDER_AMS_RUN = EVERY_RUN if ALL else ["openai_client", "langgraph_agent"]
"""Their environment has what ``ams run`` needs."""
PROGRAM_TIMEOUT_SECONDS = 240
_NO_TELEMETRY = """
class Nothing:
    def shutdown(self):
        pass


def trace_to_ams(service, *instrumentors):
    return Nothing()
"""
_QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TESTING": "true",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "AGNO_TELEMETRY": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}  # no framework reports its use to its makers from a test


def model_server() -> ModuleType:
    """The module of the examples; it is no package."""
    spec = importlib.util.spec_from_file_location("model_server", FOLDER / "model_server.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(FOLDER))  # as when it runs as a script
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(FOLDER))
    return module


@contextmanager
def models() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A running model server: its address, and its ledger."""
    server, ledger = model_server().serve()
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", ledger.calls
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(name: str, *, model: str, endpoint: str, key: str, home: Path) -> str:
    """Run a program to its end.

    Args:
        name: Of ``PROGRAMS``.
        model: Address of the model server.
        endpoint: Where OTLP over HTTP is received, without ``/v1/traces``.
        key: API key.
        home: A folder that it may write to.

    Returns:
        What it printed.
    """
    environment = {
        **_environment(model, home),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{key}",
    }
    return _output_of([python_with(PROGRAMS[name]), str(FOLDER / f"{name}.py")], environment, home)


def run_without_telemetry(name: str, *, model: str, endpoint: str, key: str, home: Path) -> str:
    """Run a program under ``ams run``, without the lines that set up its telemetry.

    Args:
        name: Of ``PROGRAMS``; its environment needs what ``ams run`` needs.
        model: Address of the model server.
        endpoint: Of AMS.
        key: API key.
        home: A folder that it may write to.

    Returns:
        What it printed.
    """
    python = python_with(PROGRAMS[name])
    for file in (f"{name}.py", "question.py"):
        copy(FOLDER / file, home / file)
    (home / "telemetry.py").write_text(_NO_TELEMETRY)
    environment = {
        **_environment(model, home),
        "PYTHONPATH": sdk_installed_in(home / "installed"),
        "AMS_ENDPOINT": endpoint,
        "AMS_API_KEY": key,
        "OTEL_SERVICE_NAME": "wardrobe",
    }
    return _output_of([python, "-m", "ams.cli.main", "run", "--", python, f"{name}.py"], environment, home)


def sdk_installed_in(folder: Path) -> str:
    """A PYTHONPATH with the SDK of this checkout and its entry points."""
    [about] = {Path(str(file.locate())).parent for file in files("ams-tracing") or () if file.name == "entry_points.txt"}
    copytree(about, folder / about.name)
    return os.pathsep.join([str(folder), str(ROOT / "sdk" / "src"), str(ROOT / "contracts" / "src")])


def _environment(model: str, home: Path) -> dict[str, str]:
    return {
        **{variable: value for variable, value in os.environ.items() if not variable.startswith(("AMS_", "OTEL_", "PYTHON"))},
        **_QUIET,
        "HOME": str(home),
        "OPENAI_API_KEY": "none",
        "OPENAI_BASE_URL": f"{model}/v1",
        "ANTHROPIC_API_KEY": "none",
        "ANTHROPIC_BASE_URL": model,
        "GOOGLE_API_KEY": "none",
        "GOOGLE_GEMINI_BASE_URL": model,
    }


def _output_of(command: list[str], environment: dict[str, str], home: Path) -> str:
    ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=PROGRAM_TIMEOUT_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr[-4_000:]
    return ended.stdout
