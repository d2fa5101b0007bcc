"""What OTEL_* says. Imports nothing of OpenTelemetry, so that ``ams run`` starts fast."""

from collections.abc import Mapping, Sequence
from pathlib import Path

ATTRIBUTES_MAX = 1_024  # of a span; the default of 128 cuts long conversations


def _words(environment: Mapping[str, str], name: str) -> list[str]:
    return [word for part in environment.get(name, "").split(",") if (word := part.strip())]


def exporters(environment: Mapping[str, str]) -> list[str]:
    """The exporters of spans."""
    return _words(environment, "OTEL_TRACES_EXPORTER")


def disabled(environment: Mapping[str, str]) -> list[str]:
    """The instrumentations that the user does not want."""
    return _words(environment, "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS")


def has_service_name(environment: Mapping[str, str]) -> bool:
    """Whether the user named the service."""
    resource = [word.partition("=")[0].strip() for word in _words(environment, "OTEL_RESOURCE_ATTRIBUTES")]
    return bool(environment.get("OTEL_SERVICE_NAME")) or "service.name" in resource


def service_of(command: Sequence[str]) -> str:
    """A name for a program: its script, else its first word.

    Args:
        command: The program and its arguments.
    """
    first = Path(command[0]).name if command and command[0] else "python"
    return next((Path(word).stem for word in command if word.endswith(".py")), first)
