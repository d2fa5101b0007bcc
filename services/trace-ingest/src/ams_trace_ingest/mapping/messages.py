"""Conversations of every dialect in one form: ``[{role, content: [part], name?, finish_reason?}]`` (``docs/messages.md``)."""

from typing import Any, cast

from ams_trace_ingest.mapping.parts import Part, call_part, is_answer, parsed, parts_from, parts_of, result_part, unwrapped

Message = dict[str, Any]

_ROLES = {
    "human": "user",
    "ai": "assistant",
    "model": "assistant",
    "aimessage": "assistant",
    "aimessagechunk": "assistant",
    "humanmessage": "user",
    "function": "tool",
    "bot": "assistant",
    **{role: role for role in ("system", "developer", "user", "assistant", "tool")},  # in any case: `User`, `ASSISTANT`
}
_LANGCHAIN = {
    "human": "user",
    "ai": "assistant",
    "system": "system",
    "tool": "tool",
    "function": "tool",
    "AIMessageChunk": "assistant",
    "chat": "user",
}
_LANGCHAIN_CLASSES = {
    "HumanMessage": "user",
    "AIMessage": "assistant",
    "AIMessageChunk": "assistant",
    "SystemMessage": "system",
    "ToolMessage": "tool",
    "FunctionMessage": "tool",
}
_CALLED = (
    "function",
    "custom_tool",
    "web_search",
    "file_search",
    "code_interpreter",
    "computer",
    "image_generation",
    "mcp",
    "local_shell",
    "shell",
    "apply_patch",
    "tool_search",
)
_RESPONSE_ITEMS = {  # items of OpenAI's responses API that are no messages
    **{f"{name}_call": "assistant" for name in _CALLED},
    **{f"{name}_call_output": "tool" for name in _CALLED},
    **dict.fromkeys(("reasoning", "compaction", "mcp_list_tools", "mcp_approval_request", "tool_search_output"), "assistant"),
    "mcp_approval_response": "user",
}
_SPEAKING = frozenset({"content", "parts", "tool_calls", "function_call", "reasoning_content", "audio", "refusal"})
_HANDLED = frozenset(  # fields of a message that become parts, or that only frame it
    {
        "role", "type", "lc", "content", "parts", "tool_calls", "function_call", "reasoning_content", "reasoning", "refusal", "audio",
        "name", "finish_reason", "tool_call_id", "toolCallId", "additional_kwargs", "example",
    }
)  # fmt: skip


_HANDLED_OF_RESULTS = _HANDLED | {"id", "is_error", "status", "artifact"}


_CALLING = frozenset({"tool_calls", "function_call", "additional_kwargs"})
_READ = frozenset({"messages", "prompt", "contents", "content", "candidates", "choices", "generations", "output", "input", "message"})
"""The keys under which the readers of ``messages_of`` look for messages."""


def messages_of(value: Any) -> list[Message] | None:
    """The conversation that a JSON value is, or ``None`` when it is none."""
    if isinstance(value, list):
        return _from_list(value)
    if not isinstance(value, dict):
        return None
    if _is_message(value):
        message = message_of(value)
        return None if message is None else [message]
    if _READ.isdisjoint(value):  # most maps; six readers would find nothing
        return None
    for reader in (_from_chat, _from_gemini, _from_choices, _from_generations, _from_responses, _from_wrapped):
        messages = reader(value)
        if messages:
            return messages
    return None


def defined_messages(value: Any, role: str) -> list[Message] | None:
    """The messages of an attribute that is defined to hold messages: what is none of them does not make the others unreadable.

    Args:
        value: Of the attribute.
        role: Who says the words that name nobody.
    """
    items = value if isinstance(value, list) else [value]
    items = [parsed(item) for item in items]
    found = messages_of(items if isinstance(value, list) else items[0])
    if found is not None:
        return found
    if not any(isinstance(item, str) or (isinstance(item, dict) and "role" in item) for item in items):
        return None
    found = [_spoken(item, role) for item in items if item is not None]
    return found or None


def _spoken(item: Any, role: str) -> Message:
    if isinstance(item, str):
        return {"role": role, "content": parts_of(item)}
    message = message_of(item) if isinstance(item, dict) and (_is_message(item) or item.keys() == {"role"}) else None
    return _odd(item) if message is None else message


