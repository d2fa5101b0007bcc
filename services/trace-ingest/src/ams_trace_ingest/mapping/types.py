"""The type of a step: the attributes that decide it, in order (``docs/mapping.md``).

OpenInference wins over gen_ai, because its AGENT and CHAIN are more specific than an operation name. The span *kind* (CLIENT, INTERNAL) is not used.
"""

from typing import Any

from ams_contracts.documents import MESSAGING, StepType
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Group, Ladder, Prefix
from ams_trace_ingest.mapping.convert import WORD_CHARS_MAX, Convert, json_word, word
from ams_trace_ingest.mapping.enum_members import LLM, SPAN
from ams_trace_ingest.mapping.span_model import Span
from ams_trace_ingest.mapping.vendors import adk, autogen, events, livekit, openinference

_OURS = {member.value: member for member in StepType}
_OPENINFERENCE = {
    "LLM": StepType.LLM,
    "TOOL": StepType.TOOL,
    "CHAIN": StepType.WORKFLOW,
    "AGENT": StepType.AGENT,
    "RETRIEVER": StepType.RETRIEVAL,
    "RERANKER": StepType.RERANK,
    "EMBEDDING": StepType.EMBEDDING,
    "GUARDRAIL": StepType.GUARDRAIL,
    "EVALUATOR": StepType.EVALUATOR,
    "PROMPT": StepType.SPAN,
    "DECISION": StepType.LLM,
}
_LANGFUSE = {
    "span": StepType.SPAN,
    "generation": StepType.LLM,
    "event": StepType.LOG,
    "agent": StepType.AGENT,
    "tool": StepType.TOOL,
    "chain": StepType.WORKFLOW,
    "retriever": StepType.RETRIEVAL,
    "evaluator": StepType.EVALUATOR,
    "embedding": StepType.EMBEDDING,
    "guardrail": StepType.GUARDRAIL,
}
_OPERATIONS = {
    "chat": StepType.LLM,
    "generate_content": StepType.LLM,
    "text_completion": StepType.LLM,
    "embeddings": StepType.EMBEDDING,
    "retrieval": StepType.RETRIEVAL,
    "create_agent": StepType.AGENT,
    "invoke_agent": StepType.AGENT,
    "execute_tool": StepType.TOOL,
    "invoke_workflow": StepType.WORKFLOW,
    "plan": StepType.WORKFLOW,
    "search_memory": StepType.MEMORY,
    "create_memory": StepType.MEMORY,
    "update_memory": StepType.MEMORY,
    "upsert_memory": StepType.MEMORY,
    "delete_memory": StepType.MEMORY,
    "create_memory_store": StepType.MEMORY,
    "delete_memory_store": StepType.MEMORY,
    "list_memory": StepType.MEMORY,
    "get_memory": StepType.MEMORY,
    "rerank": StepType.RERANK,
    "decide": StepType.LLM,
    "agent_step": StepType.WORKFLOW,
    "handle_conversation_turn": StepType.WORKFLOW,
    "apply_guardrail": StepType.GUARDRAIL,
    "evaluate": StepType.EVALUATOR,
    "handoff": StepType.HANDOFF,
    "transfer": StepType.HANDOFF,
    "user_speech": StepType.SPAN,
    **dict.fromkeys(  # what a client does beside inference
        (
            "fetch_response",
            "get_response",
            "retrieve_response",
            "delete_response",
            "cancel_response",
            "list_models",
            "retrieve_model",
            "count_tokens",
        ),
        StepType.SPAN,
    ),
    **dict.fromkeys(
        ("realtime_inference", "realtime", "completion", "responses", "create_response", "model_request", "bidi_response"), StepType.LLM
    ),
    **dict.fromkeys(("image_generation", "generate_image", "speech", "text_to_speech", "transcription", "speech_to_text"), StepType.LLM),
    **dict.fromkeys(("run_agent", "agent", "agent.run"), StepType.AGENT),
    **dict.fromkeys(("tool", "tool.execute", "mcp_tool_call", "load_skill", "invoke_skill"), StepType.TOOL),
    **dict.fromkeys(("workflow", "workflow.run", "workflow.step", "task", "execute_task", "execute_event_loop_cycle"), StepType.WORKFLOW),
    **dict.fromkeys(
        ("memory", "memory_add", "memory_search", "memory_get", "memory_update", "memory_delete", "list_memories", "get_memories"),
        StepType.MEMORY,
    ),
    **dict.fromkeys(("guardrail", "moderation"), StepType.GUARDRAIL),
    "evaluation": StepType.EVALUATOR,
}
_MASTRA = {
    "agent_run": StepType.AGENT,
    "workflow_run": StepType.WORKFLOW,
    "workflow_step": StepType.WORKFLOW,
    "model_generation": StepType.LLM,
    "llm_generation": StepType.LLM,
    "model_step": StepType.WORKFLOW,
    "model_chunk": StepType.SPAN,
    "tool_call": StepType.TOOL,
    "mcp_tool_call": StepType.TOOL,
    "generic": StepType.SPAN,
}
_MLFLOW = {
    **_OPENINFERENCE,
    "CHAT_MODEL": StepType.LLM,
    "PARSER": StepType.SPAN,
    "MEMORY": StepType.MEMORY,
    "WORKFLOW": StepType.WORKFLOW,
    "TASK": StepType.WORKFLOW,
}
_TRACELOOP = {"workflow": StepType.WORKFLOW, "task": StepType.WORKFLOW, "agent": StepType.AGENT, "tool": StepType.TOOL}
_REQUEST_TYPES = {"chat": StepType.LLM, "completion": StepType.LLM, "embedding": StepType.EMBEDDING, "rerank": StepType.RERANK}
_GENKIT = {
    "model": StepType.LLM,
    "tool": StepType.TOOL,
    "flow": StepType.WORKFLOW,
    "retriever": StepType.RETRIEVAL,
    "embedder": StepType.EMBEDDING,
    "reranker": StepType.RERANK,
    "evaluator": StepType.EVALUATOR,
    "prompt": StepType.SPAN,
}

