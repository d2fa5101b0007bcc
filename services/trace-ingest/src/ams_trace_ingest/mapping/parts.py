"""The parts of a message in one form, whatever dialect they came in. The form is described in ``docs/messages.md``.

Dialects: OpenTelemetry GenAI ``parts``, OpenAI chat and responses, Anthropic, Gemini, Bedrock and Strands, the Vercel AI SDK, LangChain.
"""

from collections.abc import Callable
from typing import Any

from ams_trace_ingest.mapping.convert import load

Part = dict[str, Any]

_TEXT = frozenset({"text", "input_text", "output_text"})
_REASONING = frozenset({"reasoning", "thinking", "redacted_thinking"})
_CALLS = frozenset({"tool_call", "tool_use", "function_call", "tool-call", "server_tool_use", "server_tool_call"})
_RESULTS = frozenset(
    {
        "tool_call_response",
        "tool_result",
        "function_call_output",
        "tool-result",
        "tool_response",
        "web_search_tool_result",
        "server_tool_call_response",
    }
)
_MEDIA = frozenset(
    {"image", "image_url", "input_image", "audio", "input_audio", "file", "input_file", "blob", "uri", "media", "document", "video"}
)
_BASE64_BYTES = 3 / 4


def parts_of(content: Any) -> list[Part]:
    """A message's content as parts: a string, one part, or a list of either."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    if isinstance(content, list):
        return [part for part in map(part_of, content) if part is not None]
    part = part_of(content)
    return [] if part is None else [part]


def text_part(text: str) -> Part:
    """Words."""
    return {"type": "text", "text": text}


def part_of(value: Any) -> Part | None:
    """One part, or ``None`` for nothing. What is not understood stays as it came."""
    if isinstance(value, str):
        return text_part(value) if value else None
    if not isinstance(value, dict):
        return None if value is None else {"type": "unknown", "value": value}
    kind = value.get("type")
    if not isinstance(kind, str):
        return _untyped(value)
    reader = _READERS.get(kind.lower())
    return value if reader is None else reader(value)


def call_part(value: dict[str, Any]) -> Part:
    """A request for a tool."""
    function = value.get("function")
    inner: dict[str, Any] = function if isinstance(function, dict) else value
    arguments = _first(inner, ("arguments", "input", "args", "parameters"))
    return {
        "type": "tool_call",
        "id": _identifier(_first(value, ("id", "call_id", "toolCallId", "tool_call_id", "toolUseId"))),
        "name": str(_first(inner, ("name", "toolName", "tool_name")) or ""),
        "arguments": parsed(arguments),
    }


def result_part(value: dict[str, Any]) -> Part:
    """A tool's answer."""
    part: Part = {
        "type": "tool_result",
        "id": _identifier(_first(value, ("id", "tool_use_id", "call_id", "toolCallId", "tool_call_id", "toolUseId"))),
    }
    name = _first(value, ("name", "toolName", "tool_name"))
    if isinstance(name, str):
        part["name"] = name
    part["result"] = unwrapped(_first(value, ("response", "result", "output", "content")))
    return part


def unwrapped(result: Any) -> Any:
    """A tool's answer without the dialect's wrapping: a list with one text is that text."""
    if isinstance(result, list) and len(result) == 1 and isinstance(result[0], dict):
        part = result[0]
        if set(part) <= {"type", "text"} and isinstance(part.get("text"), str):
            return part["text"]
    if isinstance(result, dict) and set(result) == {"type", "value"}:  # Vercel: {"type": "json", "value": ...}
        return result["value"]
    return parsed(result)


def parsed(value: Any) -> Any:
    """A JSON value; a string that is the JSON of a list or a map is read."""
    if isinstance(value, str) and value[:1] in {"{", "["} and value:
        loaded = load(value)
        return value if loaded is None else loaded
    return value


def _untyped(value: dict[str, Any]) -> Part | None:
    """Gemini and Bedrock name the part by the key it is under."""
    for key in ("function_call", "functionCall", "toolUse"):
        if isinstance(value.get(key), dict):
            return call_part(value[key])
    for key in ("function_response", "functionResponse", "toolResult"):
        if isinstance(value.get(key), dict):
            return result_part(value[key])
    if isinstance(value.get("reasoningContent"), dict):
        inner = value["reasoningContent"].get("reasoningText", value["reasoningContent"])
        return {"type": "reasoning", "text": _words(inner, ("text",)) if isinstance(inner, dict) else ""}
    for key in ("inline_data", "inlineData", "file_data", "fileData", "image", "document", "video"):
        if isinstance(value.get(key), dict):
            return _media(value[key], key)
    if isinstance(value.get("text"), str):
        return {"type": "reasoning", "text": value["text"]} if value.get("thought") is True else text_part(value["text"])
    return {"type": "unknown", **value} if value else None


def _text(value: dict[str, Any]) -> Part | None:
    text = value.get("text")
    if text is None:
        text = value.get("content")
    if isinstance(text, dict):  # {"text": {"value": ...}}
        text = text.get("value")
    if not isinstance(text, str):
        return None if text is None else value
    return text_part(text) if text else None


def _media(value: dict[str, Any], kind: str = "") -> Part:
    kind = kind or str(value["type"])
    inner: Any = next(
        (value[key] for key in ("image_url", "source", "input_audio", "image", "file") if isinstance(value.get(key), dict)), value
    )
    mime = _first(inner, ("mime_type", "media_type", "mimeType", "mediaType")) or _first(
        value, ("mime_type", "media_type", "mimeType", "mediaType")
    )
    link = _first(inner, ("url", "uri", "file_uri", "fileUri")) or next(
        (value[key] for key in ("image_url", "image", "url") if isinstance(value.get(key), str)), None
    )
    data = _first(inner, ("data", "bytes", "content", "file_data"))
    if isinstance(link, str) and link.startswith("data:"):
        head, _, data = link.partition(",")
        mime = mime or head[5:].partition(";")[0]
        link = None
    part: Part = {"type": "media", "mime": mime if isinstance(mime, str) else _guess(kind)}
    if isinstance(link, str):
        part["uri"] = link
    elif isinstance(data, str):
        part["bytes"] = int(len(data) * _BASE64_BYTES)
    return part


def _guess(kind: str) -> str:
    return "image/*" if "image" in kind else "audio/*" if "audio" in kind else "video/*" if "video" in kind else "application/octet-stream"


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)


def _identifier(value: Any) -> str | None:
    return None if value is None else str(value)


def _words(value: dict[str, Any], keys: tuple[str, ...]) -> str:
    found = _first(value, keys)
    if isinstance(found, list):
        return "\n".join(str(item.get("text", "")) if isinstance(item, dict) else str(item) for item in found)
    return found if isinstance(found, str) else ""


def _reasoning(value: dict[str, Any]) -> Part:
    return {"type": "reasoning", "text": _words(value, ("content", "thinking", "text", "reasoning", "summary"))}


_READERS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    **dict.fromkeys(_TEXT, _text),
    **dict.fromkeys(_REASONING, _reasoning),
    **dict.fromkeys(_CALLS, call_part),
    **dict.fromkeys(_RESULTS, result_part),
    **dict.fromkeys(_MEDIA, _media),
}