def message_of(value: dict[str, Any]) -> Message | None:  # noqa: PLR0911  one return for each form
    """One message."""
    if "role" in value and "lc" not in value:
        return _compose(_role(value["role"]), value)
    if "lc" in value and isinstance(value.get("kwargs"), dict):
        identifier = value.get("id")
        kind = str(identifier[-1]) if isinstance(identifier, list) and identifier else ""
        return _compose(_LANGCHAIN_CLASSES.get(kind, "assistant"), value["kwargs"])
    kind = value.get("type")
    if isinstance(value.get("data"), dict) and "role" not in value and isinstance(kind, str):
        return _compose(_LANGCHAIN.get(kind, kind), value["data"])
    if "role" in value:
        return _compose(_role(value["role"]), value)
    if isinstance(kind, str) and kind in _LANGCHAIN:
        return _compose(_LANGCHAIN[kind], value)
    if isinstance(kind, str) and kind in _RESPONSE_ITEMS:
        return {"role": _RESPONSE_ITEMS[kind], "content": parts_from(value)}
    return None


def system_message(instructions: Any) -> Message | None:
    """System instructions (words, parts, or a list of either) as the first message."""
    content = parts_of(instructions)
    return {"role": "system", "content": content} if content else None


def _role(value: Any) -> str:
    role = value if isinstance(value, str) else "user"
    return _ROLES.get(role.lower(), role)


def _compose(role: str, value: dict[str, Any]) -> Message:
    content: list[Part] = []
    known = _HANDLED
    reasoning = value.get("reasoning_content") or value.get("reasoning")
    if isinstance(reasoning, str) and reasoning:
        content.append({"type": "reasoning", "text": reasoning})
    raw = parsed(value.get("parts"))
    if not isinstance(raw, list):
        raw = value.get("content")
    if role == "tool" and is_answer(raw):
        content.append(_result_of(value, raw))
        known = _HANDLED_OF_RESULTS
    else:
        content += parts_of(raw)
    if not _CALLING.isdisjoint(value):
        content += _calls(value, content)
    if isinstance(value.get("refusal"), str) and value["refusal"]:
        content.append({"type": "refusal", "refusal": value["refusal"]})
    if isinstance(value.get("audio"), dict):
        content += parts_from({"format": "*", **value["audio"], "type": "audio"})
    message: Message = {"role": role, "content": content}
    if role != "tool" and isinstance(value.get("name"), str):
        message["name"] = value["name"]
    finish = value.get("finish_reason")
    if isinstance(finish, str) and finish:
        message["finish_reason"] = finish
    if not known.issuperset(value) or value.get("additional_kwargs"):
        message.update(_rest(value, known, message))
    return message


def _rest(value: dict[str, Any], known: frozenset[str], message: Message) -> dict[str, Any]:
    """What a message says beside its parts: an id, annotations, metadata. Empty fields say nothing."""
    extra = value.get("additional_kwargs")
    beside = {**value, **(extra if isinstance(extra, dict) else {})}
    return {
        key: item
        for key, item in beside.items()
        if key not in known and key not in message and item is not None and item not in ("", [], {})
    }


def _result_of(value: dict[str, Any], raw: Any) -> Part:
    """The answer of a tool that is the whole message."""
    call_id = value.get("tool_call_id") or value.get("toolCallId")
    part: Part = {
        "type": "tool_result",
        "id": call_id if isinstance(call_id, str) else value["id"] if isinstance(value.get("id"), str) else None,
    }
    if isinstance(value.get("name"), str):
        part["name"] = value["name"]
    part["result"] = unwrapped(raw)
    if value.get("is_error") is True or value.get("status") == "error":  # Anthropic; LangChain
        part["is_error"] = True
    if value.get("artifact"):
        part["artifact"] = value["artifact"]
    return part


