"""The parts of a message of every dialect in one form, described in ``docs/messages.md``.

Dialects: OpenTelemetry GenAI ``parts``, OpenAI chat and responses, Anthropic, Gemini, Bedrock and Strands, the Vercel AI SDK, pydantic-ai, LangChain.

A reader translates the fields that it knows and copies all others, so that no content is lost.
"""

from collections.abc import Callable, Collection
from typing import Any

from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.media import ANY_BYTES, BYTES_KEYS, MIME_KEYS, bytes_of, is_link
from ams_trace_ingest.mapping.mime import mime_by_name, mime_of

Part = dict[str, Any]

_TEXT = ("text", "input_text", "output_text")
_REASONING = ("reasoning", "thinking", "redacted_thinking")
_CALLS = ("tool_call", "tool_use", "function_call", "server_tool_use", "server_tool_call", "mcp_tool_use", "builtin_tool_call")
_RESULTS = (
    "tool_call_response",
    "tool_result",
    "tool_response",
    "server_tool_call_response",
    "builtin_tool_return",
    "tool_return",
    "tool_error",
)
_MEDIA = (
    "image",
    "image_url",
    "input_image",
    "output_image",
    "audio",
    "audio_url",
    "input_audio",
    "output_audio",
    "video",
    "video_url",
    "input_video",
    "file",
    "input_file",
    "document",
    "document_url",
    "blob",
    "uri",
    "media",
    "binary",
)
_CALL_ENDING = "_call"  # OpenAI's responses API names its server-side tools so: web_search_call, code_interpreter_call
_OUTPUT_ENDINGS = ("_call_output", "_tool_result")  # function_call_output; Anthropic's web_search_tool_result
_ARGUMENTS = ("arguments", "input", "args", "parameters", "arguments_json", "action")
_RESULT = ("response", "result", "output", "content", "outputs", "results")
_IDS = ("id", "call_id", "toolCallId", "tool_call_id", "tool_use_id", "toolUseId")
_NAMES = ("name", "toolName", "tool_name")
_KNOWN_OF_RESULTS = frozenset({"type", *_IDS, *_NAMES})
_KNOWN_OF_CALLS = frozenset({"type", "function", "index", *_IDS})
_STATES = frozenset({"status", "error"})  # of a server-side call, beside its arguments


def parts_of(content: Any) -> list[Part]:
    """A message's content as parts: a string, one part, or a list of either."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [text_part(content)]
    if isinstance(content, list):
        if len(content) == 1:
            return parts_from(content[0])
        return [part for item in content for part in parts_from(item)]
    return parts_from(content)


def text_part(text: str) -> Part:
    """A part of text."""
    return {"type": "text", "text": text}


def parts_from(value: Any) -> list[Part]:  # noqa: PLR0911  one return for each form
    """The parts of one content item: mostly one; a server-side tool call with its result is two. Unknown items are kept unchanged."""
    if isinstance(value, str):
        return [text_part(value)] if value else []
    if not isinstance(value, dict):
        return [] if value is None else [{"type": "unknown", "value": value}]
    kind = value.get("type")
    if not isinstance(kind, str):
        part = _untyped(value)
        return [] if part is None else [part]
    name = kind if kind in _READERS else kind.lower().replace("-", "_")
    reader = _READERS.get(name)
    if reader is not None:
        part = reader(value)
        return [] if part is None else [part]
    if name.endswith(_CALL_ENDING):
        return _server_side_call(value, name)
    if name.endswith(_OUTPUT_ENDINGS):
        return [result_part(value)]
    return [value]


def is_answer(content: Any) -> bool:
    """Whether the content of a tool's message is its answer as a whole: words, files or data, and no parts with a meaning of their own."""
    return not isinstance(content, list) or all(not isinstance(item, dict) or _is_part(item) for item in content)


