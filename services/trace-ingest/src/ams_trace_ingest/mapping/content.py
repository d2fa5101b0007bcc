"""Input and output of a step: which attribute, event or group of attributes they are read from (``docs/mapping.md``).

Conversations become messages (``docs/messages.md``): always where the attribute is defined as one, and on model calls wherever one is found.
Everything else stays as it was sent. For model calls messages win over ``input.value``; for all other steps ``input.value`` wins.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from ams_contracts.documents import BILLABLE_TYPES, StepType
from ams_trace_ingest.mapping.attribute_rules import UNRANKED, Field, Found, Group, Ladder, Prefix
from ams_trace_ingest.mapping.convert import Convert, json_items, load, present, word
from ams_trace_ingest.mapping.media import MediaCollector, may_hold_media, referenced
from ams_trace_ingest.mapping.messages import Message, messages_of, system_message
from ams_trace_ingest.mapping.parts import parsed
from ams_trace_ingest.mapping.previews import preview_of, preview_of_input, preview_of_output, preview_of_text
from ams_trace_ingest.mapping.span_model import Span
from ams_trace_ingest.mapping.vendors import adk, events, flat, vercel

MESSAGES = "application/vnd.ams.messages+json"
JSON = "application/json"
TEXT = "text/plain"
_JSON_BEGINS = frozenset({"{", "[", '"'})
_encode = msgspec.json.Encoder().encode


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
    ),
)
_EVENTS_IN, _FLAT_IN, _PROMPTS_IN, _VALUE_IN = (rank for rank, step in enumerate(_INPUT_STEPS) if step is None)
_EVENTS_OUT, _FLAT_OUT, _COMPLETIONS_OUT, _VERCEL_OUT, _VALUE_OUT = (rank for rank, step in enumerate(_OUTPUT_STEPS) if step is None)

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
)

_CONVERSATIONS = frozenset(
    {
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "pydantic_ai.all_messages",
        "ai.prompt.messages",
        "ai.prompt",
        "gcp.vertex.agent.llm_request",
        "gcp.vertex.agent.llm_response",
    }
)


_CONTENT_GROUPS = frozenset(prefix.group for prefix in PREFIXES)
_SPREAD = slice(Field.RESPONSE_TEXT, Field.RESPONSE_REASONING + 1)  # one answer in several attributes
_NOTHING_SPREAD = [None] * (_SPREAD.stop - _SPREAD.start)


class Content(Struct, gc=False):
    """One side of a step.

    Attributes:
        mime: ``MESSAGES``, ``JSON`` or ``TEXT``.
        text: The payload.
        preview: At most 512 characters of its text.
        keys: The attributes that it contains completely.
        cut_from: The true length in bytes when intake had cut it, else 0.
    """

    mime: str
    text: str
    preview: str
    keys: list[str]
    cut_from: int = 0


class _Side(Struct, gc=False, frozen=True):
    """The fields and ranks of input or output."""

    field: int
    value: int
    mime: int
    words: Callable[[list[Message]], str]
    value_rank: int


_IN = _Side(Field.INPUT, Field.INPUT_VALUE, Field.INPUT_MIME, preview_of_input, _VALUE_IN)
_OUT = _Side(Field.OUTPUT, Field.OUTPUT_VALUE, Field.OUTPUT_MIME, preview_of_output, _VALUE_OUT)


def content_of(found: Found, span: Span, step_type: StepType) -> tuple[Content | None, Content | None]:
    """Input and output of a step. Bytes of images and files may still be in them: see ``with_references``.

    Args:
        found: What the attributes say.
        span: For its events, and for what was cut.
        step_type: Model calls prefer messages.
    """
    asked, answered = _content_of(found, span, step_type)
    if found.values[Field.MEMORY_RECORDS] is not None:
        asked, answered = _with_records(found, asked, answered)
    return asked, answered


def holds_media(content: Content | None) -> bool:
    """Whether ``with_references`` may find bytes in the content; cheap."""
    return content is not None and content.mime != TEXT and may_hold_media(content.text)


def with_references(content: Content | None, media: MediaCollector) -> Content | None:
    """The content in which references replace the bytes of images, sounds and files."""
    if content is None or content.mime == TEXT:
        return content
    value = load(content.text)
    changed = referenced(value, media)
    if changed is value:
        return content
    preview = content.preview if content.mime == MESSAGES else preview_of(changed)
    return replace(content, text=_encode(changed).decode(), preview=preview)


def _content_of(found: Found, span: Span, step_type: StepType) -> tuple[Content | None, Content | None]:
    groups = found.groups
    written = found.values[Field.SPOKEN]
    spoken = events.conversation_of(written or span.events) if span.events or written is not None else None
    if (
        spoken is None
        and (groups is None or _CONTENT_GROUPS.isdisjoint(groups))
        and found.values[_SPREAD] == _NOTHING_SPREAD
        and found.values[Field.SYSTEM] is None
    ):
        return _attribute(found, span, step_type, _IN), _attribute(found, span, step_type, _OUT)
    return _input(found, span, step_type, spoken), _output(found, span, step_type, spoken)


def _with_records(found: Found, asked: Content | None, answered: Content | None) -> tuple[Content | None, Content | None]:
    """Memory records are what a search found, and what every other operation is given."""
    records = parsed(found.values[Field.MEMORY_RECORDS])
    content = Content(JSON, _encode(records).decode(), preview_of(records), _keys(found, Field.MEMORY_RECORDS))
    decision = found.values[Field.TYPE]
    reads = decision is not None and decision[1].startswith(
        ("gen_ai.operation.name=search", "gen_ai.operation.name=get", "gen_ai.operation.name=list")
    )
    if reads or found.keys[Field.INPUT] == "gen_ai.memory.query.text":
        return asked, answered or content
    return asked or content, answered


def _decision(found: Found, *, answers: bool) -> Content | None:
    """What a decision model was asked (``ai.decision.questions`` about a ``state``), or what it answered."""
    if found.groups is None or Group.DECISION not in found.groups:
        return None
    entries = [entry for entry in found.group(Group.DECISION) if (entry[0][0] == "answers") is answers]
    if not entries:
        return None
    value: Any = {".".join(map(str, path)): parsed(item) for path, item, _ in entries}
    if answers:
        value = value.get("answers", value)
    return Content(JSON, _encode(value).decode(), preview_of(value), [key for _, _, key in entries])


def _value_first(found: Found, step_type: StepType, side: _Side) -> bool:
    return found.values[side.value] is not None and step_type not in BILLABLE_TYPES


def _input(  # noqa: PLR0911  one return for each source
    found: Found, span: Span, step_type: StepType, spoken: events.Conversation | None
) -> Content | None:
    rank = _rank(found, step_type, _IN)
    if rank > _EVENTS_IN and spoken is not None and (spoken.input or spoken.system):
        return _messages(spoken.asked or spoken.system, _IN, [])
    if rank > _FLAT_IN:
        entries = found.group(Group.INPUT_MESSAGES)
        messages = flat.openinference_messages(entries) if entries else []
        if messages:
            return _messages(messages, _IN, [key for _, _, key in entries])
    if rank > _PROMPTS_IN:
        entries = found.group(Group.PROMPTS)
        messages = flat.openllmetry_messages(entries, "user") if entries else []
        if messages:
            return _messages(messages, _IN, [key for _, _, key in entries])
    content = _attribute(found, span, step_type, _IN) or _decision(found, answers=False)
    if content is not None and found.keys[Field.INPUT] == "reranker.query" and content.keys == ["reranker.query"]:
        entries = found.group(Group.INPUT_DOCUMENTS)
        asked = {"query": found.values[Field.INPUT], "documents": flat.documents(entries)}
        return (
            Content(JSON, _encode(asked).decode(), content.preview, ["reranker.query", *(key for _, _, key in entries)])
            if entries
            else content
        )
    if content is not None:
        return content
    for group, reader in ((Group.EMBEDDINGS, flat.embedded_texts), (Group.INPUT_DOCUMENTS, flat.documents)):
        entries = found.group(group)
        values = reader(entries) if entries else None
        if values:
            return Content(JSON, _encode(values).decode(), preview_of(values), [])
    system = system_message(parsed(found.values[Field.SYSTEM]))
    return None if system is None else _messages([system], _IN, _keys(found, Field.SYSTEM))


def _output(found: Found, span: Span, step_type: StepType, spoken: events.Conversation | None) -> Content | None:
    rank = _rank(found, step_type, _OUT)
    if rank > _EVENTS_OUT and spoken is not None and spoken.output:
        return _messages(spoken.output, _OUT, [])
    if rank > _FLAT_OUT:
        entries = found.group(Group.OUTPUT_MESSAGES)
        messages = flat.openinference_messages(entries) if entries else []
        if messages:
            return _messages(messages, _OUT, [key for _, _, key in entries])
    if rank > _COMPLETIONS_OUT:
        entries = found.group(Group.COMPLETIONS)
        messages = flat.openllmetry_messages(entries, "assistant") if entries else []
        if messages:
            return _messages(messages, _OUT, [key for _, _, key in entries])
    if rank > _VERCEL_OUT:
        values = found.values
        answer = vercel.answer(values[Field.RESPONSE_TEXT], values[Field.RESPONSE_TOOL_CALLS], values[Field.RESPONSE_REASONING])
        if answer is not None:
            return _messages(answer, _OUT, _keys(found, Field.RESPONSE_TEXT, Field.RESPONSE_TOOL_CALLS, Field.RESPONSE_REASONING))
    entries = found.group(Group.DOCUMENTS)
    values_ = flat.documents(entries) if entries else []
    if values_ and found.ranks[Field.OUTPUT] > _EVENTS_OUT:
        return Content(JSON, _encode(values_).decode(), preview_of(values_), [key for _, _, key in entries])
    return _attribute(found, span, step_type, _OUT) or _decision(found, answers=True)


def _rank(found: Found, step_type: StepType, side: _Side) -> int:
    """The rank of the best attribute: -1 when ``input.value`` comes first."""
    if _value_first(found, step_type, side):
        return -1
    return min(found.ranks[side.field], side.value_rank if found.values[side.value] is not None else UNRANKED)


def _attribute(found: Found, span: Span, step_type: StepType, side: _Side) -> Content | None:
    """The content of the best single attribute."""
    field = side.field
    if found.values[side.value] is not None and (step_type not in BILLABLE_TYPES or found.ranks[field] > side.value_rank):
        field = side.value
    value = found.values[field]
    if value is None:
        return None
    keys = [str(found.keys[field])]
    if field == side.value and found.keys[side.mime] is not None:
        keys.append(str(found.keys[side.mime]))
    cut_from = 0 if span.dropped is None else span.dropped.cut.get(keys[0], 0)
    if cut_from:  # a cut value is no longer JSON, and its attribute is not consumed
        text = value if isinstance(value, str) else _encode(value).decode()
        return Content(TEXT, text, preview_of_text(text, side.words), [], cut_from)
    if value.__class__ is str:
        if value[:1] not in _JSON_BEGINS or (field == side.value and found.values[side.mime] == TEXT):
            return Content(TEXT, value, preview_of_text(value, side.words), keys)
        loaded = load(value)
    else:
        loaded = value
    if loaded is None or loaded.__class__ is str:  # text that only begins like JSON, or a JSON string: MLflow quotes every value
        text = value if loaded is None else loaded
        return Content(TEXT, text, preview_of_text(text, side.words), keys)
    if keys[0] in _CONVERSATIONS or step_type in BILLABLE_TYPES:
        messages = messages_of(loaded)
        if messages:
            return _conversation(found, messages, side, keys)
    return Content(JSON, value if value.__class__ is str else _encode(value).decode(), preview_of(loaded, side.words), keys)


def _conversation(found: Found, messages: list[Message], side: _Side, keys: list[str]) -> Content:
    """The messages, preceded by the system instructions when they are a separate attribute."""
    if side is _IN and found.values[Field.SYSTEM] is not None:
        system = system_message(parsed(found.values[Field.SYSTEM]))
        # both are given to the model: instructions apart, and a system message of the history
        if system is not None and system["content"] != messages[0]["content"]:
            return _messages([system, *messages], side, [*keys, *_keys(found, Field.SYSTEM)])
    return _messages(messages, side, keys)


def _messages(messages: list[Message], side: _Side, keys: list[str]) -> Content:
    return Content(MESSAGES, _encode(messages).decode(), side.words(messages), keys)


def _keys(found: Found, *fields: int) -> list[str]:
    return [key for field in fields if (key := found.keys[field]) is not None]