def _calls(value: dict[str, Any], content: list[Part]) -> list[Part]:
    calls = value.get("tool_calls")
    if not isinstance(calls, list):
        extra = value.get("additional_kwargs")
        calls = extra.get("tool_calls") if isinstance(extra, dict) else None
    found = [call_part(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    single = value.get("function_call")
    if not found and isinstance(single, dict):
        found = [call_part(single)]
    if not found:
        return found
    # Anthropic through LangChain says its calls twice: as parts and as `tool_calls`; OpenInference's parts only refer to them
    known = {part.get("id"): part for part in content if part.get("type") == "tool_call"}
    for call in found:
        part = known.get(call["id"])
        if part is not None and not part.get("name"):
            part.update(call)
    return [call for call in found if call["id"] is None or call["id"] not in known]


def _is_message(value: dict[str, Any]) -> bool:
    if "role" in value:
        return not _SPEAKING.isdisjoint(value)
    if "lc" in value:
        return isinstance(value.get("kwargs"), dict) and "content" in value["kwargs"]
    kind = value.get("type")
    if not isinstance(kind, str):
        return False
    if kind in _LANGCHAIN:
        return "content" in value or isinstance(value.get("data"), dict)
    return kind in _RESPONSE_ITEMS


def _from_list(value: list[Any]) -> list[Message] | None:
    """A list in which at least every second item is a message is a conversation; what the other items say stays as it came."""
    if not value:
        return None
    if len(value) == 1 and isinstance(value[0], list):  # LangChain: a batch of one conversation
        return _from_list(value[0])
    messages = [message_of(item) if isinstance(item, dict) and _is_message(item) else _pair(item) for item in value]
    others = messages.count(None)
    if others == 0:
        return cast("list[Message]", messages)
    if 2 * others > len(messages):
        return None
    return [_odd(item) if message is None else message for item, message in zip(value, messages, strict=True) if item is not None]


def _pair(item: Any) -> Message | None:
    """LangChain's ``("user", "hello")``, which JSON makes a list of."""
    if not isinstance(item, list) or len(item) != 2 or not all(isinstance(part, str) for part in item):  # noqa: PLR2004  role and words
        return None
    role = _ROLES.get(item[0].lower())
    return None if role is None else {"role": role, "content": parts_of(item[1])}


def _odd(item: Any) -> Message:
    """An item of a conversation that is no message of any known form."""
    role = item.get("role") if isinstance(item, dict) else None
    if isinstance(item, dict) and isinstance(role, str):
        return {"role": _role(role), "content": [{"type": "unknown", **{key: field for key, field in item.items() if key != "role"}}]}
    return {"role": "user" if isinstance(item, str) else "unknown", "content": parts_from(item)}


def _with_system(instructions: Any, messages: list[Message] | None) -> list[Message] | None:
    system = system_message(instructions) if messages is not None else None
    return messages if system is None or messages is None else [system, *messages]


def _from_chat(value: dict[str, Any]) -> list[Message] | None:
    messages = value.get("messages")
    if isinstance(messages, list):
        return _with_system(value.get("system"), _from_list(messages))
    prompt = value.get("prompt")
    if isinstance(prompt, str) and set(value) <= {"prompt", "system"}:
        return _with_system(value.get("system"), [{"role": "user", "content": parts_of(prompt)}])
    return None


def _from_gemini(value: dict[str, Any]) -> list[Message] | None:
    contents = value.get("contents")
    if isinstance(contents, list):
        config = value.get("config")
        instructions = config.get("system_instruction") if isinstance(config, dict) else value.get("system_instruction")
        if isinstance(instructions, dict):
            instructions = instructions.get("parts", instructions)
        return _with_system(instructions, _from_list(contents))
    content = value.get("content")
    if isinstance(content, dict) and isinstance(content.get("parts"), list):
        finish = value.get("finish_reason")
        return [
            _compose(
                _role(content.get("role") or "model"), {**content, "finish_reason": finish.lower() if isinstance(finish, str) else None}
            )
        ]
    candidates = value.get("candidates")
    if isinstance(candidates, list) and candidates:
        return [message for item in candidates if isinstance(item, dict) for message in _from_gemini(item) or ()]
    return None


def _from_choices(value: dict[str, Any]) -> list[Message] | None:
    choices = value.get("choices")
    if not isinstance(choices, list):
        return None
    found: list[Message] = []
    for choice in choices:
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            found.append(
                _compose(
                    _role(choice["message"].get("role") or "assistant"), {**choice["message"], "finish_reason": choice.get("finish_reason")}
                )
            )
        elif isinstance(choice, dict) and isinstance(choice.get("text"), str):
            found.append({"role": "assistant", "content": parts_of(choice["text"])})
    return found


def _from_wrapped(value: dict[str, Any]) -> list[Message] | None:
    """``{"message": {...}, "usage": ...}`` (Logfire, Ollama, Cohere)."""
    message = value.get("message")
    return messages_of(message) if isinstance(message, dict) and _is_message(message) else None


def _from_generations(value: dict[str, Any]) -> list[Message] | None:
    generations = value.get("generations")
    if not isinstance(generations, list):
        return None
    flat = [item for group in generations for item in (group if isinstance(group, list) else [group]) if isinstance(item, dict)]
    found: list[Message] = []
    for item in flat:
        message = item.get("message")
        composed = message_of(message) if isinstance(message, dict) and _is_message(message) else None
        if composed is None and isinstance(item.get("text"), str):
            composed = {"role": "assistant", "content": parts_of(item["text"])}
        if composed is not None:
            found.append(composed)
    return found


def _from_responses(value: dict[str, Any]) -> list[Message] | None:
    """OpenAI's responses API: ``input`` (words or items) with ``instructions``, and ``output`` items."""
    items = value.get("output")
    if isinstance(items, list) and items:
        return _from_list(items)
    items = value.get("input")
    if isinstance(items, list) and items:
        return _with_system(value.get("instructions"), _from_list(items))
    if isinstance(items, str) and "instructions" in value:
        return _with_system(value.get("instructions"), [{"role": "user", "content": parts_of(items)}])
    return None


def tool_message(result: Any, call_id: str | None, name: str | None) -> Message:
    """A tool's answer as a message."""
    return {"role": "tool", "content": [result_part({"id": call_id, "name": name, "result": result})]}
