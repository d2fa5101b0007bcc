"""The requests and answers of model providers, for the fake model: OpenAI's Chat Completions and Responses, Anthropic's Messages, Gemini."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ams.testing.fake_model import FakeModel, ModelCall, Reply, words_of

CREATED_S = 1_700_000_000
PIECE_CHARACTERS = 16  # of a streamed text

Body = dict[str, Any]
StreamEvent = tuple[str, Body | str]
"""The name of a server-sent event, empty for none, and its data."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as one document, and as a stream where the request asked for one."""

    document: Body
    stream: Iterator[StreamEvent] | None = None


def answer_of(model: FakeModel, path: str, body: Body) -> Answer | None:
    """Answer a request.

    Args:
        model: Says what.
        path: Of the request, without its query.
        body: Decoded from JSON.

    Returns:
        ``None`` when no provider has this path.

    Raises:
        ScriptEndedError: The script has no more turns.
        ModelFailureError: The script lets the call fail.
    """
    if path.endswith(":generateContent"):
        return _gemini(model, path.rpartition("/")[2].partition(":")[0], body)
    for ending, answer in _ROUTES.items():
        if path.endswith(ending):
            return answer(model, body)
    return None


def _pieces(text: str) -> Iterator[str]:
    for at in range(0, len(text), PIECE_CHARACTERS):
        yield text[at : at + PIECE_CHARACTERS]


def _ask(model: FakeModel, body: Body, messages: Any, *, tools: list[str], called: list[str], name: str = "") -> tuple[Reply, int]:
    """The reply, and a number for its ids."""
    asked = messages if isinstance(messages, list) else [messages]
    prompt = words_of(asked)
    call = ModelCall(model=name or str(body.get("model", "")), messages=asked, tools=tools, called=called, prompt=prompt, body=body)
    return model.answer(call), model.next_number()


