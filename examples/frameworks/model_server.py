"""A model without a model: answers like OpenAI, Anthropic and Gemini by a few rules, and keeps a ledger of the tokens that it reported.

The examples beside this file run against it, so that they need neither an account nor a network. Its rules fit one question, what to wear in Paris:
hand over to a specialist when one is offered, ask for the weather once, then answer. ``GET /ledger`` returns the calls, oldest first.

    python model_server.py 8099        # then OPENAI_BASE_URL=http://127.0.0.1:8099/v1
"""

import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CITY = {"city": "Paris"}
REPORT = "14 degrees and rain"
ANSWER = "Take a coat: 14 degrees and rain in Paris."
BODY_BYTES_MAX = 4_194_304

Turn = dict[str, Any]
"""What the model says: ``text``, or ``calls`` as a list of (name, arguments)."""


def next_turn(tools: list[str], called: list[str], prompt: str) -> Turn:
    """Decide what to say.

    Args:
        tools: Names of what is offered.
        called: Names of what the conversation has called already.
        prompt: All words of the conversation, for frameworks that describe tools in prose.
    """
    if "[[ ## " in prompt:
        return _dspy_turn(prompt)
    if not tools and "Action Input:" in prompt:
        return _react_turn(prompt)
    for name in tools:
        if name.startswith(("transfer_to", "delegate")) and name not in called and f"`{name}`" not in prompt:  # ADK retells it
            return {"calls": [(name, {"agent_name": "stylist"} if name == "transfer_to_agent" else {})]}
    if "weather" in tools and REPORT not in prompt:
        return {"calls": [("weather", CITY)]}
    if "final_answer" in tools:
        return {"calls": [("final_answer", {"answer": ANSWER})]}
    return {"text": ANSWER}


def _react_turn(prompt: str) -> Turn:
    if "Observation: " + REPORT in prompt:
        return {"text": f"Thought: I now know the final answer\nFinal Answer: {ANSWER}"}
    return {"text": f"Thought: I need the weather.\nAction: weather\nAction Input: {json.dumps(CITY)}"}


def _dspy_turn(prompt: str) -> Turn:
    if "[[ ## reasoning ## ]]" in prompt:
        return {"text": f"[[ ## reasoning ## ]]\nRain.\n\n[[ ## answer ## ]]\n{ANSWER}\n\n[[ ## completed ## ]]"}
    name, arguments = ("finish", {}) if REPORT in prompt else ("weather", CITY)
    return {
        "text": f"[[ ## next_thought ## ]]\nThe weather decides.\n\n[[ ## next_tool_name ## ]]\n{name}\n\n"
        f"[[ ## next_tool_args ## ]]\n{json.dumps(arguments)}\n\n[[ ## completed ## ]]"
    }


class Model:
    """Counts tokens in a simple way, and remembers what it counted."""

    def __init__(self) -> None:
        self.ledger: list[dict[str, int | str]] = []

    def answer(self, model: str, tools: list[str], called: list[str], prompt: str) -> tuple[Turn, int, int, int]:
        """One call: what it says, and its input, cached input and output tokens."""
        turn = next_turn(tools, called, prompt)
        number = len(self.ledger) + 1
        tokens = {"input": 100 + 10 * number, "cached": 20, "output": 10 + number}
        self.ledger.append({"model": model, **tokens})
        return turn, tokens["input"], tokens["cached"], tokens["output"]


def words_of(value: object) -> str:
    """All texts in a JSON document."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return "\n".join(words_of(one) for one in value.values())
    if isinstance(value, list):
        return "\n".join(words_of(one) for one in value)
    return ""


def chat_completion(model: Model, body: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any] | str] | None]:
    """OpenAI's Chat Completions."""
    tools = [one["function"]["name"] for one in body.get("tools") or [] if one.get("type") == "function"]
    messages = body.get("messages", [])
    called = [call["function"]["name"] for message in messages for call in message.get("tool_calls") or []]
    turn, sent, cached, received = model.answer(body["model"], tools, called, words_of(messages))
    number = len(model.ledger)
    usage = {
        "prompt_tokens": sent,
        "completion_tokens": received,
        "total_tokens": sent + received,
        "prompt_tokens_details": {"cached_tokens": cached},
    }
    calls = [
        {"id": f"call_{number}_{at}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
        for at, (name, arguments) in enumerate(turn.get("calls", []))
    ]
    message: dict[str, Any] = {"role": "assistant", "content": turn.get("text")} | ({"tool_calls": calls} if calls else {})
    head = {"id": f"chatcmpl-{number}", "created": 1_700_000_000, "model": body["model"]}
    reason = "tool_calls" if calls else "stop"
    whole = {**head, "object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": reason}], "usage": usage}
    if not body.get("stream"):
        return whole, None

    def chunks() -> Iterator[dict[str, Any] | str]:
        part = {**head, "object": "chat.completion.chunk"}
        delta = {**message, "tool_calls": [{"index": at, **call} for at, call in enumerate(calls)]} if calls else message
        yield {**part, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        yield {**part, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]}
        if (body.get("stream_options") or {}).get("include_usage"):
            yield {**part, "choices": [], "usage": usage}
        yield "[DONE]"

    return whole, chunks()


