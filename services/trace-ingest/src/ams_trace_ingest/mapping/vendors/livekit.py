"""LiveKit Agents: the names of its spans give their types."""

from ams_contracts.documents import StepType

SCOPE = "livekit-agents"

_NAMES = {
    "agent_session": StepType.WORKFLOW,
    "agent_turn": StepType.AGENT,
    "llm_node": StepType.WORKFLOW,
    "llm_request": StepType.LLM,
    "function_tool": StepType.TOOL,
}


def type_by_name(name: str) -> StepType | None:
    """The type of a span of this scope, or ``None``."""
    return _NAMES.get(name)