def _chat(model: FakeModel, body: Body) -> Answer:
    tools = [one["function"]["name"] for one in body.get("tools") or [] if one.get("type") == "function"]
    messages = body.get("messages", [])
    called = [call["function"]["name"] for message in messages for call in message.get("tool_calls") or []]
    reply, number = _ask(model, body, messages, tools=tools, called=called)
    sent, received = reply.input_tokens or 0, reply.output_tokens or 0
    usage = {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": reply.cached_tokens},
    }
    calls = [
        {"id": f"call_{number}_{at}", "type": "function", "function": {"name": one.name, "arguments": json.dumps(dict(one.arguments))}}
        for at, one in enumerate(reply.tool_calls)
    ]
    message: Body = {"role": "assistant", "content": reply.text} | ({"tool_calls": calls} if calls else {})
    head: Body = {"id": f"chatcmpl-{number}", "created": CREATED_S, "model": body.get("model", "")}
    reason = "tool_calls" if calls else "stop"
    choices = [{"index": 0, "message": message, "finish_reason": reason}]
    document = {**head, "object": "chat.completion", "choices": choices, "usage": usage}

    def chunks() -> Iterator[StreamEvent]:
        part = {**head, "object": "chat.completion.chunk"}
        deltas: list[Body] = [{"role": "assistant", "content": "" if reply.text is not None else None}]
        deltas += [{"content": piece} for piece in _pieces(reply.text or "")]
        deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(calls)]
        for delta in deltas:
            yield "", {**part, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        yield "", {**part, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield "", {**part, "choices": [], "usage": usage}
        yield "", "[DONE]"

    return Answer(document, chunks() if body.get("stream") else None)


def _responses(model: FakeModel, body: Body) -> Answer:
    tools = [one["name"] for one in body.get("tools") or [] if one.get("type") == "function"]
    items = body.get("input", [])
    called = [one["name"] for one in items if isinstance(one, dict) and one.get("type") == "function_call"]
    reply, number = _ask(model, body, items, tools=tools, called=called)
    output: list[Body] = [
        {
            "type": "function_call",
            "id": f"fc_{number}_{at}",
            "call_id": f"call_{number}_{at}",
            "name": one.name,
            "arguments": json.dumps(dict(one.arguments)),
            "status": "completed",
        }
        for at, one in enumerate(reply.tool_calls)
    ]
    if reply.text is not None or not output:
        content = [{"type": "output_text", "text": reply.text or "", "annotations": []}]
        output.insert(0, {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed", "content": content})
    sent, received = reply.input_tokens or 0, reply.output_tokens or 0
    document: Body = {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED_S,
        "status": "completed",
        "model": body.get("model", ""),
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": reply.cached_tokens},
            "output_tokens": received,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + received,
        },
    }
    return Answer(document, _response_events(document) if body.get("stream") else None)


def _response_events(document: Body) -> Iterator[StreamEvent]:
    number = -1

    def event(kind: str, **more: Any) -> StreamEvent:
        nonlocal number
        number += 1
        return kind, {"type": kind, "sequence_number": number, **more}

    yield event("response.created", response={**document, "status": "in_progress", "output": [], "usage": None})
    for at, item in enumerate(document["output"]):
        place = {"output_index": at, "item_id": item["id"]}
        if item["type"] == "function_call":
            yield event("response.output_item.added", output_index=at, item={**item, "arguments": "", "status": "in_progress"})
            yield event("response.function_call_arguments.delta", **place, delta=item["arguments"])
            yield event("response.function_call_arguments.done", **place, name=item["name"], arguments=item["arguments"])
        else:
            [part] = item["content"]
            place["content_index"] = 0
            yield event("response.output_item.added", output_index=at, item={**item, "content": [], "status": "in_progress"})
            yield event("response.content_part.added", **place, part={**part, "text": ""})
            for piece in _pieces(part["text"]):
                yield event("response.output_text.delta", **place, delta=piece, logprobs=[])
            yield event("response.output_text.done", **place, text=part["text"], logprobs=[])
            yield event("response.content_part.done", **place, part=part)
        yield event("response.output_item.done", output_index=at, item=item)
    yield event("response.completed", response=document)


def _anthropic(model: FakeModel, body: Body) -> Answer:
    """Its input tokens exclude what was cached."""
    tools = [one["name"] for one in body.get("tools") or [] if "name" in one]
    messages = body.get("messages", [])
    blocks = [block for message in messages if isinstance(message["content"], list) for block in message["content"]]
    called = [block["name"] for block in blocks if block.get("type") == "tool_use"]
    asked = [body["system"], *messages] if body.get("system") else messages
    reply, number = _ask(model, body, asked, tools=tools, called=called)
    content: list[Body] = [{"type": "text", "text": reply.text or ""}] if reply.text is not None or not reply.tool_calls else []
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": one.name, "input": dict(one.arguments)}
        for at, one in enumerate(reply.tool_calls)
    ]
    document: Body = {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body.get("model", ""),
        "content": content,
        "stop_reason": "tool_use" if reply.tool_calls else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": (reply.input_tokens or 0) - reply.cached_tokens,
            "cache_read_input_tokens": reply.cached_tokens,
            "cache_creation_input_tokens": 0,
            "output_tokens": reply.output_tokens,
        },
    }
    return Answer(document, _message_events(document) if body.get("stream") else None)


def _message_events(document: Body) -> Iterator[StreamEvent]:
    def event(kind: str, **more: Any) -> StreamEvent:
        return kind, {"type": kind, **more}

    usage = document["usage"]
    yield event("message_start", message={**document, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}})
    for at, block in enumerate(document["content"]):
        if block["type"] == "text":
            yield event("content_block_start", index=at, content_block={"type": "text", "text": ""})
            for piece in _pieces(block["text"]):
                yield event("content_block_delta", index=at, delta={"type": "text_delta", "text": piece})
        else:
            yield event("content_block_start", index=at, content_block={**block, "input": {}})
            yield event("content_block_delta", index=at, delta={"type": "input_json_delta", "partial_json": json.dumps(block["input"])})
        yield event("content_block_stop", index=at)
    ending = {"stop_reason": document["stop_reason"], "stop_sequence": None}
    yield event("message_delta", delta=ending, usage={"output_tokens": usage["output_tokens"]})
    yield event("message_stop")


def _gemini(model: FakeModel, name: str, body: Body) -> Answer:
    """Without streaming."""
    declared = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    contents = body.get("contents", [])
    called = [part["functionCall"]["name"] for content in contents for part in content.get("parts", []) if "functionCall" in part]
    reply, number = _ask(model, body, contents, tools=[one["name"] for one in declared], called=called, name=name)
    parts: list[Body] = [{"text": reply.text}] if reply.text is not None else []
    parts += [{"functionCall": {"name": one.name, "args": dict(one.arguments)}} for one in reply.tool_calls]
    sent, received = reply.input_tokens or 0, reply.output_tokens or 0
    return Answer(
        {
            "candidates": [{"index": 0, "content": {"role": "model", "parts": parts}, "finishReason": "STOP"}],
            "modelVersion": name,
            "responseId": f"gemini-{number}",
            "usageMetadata": {
                "promptTokenCount": sent,
                "cachedContentTokenCount": reply.cached_tokens,
                "candidatesTokenCount": received,
                "totalTokenCount": sent + received,
            },
        }
    )


_ROUTES: dict[str, Callable[[FakeModel, Body], Answer]] = {
    "/chat/completions": _chat,
    "/responses": _responses,
    "/messages": _anthropic,
}