def response(model: Model, body: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any] | str] | None]:
    """OpenAI's Responses, without streaming."""
    tools = [one["name"] for one in body.get("tools") or [] if one.get("type") == "function"]
    items = body.get("input", [])
    called = [one["name"] for one in items if isinstance(one, dict) and one.get("type") == "function_call"]
    turn, sent, cached, received = model.answer(body["model"], tools, called, words_of(items))
    number = len(model.ledger)
    output = [
        {
            "type": "function_call",
            "id": f"fc_{number}_{at}",
            "call_id": f"call_{number}_{at}",
            "name": name,
            "arguments": json.dumps(arguments),
            "status": "completed",
        }
        for at, (name, arguments) in enumerate(turn.get("calls", []))
    ] or [
        {
            "type": "message",
            "id": f"msg_{number}",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": turn["text"], "annotations": []}],
        }
    ]
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 1_700_000_000,
        "status": "completed",
        "model": body["model"],
        "output": output,
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": body.get("tools") or [],
        "usage": {
            "input_tokens": sent,
            "input_tokens_details": {"cached_tokens": cached},
            "output_tokens": received,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": sent + received,
        },
    }, None


def anthropic_message(model: Model, body: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any] | str] | None]:
    """Anthropic's Messages, without streaming. Its input tokens exclude what was cached."""
    tools = [one["name"] for one in body.get("tools") or [] if "name" in one]
    blocks = [block for message in body["messages"] if isinstance(message["content"], list) for block in message["content"]]
    called = [block["name"] for block in blocks if block.get("type") == "tool_use"]
    turn, sent, cached, received = model.answer(body["model"], tools, called, words_of(body["messages"]))
    number = len(model.ledger)
    content = [
        {"type": "tool_use", "id": f"toolu_{number}_{at}", "name": name, "input": arguments}
        for at, (name, arguments) in enumerate(turn.get("calls", []))
    ]
    return {
        "id": f"msg_{number}",
        "type": "message",
        "role": "assistant",
        "model": body["model"],
        "content": content or [{"type": "text", "text": turn["text"]}],
        "stop_reason": "tool_use" if content else "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": sent - cached,
            "cache_read_input_tokens": cached,
            "cache_creation_input_tokens": 0,
            "output_tokens": received,
        },
    }, None


def generated_content(model: Model, name: str, body: dict[str, Any]) -> tuple[dict[str, Any], Iterator[dict[str, Any] | str] | None]:
    """Gemini's generateContent, without streaming."""
    declared = [one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])]
    parts = [part for content in body.get("contents", []) for part in content.get("parts", [])]
    called = [part["functionCall"]["name"] for part in parts if "functionCall" in part]
    turn, sent, cached, received = model.answer(name, [one["name"] for one in declared], called, words_of(body.get("contents", [])))
    said = [{"functionCall": {"name": call, "args": arguments}} for call, arguments in turn.get("calls", [])] or [{"text": turn["text"]}]
    return {
        "candidates": [{"index": 0, "content": {"role": "model", "parts": said}, "finishReason": "STOP"}],
        "modelVersion": name,
        "responseId": f"gemini-{len(model.ledger)}",
        "usageMetadata": {
            "promptTokenCount": sent,
            "cachedContentTokenCount": cached,
            "candidatesTokenCount": received,
            "totalTokenCount": sent + received,
        },
    }, None


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self) -> None:
        self._send(200, json.dumps(self.model.ledger if self.path == "/ledger" else {"data": []}).encode())

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", "0"))
        if not 0 < length <= BODY_BYTES_MAX:
            self.close_connection = True
            return self._send(413, b"{}")
        body = json.loads(self.rfile.read(length))
        path = self.path.partition("?")[0]
        if path.endswith("/chat/completions"):
            whole, chunks = chat_completion(self.model, body)
        elif path.endswith("/responses"):
            whole, chunks = response(self.model, body)
        elif path.endswith("/messages"):
            whole, chunks = anthropic_message(self.model, body)
        elif path.endswith(":generateContent"):
            whole, chunks = generated_content(self.model, path.rpartition("/")[2].partition(":")[0], body)
        else:
            return self._send(404, json.dumps({"error": {"message": f"no such route: {path}"}}).encode())
        if chunks is None:
            return self._send(200, json.dumps(whole).encode())
        lines = "".join(f"data: {one if isinstance(one, str) else json.dumps(one)}\n\n" for one in chunks)
        self._send(200, lines.encode(), "text/event-stream")
        return None

    def _send(self, status: int, body: bytes, content_type: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Nothing: requests hold prompts."""


def serve(port: int = 0) -> ThreadingHTTPServer:
    """A server on a loopback port, not yet started; 0 chooses a free one."""
    return ThreadingHTTPServer(("127.0.0.1", port), type("Bound", (Handler,), {"model": Model()}))


if __name__ == "__main__":
    serve(int(sys.argv[1]) if len(sys.argv) > 1 else 8099).serve_forever()
