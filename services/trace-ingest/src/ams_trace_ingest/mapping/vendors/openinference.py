"""OpenInference's instrumentors: what their spans' names and metadata say beyond ``openinference.span.kind``."""

import re
from typing import Any

from ams_contracts.documents import StepType
from ams_trace_ingest.mapping.span_model import Span

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


def agent_of(scope: str, span: Span, decided: StepType, metadata: dict[str, Any] | None) -> str | None:
    """The agent that metadata names, or that a span is named after: ``searcher`` of smolagents' ``searcher.run``."""
    if metadata is not None and isinstance(named := metadata.get(_AGENT_METADATA), str):
        return named
    instrumentor = scope[len(SCOPES) :]
    if instrumentor == "llama_index":
        return _llama_index_agent(span)
    ending = _AGENT_ENDINGS.get(instrumentor)
    if decided is StepType.AGENT and ending is not None and span.name.endswith(ending):
        return span.name[: -len(ending)] or None
    return None


def _llama_index_agent(span: Span) -> str | None:
    """The agent whose turn it is: only the reprs of the events that a workflow's step gets and makes name it."""
    for key in ("input.value", "output.value"):
        value = span.attributes.get(key)
        found = _CURRENT_AGENT.search(value) if isinstance(value, str) and _CURRENT in value else None
        if found is not None:
            return found[1]
    return None


_AGENT_ENDINGS = {"smolagents": ".run", "crewai": "._execute_core", "agno": ".run"}
_CURRENT = "current_agent_name="
_CURRENT_AGENT = re.compile(_CURRENT + r"'([^'\\]{1,256})'")


def tool_of(scope: str, name: str) -> str | None:
    """The tool of DSPy's ``search.__call__``."""
    return name.removesuffix(".__call__") if scope == SCOPES + "dspy" and name.endswith(".__call__") else None