def call_part(value: dict[str, Any]) -> Part:
    """A request for a tool."""
    function = value.get("function")
    inner: dict[str, Any] = function if isinstance(function, dict) else value
    known = _KNOWN_OF_CALLS
    arguments_key = _key_of(inner, _ARGUMENTS)
    arguments = inner.get(arguments_key) if arguments_key is not None else None
    kind = value.get("type")
    if (
        arguments is None and isinstance(kind, str) and isinstance(value.get(kind), dict)
    ):  # {type: server_tool_call, server_tool_call: {...}}
        arguments = value[kind]
        known |= {kind}
    part: Part = {
        "type": "tool_call",
        "id": _identifier(_first(value, _IDS)),
        "name": str(_first(inner, _NAMES) or ""),
        "arguments": parsed(arguments),
    }
    part = _carry(part, inner, known.union(_NAMES), arguments_key)
    return part if inner is value else _carry(part, value, known)


def result_part(value: dict[str, Any]) -> Part:
    """A tool's answer."""
    part: Part = {
        "type": "tool_result",
        "id": _identifier(_first(value, ("tool_use_id", "call_id", "toolCallId", "tool_call_id", "toolUseId", "id"))),
    }
    name = _first(value, _NAMES)
    if isinstance(name, str):
        part["name"] = name
    key = _key_of(value, _RESULT)
    kind = value.get("type")
    if key is None and isinstance(kind, str) and isinstance(value.get(kind), dict):
        key = kind
    answer = None if key is None else value[key]
    if isinstance(answer, dict) and answer.get("type") in {"error-text", "error-json"}:  # Vercel
        part["is_error"] = True
    part["result"] = unwrapped(answer)
    return _carry(part, value, _KNOWN_OF_RESULTS, key)


def unwrapped(result: Any) -> Any:
    """A tool's answer without the dialect's wrapping: a list with one text is that text, a list of parts is one of parts in our form."""
    if isinstance(result, list) and len(result) == 1 and isinstance(result[0], dict) and set(result[0]) == {"json"}:  # Bedrock
        return result[0]["json"]
    if isinstance(result, list) and result and all(isinstance(item, dict) and _is_part(item) for item in result):
        parts = parts_of(result)
        return parts[0]["text"] if len(parts) == 1 and set(parts[0]) == {"type", "text"} else parts
    if isinstance(result, dict) and result.keys() == {"type", "value"}:  # Vercel: {"type": "json", "value": ...}
        return unwrapped(result["value"])
    return parsed(result)


def parsed(value: Any) -> Any:
    """A JSON value; a string that is the JSON of a list or a map is read."""
    if isinstance(value, str) and value[:1] in {"{", "["} and value:
        loaded = load(value)
        return value if loaded is None else loaded
    return value


def _is_part(value: dict[str, Any]) -> bool:
    kind = value.get("type")
    if not isinstance(kind, str):
        return (len(value) == 1 and (isinstance(value.get("text"), str) or "json" in value)) or any(
            isinstance(value.get(key), dict) for key in _MEDIA_WRAPPERS
        )
    return kind.lower().replace("-", "_") in _PARTS_OF_RESULTS


def _server_side_call(value: dict[str, Any], kind: str) -> list[Part]:
    """``web_search_call`` and the like: the call, and what the tool answered when the item holds it."""
    call_id = _identifier(_first(value, ("call_id", "id")))
    result_key = _key_of(value, ("output", "outputs", "results", "result"))
    known = {"type", "id", "call_id", "name", result_key}
    name = value.get("name")
    part: Part = {"type": "tool_call", "id": call_id, "name": name if isinstance(name, str) else kind.removesuffix(_CALL_ENDING)}
    arguments_key = _key_of(value, _ARGUMENTS)
    if arguments_key is not None:
        part["arguments"] = parsed(value[arguments_key])
        part = _carry(part, value, {*known, arguments_key})
    else:  # code_interpreter_call has `code`, file_search_call has `queries`
        said = {key: item for key, item in value.items() if key not in known and item is not None}
        part["arguments"] = {key: item for key, item in said.items() if key not in _STATES}
        part = _carry(part, {key: item for key, item in said.items() if key in _STATES}, ())
    if result_key is None or value[result_key] in ([], ""):
        return [part]
    answered = value[result_key]
    if kind == "image_generation_call" and isinstance(answered, str):
        extension = value.get("output_format")
        return [part, _media({"type": "image", "data": answered, "format": extension if isinstance(extension, str) else "png"})]
    return [part, {"type": "tool_result", "id": call_id, "result": unwrapped(answered)}]


