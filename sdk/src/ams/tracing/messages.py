"""Conversations as ``docs/messages.md`` wants them, from what the common clients take and give; and the words of a preview."""

from typing import Any, cast

import msgspec

PREVIEW_CHARS_MAX = 512


def as_messages(value: object) -> list[dict[str, Any]] | None:
    """A list of messages in our shape, or None when ``value`` is no conversation.

    Understands the chat shapes of OpenAI (``content`` as text or parts, ``tool_calls``, ``tool_call_id``) and Anthropic
    (``tool_use``, ``tool_result``, ``thinking``), and our own.
    """
    if isinstance(value, dict) and "role" in value:
        value = [cast("dict[str, Any]", value)]
    if not isinstance(value, list) or not value:
        return None
    items = cast("list[Any]", value)
    if not all(isinstance(item, dict) and isinstance(item.get("role"), str) and _says_something(item) for item in items):
        return None
    return [_message(item) for item in items]


def _says_something(item: dict[str, Any]) -> bool:
    return any(name in item for name in ("content", "parts", "tool_calls"))


def _message(item: dict[str, Any]) -> dict[str, Any]:
    content = item.get("content") if item.get("content") is not None else item.get("parts")
    parts: list[dict[str, Any]]
    if item["role"] == "tool" and item.get("tool_call_id"):
        parts = [{"type": "tool_result", "id": item["tool_call_id"], "name": item.get("name"), "result": _json_or_text(content)}]
    elif isinstance(content, list):
        parts = [_part(part) for part in content]
    else:
        parts = [] if content is None else [{"type": "text", "text": content if isinstance(content, str) else _dump(content)}]
    parts.extend(_openai_call(call) for call in item.get("tool_calls") or [])
    message: dict[str, Any] = {"role": item["role"], "content": parts}
    message.update({name: item[name] for name in ("name", "finish_reason") if isinstance(item.get(name), str)})
    return message


def _openai_call(call: Any) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        return {"type": "tool_call", **(call if isinstance(call, dict) else {"arguments": call})}
    return {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": _json_or_text(function.get("arguments"))}


def _part(part: Any) -> dict[str, Any]:  # noqa: PLR0911 - a table of types
    if not isinstance(part, dict):
        return {"type": "text", "text": part if isinstance(part, str) else _dump(part)}
    kind = part.get("type")
    if kind in {"input_text", "output_text"}:
        return {"type": "text", "text": part.get("text", "")}
    if kind == "thinking":
        return {"type": "reasoning", "text": part.get("thinking", "")}
    if kind == "tool_use":
        return {"type": "tool_call", "id": part.get("id"), "name": part.get("name"), "arguments": part.get("input")}
    if kind == "tool_result" and "tool_use_id" in part:
        return {"type": "tool_result", "id": part["tool_use_id"], "result": part.get("content")}
    if kind == "image_url":
        return _image(part.get("image_url"))
    return part


def _image(image: Any) -> dict[str, Any]:
    uri = image.get("url") if isinstance(image, dict) else image
    if not isinstance(uri, str) or uri.startswith("data:"):
        return {"type": "media", "mime": "image", "bytes": len(uri) * 3 // 4 if isinstance(uri, str) else None}
    return {"type": "media", "mime": "image", "uri": uri}


def _json_or_text(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return value


def _dump(value: object) -> str:
    return msgspec.json.encode(value).decode()


def preview_of_messages(messages: list[dict[str, Any]], *, is_input: bool) -> str:
    """The words of the first user message of an input, or of the last message of an output."""
    texts = [(message["role"], _words_of_message(message)) for message in messages]
    if not is_input:
        return short(texts[-1][1])
    users = [text for role, text in texts if role == "user" and text]
    return short(users[0] if users else next((text for _, text in texts if text), ""))


def _words_of_message(message: dict[str, Any]) -> str:
    parts: list[dict[str, Any]] = message["content"]
    said = [str(part["text"]) for part in parts if part.get("type") == "text" and part.get("text")]
    return " ".join(said) if said else " ".join(filter(None, (_words_of_part(part) for part in parts)))


def _words_of_part(part: dict[str, Any]) -> str:
    kind = part.get("type")
    if kind == "tool_call":
        arguments = part.get("arguments")
        shown = (
            ", ".join(f"{name}={_plain(value)}" for name, value in arguments.items()) if isinstance(arguments, dict) else _plain(arguments)
        )
        return f"{part.get('name')}({shown})"
    if kind == "tool_result":
        return preview_of_json(part.get("result"))
    if kind == "media":
        return f"[{part.get('mime', 'media')}]"
    return str(part.get("text") or "")


def preview_of_json(value: object) -> str:
    """Words for a JSON value: text alone, ``name=value`` pairs, or the JSON itself."""
    if isinstance(value, dict):
        pairs = cast("dict[str, Any]", value)
        if len(pairs) == 1 and isinstance(next(iter(pairs.values())), str):
            return short(next(iter(pairs.values())))
        return short(", ".join(f"{name}={_plain(item)}" for name, item in pairs.items()))
    return short(_plain(value))


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else _dump(value)
    return text[:PREVIEW_CHARS_MAX]


def short(text: str) -> str:
    """At most 512 characters, white space joined."""
    return " ".join(text[: 4 * PREVIEW_CHARS_MAX].split())[:PREVIEW_CHARS_MAX]