_LANGSMITH = {
    "llm": StepType.LLM,
    "chain": StepType.WORKFLOW,
    "tool": StepType.TOOL,
    "retriever": StepType.RETRIEVAL,
    "embedding": StepType.EMBEDDING,
    "prompt": StepType.SPAN,
    "parser": StepType.SPAN,
}

Decision = tuple[StepType, str]
_NOTHING: Decision = (SPAN, "")


def _by(table: dict[str, StepType], key: str, *, upper: bool = False, quoted: bool = False) -> tuple[str, Convert]:
    # exact values are found at once; other spellings (case, quotes, a number) are converted first
    direct = {(text.upper() if upper else text): (decided, f"{key}={text.upper() if upper else text}") for text, decided in table.items()}

    def convert(value: Any) -> Decision | None:
        if value.__class__ is str and value in direct:
            return direct[value]
        text = json_word(value) if quoted else word(value)
        if text is None:
            return None
        decided = table.get(text.upper() if upper else text.lower())
        return None if decided is None else (decided, f"{key}={text}"[:WORD_CHARS_MAX])

    return key, convert


def _always(decided: StepType, key: str) -> tuple[str, Convert]:
    return key, lambda value: (decided, key) if word(value) is not None else None


def _mcp(value: Any) -> Decision | None:
    method = word(value)
    return (
        None
        if method is None
        else (StepType.TOOL if method == "tools/call" else StepType.SPAN, f"mcp.method.name={method}"[:WORD_CHARS_MAX])
    )


def _vercel(value: Any) -> Decision | None:
    operation = word(value)
    if operation is None:
        return None
    _, inner, does = operation.rpartition(".do")
    if inner:
        decided = StepType.EMBEDDING if does.startswith("Embed") else StepType.RERANK if does.startswith("Rerank") else StepType.LLM
    else:
        decided = StepType.TOOL if operation == "ai.toolCall" else StepType.WORKFLOW
    return decided, f"ai.operationId={operation}"[:WORD_CHARS_MAX]


def _log(value: Any) -> Decision | None:
    return (StepType.LOG, "logfire.span_type=log") if value == "log" else None


def _transfer(value: Any) -> Decision | None:
    return (StepType.HANDOFF, "gen_ai.transfer.mode=pass_control") if value == "pass_control" else None


