"""The attributes that hold what a step was given and what it answered, in order (``docs/mapping.md``)."""

from typing import Any

from ams_trace_ingest.mapping.attribute_rules import Field, Group, Ladder, Prefix
from ams_trace_ingest.mapping.convert import Convert, json_items, present, word
from ams_trace_ingest.mapping.parts import parsed
from ams_trace_ingest.mapping.vendors import adk, events


def _unless_schema(value: Any) -> Any:
    """``tool.parameters`` holds the arguments or the tool's schema, depending on the sender."""
    loaded = parsed(value)
    if not isinstance(loaded, dict) or "properties" in loaded or not loaded:
        return None
    if all(isinstance(item, dict) and "type" in item for item in loaded.values()):
        return None
    return value


def _at(*keys: str, convert: Convert = present) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, convert) for key in keys)


_INPUT_STEPS: tuple[tuple[str, Convert] | None, ...] = (
    *_at(
        "langfuse.observation.input",
        "gen_ai.input.messages",
        "gen_ai.tool.call.arguments",
        "gen_ai.retrieval.query.text",
        "gen_ai.memory.query.text",
        "mcp.request.argument",
    ),
    None,  # span events
    *_at("gcp.vertex.agent.llm_request", convert=adk.request),
    *_at("gcp.vertex.agent.tool_call_args"),
    None,  # llm.input_messages.N.*
    None,  # gen_ai.prompt.N.*
    *_at("mlflow.spanInputs", "traceloop.entity.input", "ai.prompt.messages", "ai.prompt", "ai.request.text", "ai.toolCall.args"),
    *_at("ai.documents", convert=json_items),
    None,  # input.value
    *_at("tool.parameters", convert=_unless_schema),
    *_at(
        "tool_arguments",
        "pydantic_ai.all_messages",
        "reranker.query",
        "decision.state",
        "prompt",
        "input",
        "gen_ai.task.input",
        "gen_ai.prompt",
        "ai.value",
        "ai.values",
        "request_data",
        "genkit:input",
        "lk.chat_ctx",
        "lk.function_tool.arguments",
        "lk.user_input",
        "gen_ai.tool.args",
        "gen_ai.tool.input",
        "gen_ai.workflow.input",
    ),
)
_OUTPUT_STEPS: tuple[tuple[str, Convert] | None, ...] = (
    *_at(
        "langfuse.observation.output",
        "gen_ai.output.messages",
        "gen_ai.tool.call.result",
        "gen_ai.retrieval.documents",
        "mcp.response.value",
    ),
    None,  # span events
    *_at("gcp.vertex.agent.llm_response", "gcp.vertex.agent.tool_response", convert=adk.request),
    None,  # llm.output_messages.N.*
    None,  # gen_ai.completion.N.*
    *_at("mlflow.spanOutputs", "traceloop.entity.output"),
    None,  # ai.response.text, .toolCalls
    *_at("ai.response.object", "ai.toolCall.result"),
    *_at("ai.ranking", convert=json_items),
    None,  # output.value
    *_at(
        "tool_response",
        "final_result",
        "output",
        "gen_ai.task.output",
        "gen_ai.completion",
        "response_data",
        "genkit:output",
        "lk.response.text",
        "lk.function_tool.output",
        "gen_ai.tool.result",
        "gen_ai.tool.output",
        "gen_ai.workflow.output",
    ),
)
EVENTS_IN, FLAT_IN, PROMPTS_IN, VALUE_IN = (rank for rank, step in enumerate(_INPUT_STEPS) if step is None)
EVENTS_OUT, FLAT_OUT, COMPLETIONS_OUT, VERCEL_OUT, VALUE_OUT = (rank for rank, step in enumerate(_OUTPUT_STEPS) if step is None)

LADDERS = (
    Ladder(Field.INPUT, _INPUT_STEPS),
    Ladder(Field.INPUT_VALUE, _at("input.value")),
    Ladder(Field.INPUT_MIME, _at("input.mime_type", convert=word)),
    Ladder(Field.MEMORY_RECORDS, _at("gen_ai.memory.records")),
    Ladder(Field.SYSTEM, _at("gen_ai.system_instructions")),
    Ladder(Field.OUTPUT, _OUTPUT_STEPS),
    Ladder(Field.OUTPUT_VALUE, _at("output.value")),
    Ladder(Field.OUTPUT_MIME, _at("output.mime_type", convert=word)),
    Ladder(Field.SPOKEN, _at("events", "all_messages_events", convert=events.as_events)),
    Ladder(Field.RESPONSE_TEXT, _at("ai.response.text")),
    Ladder(Field.RESPONSE_TOOL_CALLS, _at("ai.response.toolCalls")),
    Ladder(Field.RESPONSE_REASONING, _at("ai.response.reasoning")),
    Ladder(Field.RESPONSE_FILES, _at("ai.response.files")),
)
PREFIXES = (
    Prefix("llm.input_messages.", group=Group.INPUT_MESSAGES),
    Prefix("llm.output_messages.", group=Group.OUTPUT_MESSAGES),
    Prefix("gen_ai.prompt.", group=Group.PROMPTS),
    Prefix("gen_ai.completion.", group=Group.COMPLETIONS),
    Prefix("llm.prompts.", group=Group.PROMPTS),
    Prefix("llm.completions.", group=Group.COMPLETIONS),
    Prefix("llm.choices.", group=Group.COMPLETIONS),
    Prefix("retrieval.documents.", group=Group.DOCUMENTS),
    Prefix("reranker.output_documents.", group=Group.DOCUMENTS),
    Prefix("reranker.input_documents.", group=Group.INPUT_DOCUMENTS),
    Prefix("embedding.embeddings.", group=Group.EMBEDDINGS),
    Prefix("ai.decision.", group=Group.DECISION),
    *(Prefix(f"input.{kind}.", group=Group.INPUT_FILES) for kind in ("images", "documents", "audios")),
    *(Prefix(f"output.{kind}.", group=Group.OUTPUT_FILES) for kind in ("images", "documents", "audios")),
)
