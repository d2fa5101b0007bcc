"""Conversations and documents that are flattened into attributes: OpenInference ``llm.input_messages.N.*``, OpenLLMetry ``gen_ai.prompt.N.*``."""

from typing import Any

from ams_trace_ingest.mapping.attribute_rules import Path, listed, nested
from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.messages import Message, message_of

Entries = list[tuple[Path, Any, str]]


def openinference_messages(entries: Entries) -> list[Message]:
    """``N.message.role``, ``.content``, ``.contents.M.message_content.*``, ``.tool_calls.K.tool_call.*``."""
    return [
        _openinference(node["message"])
        for node in listed(nested(entries))
        if isinstance(node, dict) and isinstance(node.get("message"), dict)
    ]


def _openinference(node: dict[str | int, Any]) -> Message:
    message: dict[str, Any] = {key: value for key, value in node.items() if isinstance(key, str) and not isinstance(value, dict)}
    contents = [
        item["message_content"]
        for item in listed(node.get("contents"))
        if isinstance(item, dict) and isinstance(item.get("message_content"), dict)
    ]
    if contents:
        message["content"] = [_openinference_part(content) for content in contents]
    calls = [
        item["tool_call"] for item in listed(node.get("tool_calls")) if isinstance(item, dict) and isinstance(item.get("tool_call"), dict)
    ]
    if calls:
        message["tool_calls"] = calls
    elif isinstance(message.get("function_call_name"), str):
        message["function_call"] = {"name": message["function_call_name"], "arguments": message.get("function_call_arguments_json")}
    return message_of({"role": "user", **message}) or {"role": "user", "content": []}


def _openinference_part(content: dict[str | int, Any]) -> dict[str, Any]:
    part: dict[str, Any] = {str(key): value for key, value in content.items()}
    image = part.get("image")
    if isinstance(image, dict):  # image.image.url
        inner = image.get("image")
        part = {"type": "image", "url": inner.get("url") if isinstance(inner, dict) else image.get("url")}
    return part


def openllmetry_messages(entries: Entries, role: str) -> list[Message]:
    """``N.role``, ``.content`` (words, or parts in JSON), ``.tool_calls.K.id/name/arguments``, ``.finish_reason``.

    Args:
        entries: The group.
        role: That of a message that names none.
    """
    messages: list[Message] = []
    for node in listed(nested(entries)):
        if not isinstance(node, dict):
            continue
        message: dict[str, Any] = {
            "role": role,
            **{key: value for key, value in node.items() if isinstance(key, str) and not isinstance(value, dict)},
        }
        worded = node.get("prompt") or node.get("completion")  # OpenInference: llm.prompts.N.prompt.text
        if isinstance(worded, dict) and "content" not in message:
            message["content"] = worded.get("text")
        content = message.get("content")
        if isinstance(content, str) and content[:2] == "[{":
            message["content"] = load(content) or content
        message["tool_calls"] = listed(node.get("tool_calls"))
        composed = message_of(message)
        if composed is not None:
            messages.append(composed)
    return messages


def documents(entries: Entries) -> list[dict[str, Any]]:
    """``N.document.content/id/score/metadata``."""
    found: list[dict[str, Any]] = []
    for node in listed(nested(entries)):
        document = node.get("document") if isinstance(node, dict) else None
        if isinstance(document, dict):
            metadata = document.get("metadata")
            if isinstance(metadata, str) and metadata[:1] == "{":
                document = {**document, "metadata": load(metadata) or metadata}
            found.append({str(key): value for key, value in document.items()})
    return found


def embedded_texts(entries: Entries) -> list[str]:
    """``N.embedding.text``."""
    nodes = [node.get("embedding") for node in listed(nested(entries)) if isinstance(node, dict)]
    return [node["text"] for node in nodes if isinstance(node, dict) and isinstance(node.get("text"), str)]