_CALL_WRAPPERS = ("function_call", "functionCall", "toolUse", "executable_code", "executableCode")
_RESULT_WRAPPERS = ("function_response", "functionResponse", "toolResult", "code_execution_result", "codeExecutionResult")
_MEDIA_WRAPPERS = ("inline_data", "inlineData", "file_data", "fileData", "image", "document", "video", "audio")


_WRAPPERS = frozenset({*_CALL_WRAPPERS, *_RESULT_WRAPPERS, *_MEDIA_WRAPPERS})


def _untyped(value: dict[str, Any]) -> Part | None:
    """Gemini and Bedrock name the part by the key it is under."""
    if not _WRAPPERS.isdisjoint(value):
        for wrappers, reader in ((_CALL_WRAPPERS, _wrapped_call), (_RESULT_WRAPPERS, _wrapped_result), (_MEDIA_WRAPPERS, _media_of)):
            for key in wrappers:
                if isinstance(value.get(key), dict):
                    return _carry(reader(value[key], key), value, {key})
    if isinstance(value.get("reasoningContent"), dict):
        inner = value["reasoningContent"].get("reasoningText", value["reasoningContent"])
        part: Part = {"type": "reasoning", "text": _words(inner, ("text",)) if isinstance(inner, dict) else ""}
        part = _carry(part, inner if isinstance(inner, dict) else {}, {"text"})
        return _carry(part, value, {"reasoningContent"})
    if isinstance(value.get("text"), str):
        kind = "reasoning" if value.get("thought") is True else "text"
        return _carry({"type": kind, "text": value["text"]}, value, {"text", "thought"})
    if isinstance(value.get("content"), str) and set(value) <= {"content", "kind"}:
        return text_part(value["content"])
    return {"type": "unknown", **value} if value else None


def _wrapped_call(inner: dict[str, Any], key: str) -> Part:
    if key in {"executable_code", "executableCode"}:
        return {"type": "tool_call", "id": _identifier(inner.get("id")), "name": "code_execution", "arguments": inner}
    return call_part(inner)


def _wrapped_result(inner: dict[str, Any], key: str) -> Part:
    if key in {"code_execution_result", "codeExecutionResult"}:
        return _carry(
            {"type": "tool_result", "id": _identifier(inner.get("id")), "name": "code_execution", "result": inner.get("output")},
            inner,
            {"id", "output"},
        )
    return result_part(inner)


def _media_of(inner: dict[str, Any], key: str) -> Part:
    return _media({**inner, "type": key.removesuffix("_data").removesuffix("Data")})


def _text(value: dict[str, Any]) -> Part | None:
    key = "text" if value.get("text") is not None else "content"
    text = value.get(key)
    if isinstance(text, dict):  # {"text": {"value": ...}}
        text = text.get("value")
    if not isinstance(text, str):
        return None if text is None else value
    if not text:
        return None
    return text_part(text) if len(value) == 2 else _carry(text_part(text), value, ("type", key))  # noqa: PLR2004  type and text


_HOLDERS = (
    "image_url",
    "source",
    "input_audio",
    "image",
    "file",
    "audio",
    "video",
    "document",
    "inline_data",
    "inlineData",
    "file_data",
    "url",
    "data",
)
_LINKS = ("url", "uri", "file_uri", "fileUri", "file_url", "image_url", "image", "audio", "video", "document", "file")


