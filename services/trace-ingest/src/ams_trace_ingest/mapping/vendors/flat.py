"""Conversations and documents that are flattened into attributes: OpenInference ``llm.input_messages.N.*``, OpenLLMetry ``gen_ai.prompt.N.*``."""

from typing import Any

from ams_trace_ingest.mapping.attribute_rules import Path, listed, nested
from ams_trace_ingest.mapping.convert import load
from ams_trace_ingest.mapping.messages import Message, message_of
from ams_trace_ingest.mapping.parts import Part, parts_from

Entries = list[tuple[Path, Any, str]]


def openinference_messages(entries: Entries) -> list[Message]:
    """``N.message.role``, ``.content``, ``.contents.M.message_content.*``, ``.tool_calls.K.tool_call.*``."""
    return [
        _openinference(node["message"])
        for node in listed(nested(entries))
        if isinstance(node, dict) and isinstance(node.get("message"), dict)
    ]


def _openinference(node: dict[str | int, Any]) -> Message:
    message = _beside(node, ("contents", "tool_calls"))
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
    """A part whose file is two levels down: ``image.image.url``, ``document.document.name``."""
    part: dict[str, Any] = {str(key): as_json(value) for key, value in content.items()}
    for kind in _FILES:
        outer = part.get(kind)
        if isinstance(outer, dict):
            inner = outer.get(kind)
            fields = {**outer, **inner} if isinstance(inner, dict) else outer
            beside = {key: value for key, value in (*part.items(), *fields.items()) if key != kind}
            return {**beside, "type": kind}
    return part


_FILES = ("image", "audio", "video", "document")


def files(entries: Entries) -> list[Part]:
    """``N.image.url``, ``N.document.url`` as parts of media."""
    return [part for node in listed(nested(entries)) if isinstance(node, dict) for part in parts_from(_file(node))]


def _file(node: dict[str | int, Any]) -> dict[str, Any]:
    kind = next((name for name in _FILES if isinstance(node.get(name), dict)), None)
    fields = as_json(node)
    return fields if kind is None else {**{key: value for key, value in fields.items() if key != kind}, **fields[kind], "type": kind}


def as_json(node: Any) -> Any:
    """Nested groups as JSON values: maps with indexes are lists."""
    if not isinstance(node, dict):
        return node
    if node and all(isinstance(key, int) for key in node):
        return [as_json(item) for item in listed(node)]
    return {str(key): as_json(value) for key, value in node.items()}


def _beside(node: dict[str | int, Any], read: tuple[str, ...]) -> dict[str, Any]:
    """The fields of a message that its reader does not take apart."""
    return {key: as_json(value) for key, value in node.items() if isinstance(key, str) and key not in read}


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
            **_beside(node, ("prompt", "completion", "tool_calls")),
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
            found.append({**_beside(node, ("document",)), **as_json(document)})
    return found


def embedded_texts(entries: Entries) -> list[str]:
    """``N.embedding.text``."""
    nodes = [node.get("embedding") for node in listed(nested(entries)) if isinstance(node, dict)]
    return [node["text"] for node in nodes if isinstance(node, dict) and isinstance(node.get("text"), str)]
