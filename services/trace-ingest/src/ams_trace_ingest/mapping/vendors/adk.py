"""Google's Agent Development Kit: the names of its spans give their types."""

from typing import Any

from ams_contracts.documents import StepType
from ams_trace_ingest.mapping.convert import present

SCOPE = "gcp.vertex.agent"

_BEGINNINGS = (
    ("call_llm", StepType.LLM),
    ("generate_content", StepType.LLM),
    ("agent_run", StepType.AGENT),
    ("invoke_agent", StepType.AGENT),
    ("execute_tool", StepType.TOOL),
    ("invocation", StepType.WORKFLOW),
)


def type_by_name(name: str) -> StepType | None:
    """The type of a span of this scope, or ``None``."""
    return next((decided for beginning, decided in _BEGINNINGS if name.startswith(beginning)), None)


def agent_by_name(name: str) -> str | None:
    """``weather`` of ``agent_run [weather]``."""
    return name[name.index("[") + 1 : -1] or None if name.startswith("agent_run [") and name.endswith("]") else None


def request(value: Any) -> Any:
    """``llm_request`` and ``llm_response`` are ``{}`` on tools."""
    return None if value == "{}" else present(value)


def is_before(version: str, bound: tuple[int, int]) -> bool:
    """Whether a version is older; one that is not named is."""
    numbers = version.split(".")[:2]
    if len(numbers) < len(bound) or not all(part.isascii() and part.isdigit() for part in numbers):
        return True
    return (int(numbers[0]), int(numbers[1])) < bound