def _media(value: dict[str, Any]) -> Part:
    """An image, a sound or a file. Bytes that came inline are in ``data`` until ``media.referenced`` replaces them by their hash."""
    flat = _flat(value)
    if flat.get("source_kind") in {"text", "content"} and not isinstance(flat.get("url"), str):
        return _document_words(flat)
    kind = f"{flat.get('type')} {flat.get('modality', '')}".lower()
    mime = _first(flat, MIME_KEYS)
    link: str | None = None
    data: Any = None
    used = {"type", "modality", "source_kind", *MIME_KEYS}
    # the content of a text file comes as it is, except in OpenTelemetry's blobs
    keys = _LINKS if isinstance(mime, str) and mime.startswith("text/") and "blob" not in kind else (*_LINKS, *BYTES_KEYS, "file_data")
    for key in keys:
        item = flat.get(key)
        if item is None:
            continue
        if isinstance(item, str) and item[:5] == "data:":
            head, _, item = item.partition(",")
            mime = mime or head[5:].partition(";")[0]
        elif isinstance(item, str) and key in _LINKS and is_link(item):
            link, used = link or item, {*used, key}
            continue
        if data is None and bytes_of(item) is not None:
            data, used = item, {*used, key}
    part: Part = {"type": "media", "mime": mime if isinstance(mime, str) and mime else mime_of(kind, flat.get("format"))}
    if part["mime"] == ANY_BYTES:
        names = (link, flat.get("filename"), flat.get("file_name"), flat.get("name"))
        part["mime"] = next((mime for name in names if (mime := mime_by_name(name)) is not None), ANY_BYTES)
    if link is not None:
        part["uri"] = link
    if data is not None:
        part["data"] = data
    return _carry(part, flat, used)


def _flat(value: dict[str, Any]) -> dict[str, Any]:
    """The fields of a media part and of the maps in which dialects wrap them."""
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if key in _HOLDERS and isinstance(item, dict) and bytes_of(item) is None:
            inner = _flat({name: field for name, field in item.items() if name != "type"})
            if isinstance(item.get("type"), str):
                inner["source_kind"] = item["type"]
            flat = {**inner, **flat}
        else:
            flat[key] = item
    return flat


def _document_words(flat: dict[str, Any]) -> Part:
    """Anthropic's documents of plain text or of blocks: words, not bytes."""
    key = next((name for name in ("data", "content", "text") if flat.get(name) is not None), None)
    content = flat.get(key) if key is not None else None
    if isinstance(content, list):
        words = "\n".join(part["text"] for part in parts_of(content) if isinstance(part.get("text"), str))
    else:
        words = content if isinstance(content, str) else ""
    return _carry(text_part(words), flat, {"type", "source_kind", key})


def _refusal(value: dict[str, Any]) -> Part:
    key = _key_of(value, ("refusal", "content", "text"))
    words = value[key] if key is not None else ""
    return _carry({"type": "refusal", "refusal": words if isinstance(words, str) else str(words)}, value, ("type", key))


def _carry(part: Part, value: dict[str, Any], known: Collection[str | None], read: str | None = None) -> Part:
    """The part with the fields that its reader does not know (nor ``read``); empty ones say nothing."""
    for key, item in value.items():
        if key not in known and key not in part and key != read and item is not None and item not in ("", [], {}):
            part[key] = item
    return part


def _first(value: dict[str, Any], keys: tuple[str, ...]) -> Any:
    for key in keys:
        item = value.get(key)
        if item is not None:
            return item
    return None


def _key_of(value: dict[str, Any], keys: tuple[str, ...]) -> str | None:
    for key in keys:
        if value.get(key) is not None:
            return key
    return None


def _identifier(value: Any) -> str | None:
    return None if value is None else str(value)


def _words(value: dict[str, Any], keys: tuple[str, ...]) -> str:
    found = _first(value, keys)
    if isinstance(found, list):
        return "\n".join(str(item.get("text", "")) if isinstance(item, dict) else str(item) for item in found)
    return found if isinstance(found, str) else ""


_THOUGHTS = ("content", "thinking", "text", "reasoning", "summary")


def _reasoning(value: dict[str, Any]) -> Part:
    key = next((name for name in _THOUGHTS if value.get(name)), None)
    part: Part = {"type": "reasoning", "text": "" if key is None else _words(value, (key,))}
    return _carry(part, value, {"type", key})


_READERS: dict[str, Callable[[dict[str, Any]], Part | None]] = {
    **dict.fromkeys(_TEXT, _text),
    **dict.fromkeys(_REASONING, _reasoning),
    **dict.fromkeys(_CALLS, call_part),
    **dict.fromkeys(_RESULTS, result_part),
    **dict.fromkeys(_MEDIA, _media),
    "refusal": _refusal,
}
_PARTS_OF_RESULTS = frozenset({*_TEXT, *_MEDIA, "resource", "resource_link", "json", "search_result", "tool_reference"})
