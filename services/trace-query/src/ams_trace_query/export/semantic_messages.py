"""A conversation in the form of OpenTelemetry's GenAI conventions (``gen_ai.input.messages``), from ours (``docs/messages.md``)."""

from typing import Any

import msgspec

MESSAGES_MIME = "application/vnd.ams.messages+json"
_decode = msgspec.json.Decoder(list[dict[str, Any]])


def semantic_messages(text: str) -> str | None:
    """Messages as the JSON text of the conventions; null when the text was cut or is no list of messages.

    Args:
        text: A payload of type ``MESSAGES_MIME``.
    """
    try:
        messages = _decode.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError):
        return None
    return msgspec.json.encode([_message(message) for message in messages]).decode()


def _message(message: dict[str, Any]) -> dict[str, Any]:
    content = message.get("content")
    others = {key: value for key, value in message.items() if key != "content"}
    return {**others, "parts": [_part(part) for part in content] if isinstance(content, list) else []}


def _part(part: Any) -> Any:
    """A part under the conventions' names; one that they do not know is kept."""
    if not isinstance(part, dict):
        return part
    others: dict[str, Any] = {key: value for key, value in part.items() if key not in {"text", "result"}}
    match part.get("type"):
        case "text" | "reasoning":
            return {**others, "content": part.get("text", "")}
        case "tool_result":
            return {**others, "type": "tool_call_response", "response": part.get("result")}
        case _:
            return part