_STEPS: tuple[tuple[str, Convert] | None, ...] = (
    _by(_OURS, "ams.step.type"),
    _by(_LANGFUSE, "langfuse.observation.type", quoted=True),
    ("gen_ai.transfer.mode", _transfer),
    _by(_OPENINFERENCE, "openinference.span.kind", upper=True, quoted=True),
    _by(_MASTRA, "mastra.span.type"),
    _by(_OPERATIONS, "gen_ai.operation.name", quoted=True),
    ("mcp.method.name", _mcp),
    _by(_MLFLOW, "mlflow.spanType", upper=True, quoted=True),
    _by(_TRACELOOP, "traceloop.span.kind"),
    _by(_REQUEST_TYPES, "llm.request.type"),
    ("ai.operationId", _vercel),
    _by(_GENKIT, "genkit:metadata:subtype"),
    _by(_LANGSMITH, "langsmith.span.kind"),
    _by(_OPENINFERENCE, "gen_ai.span.kind", upper=True),
    None,  # gen_ai.handoff.*
    _always(StepType.TOOL, "gen_ai.tool.name"),
    _always(StepType.TOOL, "gen_ai.tool.call.id"),
    None,  # the span's name, by scope
    _always(StepType.WORKFLOW, "event_loop.cycle_id"),
    None,  # any model attribute
    None,  # messaging.*, http.*, db.*
    ("logfire.span_type", _log),
)
_HANDOFF_RANK, _NAME_RANK, _MODEL_RANK, _PROTOCOL_RANK = (rank for rank, step in enumerate(_STEPS) if step is None)

LADDERS = (Ladder(Field.TYPE, _STEPS),)


def _handoff(_: Any) -> Decision:
    return StepType.HANDOFF, "gen_ai.handoff"


def _protocol(_: Any) -> Decision:
    return SPAN, "protocol"


PREFIXES = (
    Prefix("gen_ai.handoff.", field=Field.TYPE, rank=_HANDOFF_RANK, convert=_handoff),
    Prefix("messaging.", field=Field.TYPE, rank=_PROTOCOL_RANK, convert=_protocol),
    Prefix("http.", field=Field.TYPE, rank=_PROTOCOL_RANK, convert=_protocol),
    Prefix("db.", field=Field.TYPE, rank=_PROTOCOL_RANK, convert=_protocol),
)


def type_of(found: Found, span: Span, scope_name: str) -> Decision:
    """The type of the step, and the attribute that decided it (``type_raw``: ``key=value``; empty when none did)."""
    rank = found.ranks[Field.TYPE]
    if rank < _NAME_RANK:
        return _with_name(found, span, scope_name) if scope_name.startswith(openinference.SCOPES) else found.values[Field.TYPE]
    by_name = (
        adk.type_by_name(span.name) if scope_name == adk.SCOPE else livekit.type_by_name(span.name) if scope_name == livekit.SCOPE else None
    )
    if by_name is not None:
        return by_name, f"{scope_name}:{span.name}"[:WORD_CHARS_MAX]
    called = _model_call(found, span) if rank > _MODEL_RANK else None
    if called is not None:
        return LLM, called
    if rank == _PROTOCOL_RANK and scope_name.startswith(autogen.SCOPE) and str(found.keys[Field.TYPE]).startswith("messaging."):
        return SPAN, MESSAGING
    return found.values[Field.TYPE] or _NOTHING


def _model_call(found: Found, span: Span) -> str | None:
    """What makes a span a model call that says so in no other way; ``None`` when nothing does."""
    for field in (Field.MODEL_REQUESTED, Field.MODEL):
        if found.values[field] is not None:
            return str(found.keys[field])
    # usage, or what was said to a model and what it answered: a model call whose instrumentation names neither model nor operation
    for field in (Field.USAGE_MAP, Field.INPUT_TOKENS, Field.OUTPUT_TOKENS, Field.TOTAL_TOKENS):
        if found.values[field] is not None:
            return str(found.keys[field])
    return _conversation(found, span)


def _conversation(found: Found, span: Span) -> str | None:
    """What says that a model was asked and answered: attributes, flattened messages, or events; ``None`` when nothing does."""
    if found.keys[Field.INPUT] == "gen_ai.input.messages" and found.keys[Field.OUTPUT] == "gen_ai.output.messages":
        return "gen_ai.output.messages"
    if found.groups is not None:
        for asked, answered, key in _FLAT_CONVERSATIONS:
            if asked in found.groups and answered in found.groups:
                return key
    return events.CHOICE if span.events and events.is_model_call(span.events) else None


_FLAT_CONVERSATIONS = (
    (Group.INPUT_MESSAGES, Group.OUTPUT_MESSAGES, "llm.output_messages"),
    (Group.PROMPTS, Group.COMPLETIONS, "gen_ai.completion"),
)


def _with_name(found: Found, span: Span, scope_name: str) -> Decision:
    decision: Decision = found.values[Field.TYPE]
    better = openinference.type_by_name(scope_name, span.name, decision[0], found.values[Field.TAG_MAP])
    return decision if better is None else (better, f"{scope_name}:{span.name}"[:WORD_CHARS_MAX])
