"""The Vercel AI SDK: its answers are spread over several attributes."""

from typing import Any

from ams_trace_ingest.mapping.messages import Message
from ams_trace_ingest.mapping.parts import Part, call_part, parsed, text_part


def answer(text: Any, tool_calls: Any, reasoning: Any) -> list[Message] | None:
    """``ai.response.text``, ``.toolCalls`` and ``.reasoning`` as one message."""
    content: list[Part] = []
    if isinstance(reasoning, str) and reasoning:
        content.append({"type": "reasoning", "text": reasoning})
    if isinstance(text, str) and text:
        content.append(text_part(text))
    calls = parsed(tool_calls)
    content += [call_part(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    return [{"role": "assistant", "content": content}] if content else None
