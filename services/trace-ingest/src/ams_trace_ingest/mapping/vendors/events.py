"""Conversations in span events: OpenTelemetry's newer ``operation.details`` (several of one span are merged) and its legacy messages."""

from typing import Any

from msgspec import Struct

from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.messages import Message, defined_messages, message_of, messages_of, system_message
from ams_trace_ingest.mapping.parts import parsed
from ams_trace_ingest.mapping.span_model import SpanEvent

DETAILS = "gen_ai.client.inference.operation.details"
_LEGACY = {
    "gen_ai.system.message": "system",
    "gen_ai.user.message": "user",
    "gen_ai.assistant.message": "assistant",
    "gen_ai.tool.message": "tool",
}
CHOICE = "gen_ai.choice"
_PROMPT = "gen_ai.content.prompt"
_COMPLETION = "gen_ai.content.completion"
NAMES = frozenset({DETAILS, *_LEGACY, CHOICE, _PROMPT, _COMPLETION})


_FRAMES = ("event.", "gen_ai.", "logfire.")  # of the event, not of the message
_NAMED = tuple(NAMES)  # what is compared with it may be unhashable


class Conversation(Struct, gc=False):
    """What a span's events say, in their order."""

    system: list[Message]
    input: list[Message]
    output: list[Message]

    @property
    def asked(self) -> list[Message]:
        return self.system + self.input


def as_events(value: Any) -> list[SpanEvent] | None:
    """Events that are written into an attribute as a list (pydantic-ai 1, Logfire), or ``None`` when it is something else."""
    value = parsed(value)
    if not isinstance(value, list):
        return None
    found = [
        SpanEvent(item["event.name"], attributes=item) for item in value if isinstance(item, dict) and item.get("event.name") in _NAMED
    ]
    return found or None


def conversation_of(events: list[SpanEvent]) -> Conversation | None:
    """The merged conversation, or ``None`` when no event speaks."""
    result = Conversation([], [], [])
    for event in events:
        if event.name in NAMES:
            add(result, event.name, event.attributes)
    return result if result.system or result.input or result.output else None


def is_model_call(events: list[SpanEvent]) -> bool:
    """Whether events say what a model was asked and what it answered."""
    names = {event.name for event in events}
    if DETAILS in names:
        details = [event.attributes for event in events if event.name == DETAILS]
        return any("gen_ai.input.messages" in said for said in details) and any("gen_ai.output.messages" in said for said in details)
    return (CHOICE in names and not names.isdisjoint(_LEGACY)) or names.issuperset((_PROMPT, _COMPLETION))


def add(result: Conversation, name: str, attributes: dict[str, Any]) -> None:
    """Merge one event (of a span, or of the logs) into a conversation."""
    if name == DETAILS:
        system = system_message(parsed(attributes.get("gen_ai.system_instructions")))
        if system is not None:
            result.system.append(system)
        result.input += _details(attributes.get("gen_ai.input.messages"), "user")
        result.output += _details(attributes.get("gen_ai.output.messages"), "assistant")
    elif name == CHOICE:
        result.output += _choice(attributes)
    elif name == _PROMPT:
        result.input += messages_of(parsed(attributes.get("gen_ai.prompt"))) or _plain("user", attributes.get("gen_ai.prompt"))
    elif name == _COMPLETION:
        result.output += messages_of(parsed(attributes.get("gen_ai.completion"))) or _plain(
            "assistant", attributes.get("gen_ai.completion")
        )
    else:
        message = _legacy(_LEGACY[name], attributes)
        if message is not None:
            (result.system if message["role"] == "system" else result.input).append(message)


def _details(value: Any, role: str) -> list[Message]:
    """The messages of an event's attribute; what is no message of any known form is kept as an unknown part."""
    value = parsed(value)
    if value is None or value in ("", [], {}):
        return []
    return defined_messages(value, role) or [{"role": role, "content": [{"type": "unknown", "value": value}]}]


def _legacy(role: str, attributes: dict[str, Any]) -> Message | None:
    fields = {"role": role, **{key: value for key, value in attributes.items() if not key.startswith(_FRAMES)}}
    for key in ("content", "tool_calls"):
        value = fields.get(key)
        if isinstance(value, str) and value[:1] in {"[", "{"}:
            fields[key] = load(value) or value
    return message_of(fields)


def _choice(attributes: dict[str, Any]) -> list[Message]:
    message = parsed(attributes.get("message"))
    finish = attributes.get("finish_reason")
    if isinstance(message, dict):
        composed = message_of({"role": "assistant", **message, "finish_reason": finish})
    elif isinstance(message, str | list):
        composed = message_of({"role": "assistant", "content": message, "finish_reason": finish})
    else:
        composed = _legacy("assistant", attributes)
    return [] if composed is None else [composed]


def _plain(role: str, text: Any) -> list[Message]:
    return [{"role": role, "content": [{"type": "text", "text": text}]}] if isinstance(text, str) and text else []
