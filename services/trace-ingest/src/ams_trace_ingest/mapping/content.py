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
from ams_trace_ingest.mapping.attribute_rules import UNRANKED, Field, Found, Group
from ams_trace_ingest.mapping.content_rules import (
    COMPLETIONS_OUT,
    EVENTS_IN,
    EVENTS_OUT,
    FLAT_IN,
    FLAT_OUT,
    PREFIXES,
    PROMPTS_IN,
    VALUE_IN,
    VALUE_OUT,
    VERCEL_OUT,
)
from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.media import MediaCollector, may_hold_media, referenced
from ams_trace_ingest.mapping.messages import Message, defined_messages, messages_of, system_message
from ams_trace_ingest.mapping.parts import parsed, parts_of
from ams_trace_ingest.mapping.previews import preview_of, preview_of_input, preview_of_output, preview_of_text
from ams_trace_ingest.mapping.span_model import Span
from ams_trace_ingest.mapping.vendors import events, flat, vercel

MESSAGES = "application/vnd.ams.messages+json"
JSON = "application/json"
TEXT = "text/plain"
_JSON_BEGINS = frozenset({"{", "[", '"'})
_encode = msgspec.json.Encoder().encode


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


_DEFINED = frozenset({"gen_ai.input.messages", "gen_ai.output.messages", "ai.prompt.messages"})  # to hold messages and nothing else
_CONTENT_GROUPS = frozenset(prefix.group for prefix in PREFIXES)
_SPREAD = slice(Field.RESPONSE_TEXT, Field.RESPONSE_FILES + 1)  # one answer in several attributes
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


_IN = _Side(Field.INPUT, Field.INPUT_VALUE, Field.INPUT_MIME, preview_of_input, VALUE_IN)
_OUT = _Side(Field.OUTPUT, Field.OUTPUT_VALUE, Field.OUTPUT_MIME, preview_of_output, VALUE_OUT)


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
    asked = _with_system(found, step_type, _input(found, span, step_type, spoken))
    answered = _output(found, span, step_type, spoken)
    if groups is None:
        return asked, answered
    return _with_files(found, asked, _IN, Group.INPUT_FILES), _with_files(found, answered, _OUT, Group.OUTPUT_FILES)


def _with_system(found: Found, step_type: StepType, asked: Content | None) -> Content | None:
    """The input of a model call, preceded by the system instructions when they are an attribute of their own and not in it yet."""
    if asked is None or asked.cut_from or found.values[Field.SYSTEM] is None or found.keys[Field.SYSTEM] in asked.keys:
        return asked
    if asked.mime == MESSAGES:
        messages = load(asked.text)
    elif asked.mime == TEXT and step_type in BILLABLE_TYPES:
        messages = [{"role": "user", "content": parts_of(asked.text)}]
    else:
        return asked
    changed = _conversation(found, messages, _IN, asked.keys)
    return replace(changed, preview=asked.preview)


def _with_files(found: Found, content: Content | None, side: _Side, group: int) -> Content | None:
    """A side with the images and documents that OpenInference lists beside it."""
    entries = found.group(group)
    parts = flat.files(entries) if entries else []
    if not parts or (content is not None and content.cut_from):
        return content
    role = "user" if side is _IN else "assistant"
    keys = [key for _, _, key in entries]
    if content is None:
        return _messages([{"role": role, "content": parts}], side, keys)
    messages: list[Message] = load(content.text) if content.mime == MESSAGES else [{"role": role, "content": parts_of(content.text)}]
    last = next((message for message in reversed(messages) if message["role"] == role), messages[-1])
    last["content"] = [*last["content"], *parts]
    return replace(_messages(messages, side, [*content.keys, *keys]), preview=content.preview)


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
    if rank > EVENTS_IN and spoken is not None and (spoken.input or spoken.system):
        return _messages(spoken.asked or spoken.system, _IN, [])
    if rank > FLAT_IN:
        entries = found.group(Group.INPUT_MESSAGES)
        messages = flat.openinference_messages(entries) if entries else []
        if messages:
            return _messages(messages, _IN, [key for _, _, key in entries])
    if rank > PROMPTS_IN:
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
    if rank > EVENTS_OUT and spoken is not None and spoken.output:
        return _messages(spoken.output, _OUT, [])
    if rank > FLAT_OUT:
        entries = found.group(Group.OUTPUT_MESSAGES)
        messages = flat.openinference_messages(entries) if entries else []
        if messages:
            return _messages(messages, _OUT, [key for _, _, key in entries])
    if rank > COMPLETIONS_OUT:
        entries = found.group(Group.COMPLETIONS)
        messages = flat.openllmetry_messages(entries, "assistant") if entries else []
        if messages:
            return _messages(messages, _OUT, [key for _, _, key in entries])
    if rank > VERCEL_OUT:
        values = found.values
        answer = vercel.answer(*values[_SPREAD])
        if answer is not None:
            return _messages(answer, _OUT, _keys(found, *range(_SPREAD.start, _SPREAD.stop)))
    entries = found.group(Group.DOCUMENTS)
    values_ = flat.documents(entries) if entries else []
    if values_ and found.ranks[Field.OUTPUT] > EVENTS_OUT:
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
    if value.__class__ is str and (value[:1] not in _JSON_BEGINS or (field == side.value and found.values[side.mime] == TEXT)):
        return Content(TEXT, value, preview_of_text(value, side.words), keys)
    value, loaded = _loaded(value)
    if loaded is None or loaded.__class__ is str:  # text that only begins like JSON, or a JSON string: MLflow quotes every value
        text = value if loaded is None else loaded
        return Content(TEXT, text, preview_of_text(text, side.words), keys)
    if keys[0] in _CONVERSATIONS or step_type in BILLABLE_TYPES:
        messages = defined_messages(loaded, "user" if side is _IN else "assistant") if keys[0] in _DEFINED else messages_of(loaded)
        if messages:
            return _conversation(found, messages, side, keys)
    return Content(JSON, value if value.__class__ is str else _encode(value).decode(), preview_of(loaded, side.words), keys)


def _loaded(value: Any) -> tuple[Any, Any]:
    """An attribute and its JSON value; of JSON that was encoded twice, the inner one."""
    if value.__class__ is not str:
        return value, value
    loaded = load(value)
    if loaded.__class__ is str and loaded[:1] in {"{", "["} and loaded:
        inner = load(loaded)
        if inner is not None:
            return loaded, inner
    return value, loaded


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
