"""The Vercel AI SDK: its answers are spread over several attributes."""

from typing import Any

from ams_trace_ingest.mapping.messages import Message
from ams_trace_ingest.mapping.parts import Part, call_part, parsed, parts_from, text_part


def answer(text: Any, tool_calls: Any, reasoning: Any, files: Any) -> list[Message] | None:
    """``ai.response.text``, ``.toolCalls``, ``.reasoning`` and ``.files`` as one message."""
    content: list[Part] = []
    if isinstance(reasoning, str) and reasoning:
        content.append({"type": "reasoning", "text": reasoning})
    if isinstance(text, str) and text:
        content.append(text_part(text))
    calls = parsed(tool_calls)
    content += [call_part(call) for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
    made = parsed(files)
    content += (
        [part for file in made if isinstance(file, dict) for part in parts_from({**file, "type": "file"})] if isinstance(made, list) else []
    )
    return [{"role": "assistant", "content": content}] if content else None
