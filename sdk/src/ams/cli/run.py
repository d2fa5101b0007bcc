"""``ams run -- python agent.py``: runs a program with every installed instrumentor, and sends its spans to AMS."""

import os
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from shutil import which

import click

from ams.otel.environment import ATTRIBUTES_MAX, exporters, has_service_name, service_of

SITE = "opentelemetry.instrumentation.auto_instrumentation"
NEEDED = ("opentelemetry.distro", "opentelemetry.exporter")
MISSING, NOT_FOUND = 2, 127  # as a shell answers


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def run(command: tuple[str, ...]) -> None:
    """Run a program unchanged, and see its model and tool calls: ams run -- python agent.py.

    Enables every installed instrumentor of OpenTelemetry, OpenInference and OpenLLMetry. What OTEL_* says already stays.
    """
    if any(find_spec(name) is None for name in NEEDED):
        click.echo("ams run needs opentelemetry-distro. Install it with: pip install 'ams-tracing[otel]'", err=True)
        sys.exit(MISSING)
    executable = which(command[0])
    if executable is None:
        click.echo(f"ams run: {command[0]}: command not found", err=True)
        sys.exit(NOT_FOUND)
    os.execve(executable, [executable, *command[1:]], environment_of(command, os.environ))  # noqa: S606 - the user's own command


def environment_of(command: tuple[str, ...], environment: Mapping[str, str]) -> dict[str, str]:
    """The environment in which OpenTelemetry's ``sitecustomize`` sets everything up.

    Args:
        command: The program and its arguments; its script names the service.
        environment: Of this process.
    """
    spec = find_spec(SITE)
    folder = str(Path(spec.origin).parent) if spec is not None and spec.origin else ""
    paths = [path for path in environment.get("PYTHONPATH", "").split(os.pathsep) if path and path != folder]
    others = [name for name in exporters(environment) if name not in {"ams", "none"}]
    defaults = {
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT": str(ATTRIBUTES_MAX),
        **({} if has_service_name(environment) else {"OTEL_SERVICE_NAME": service_of(command)}),
    }
    return {
        **defaults,
        **environment,
        "OTEL_TRACES_EXPORTER": ",".join([*others, "ams"]),
        "PYTHONPATH": os.pathsep.join([folder, *paths]),
    }
