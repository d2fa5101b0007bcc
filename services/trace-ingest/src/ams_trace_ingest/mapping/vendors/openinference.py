"""OpenInference's instrumentors: what their spans' names and metadata say beyond ``openinference.span.kind``."""

from typing import Any

from ams_contracts.documents import StepType

SCOPES = "openinference.instrumentation."
_AGENT_METADATA = "lc_agent_name"  # LangChain's create_agent


def type_by_name(scope: str, name: str, decided: StepType, metadata: dict[str, Any] | None) -> StepType | None:
    """The type of a span whose kind says too little, or ``None``."""
    instrumentor = scope[len(SCOPES) :]
    if instrumentor == "openai_agents":
        return StepType.HANDOFF if decided is StepType.TOOL and name.startswith("handoff to ") else None
    if instrumentor == "llama_index":  # helpers of a client, such as `OpenAILike._prepare_chat_with_tools`, call no model
        return StepType.SPAN if decided is StepType.LLM and name.rpartition(".")[2].startswith("_") else None
    if instrumentor == "langchain":
        is_agent = decided is StepType.WORKFLOW and metadata is not None and metadata.get(_AGENT_METADATA) == name
        return StepType.AGENT if is_agent else None
    if instrumentor == "haystack":
        return StepType.AGENT if decided is StepType.WORKFLOW and name == "Agent.run" else None
    return None


def agent_of(scope: str, name: str, decided: StepType, metadata: dict[str, Any] | None) -> str | None:
    """The agent that metadata names, or ``searcher`` of smolagents' ``searcher.run``."""
    if metadata is not None and isinstance(named := metadata.get(_AGENT_METADATA), str):
        return named
    if decided is StepType.AGENT and scope == SCOPES + "smolagents" and name.endswith(".run"):
        return name[: -len(".run")]
    return None


def tool_of(scope: str, name: str) -> str | None:
    """The tool of DSPy's ``search.__call__``."""
    return name.removesuffix(".__call__") if scope == SCOPES + "dspy" and name.endswith(".__call__") else None
