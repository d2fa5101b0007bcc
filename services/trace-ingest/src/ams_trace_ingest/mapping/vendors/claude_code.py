"""Claude Code: its spans name usage, model, tool and prompt without any prefix, so the names mean something in its own scope only."""

from typing import Any

SCOPE = "com.anthropic.claude_code"

_NAMES = {
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cache_read_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_creation_tokens": "gen_ai.usage.cache_creation.input_tokens",
    "cost_usd": "gen_ai.usage.cost",
    "model": "gen_ai.request.model",
    "request_id": "gen_ai.response.id",
    "stop_reason": "gen_ai.response.finish_reasons",
    "ttft_ms": "ai.response.msToFirstChunk",
    "tool_name": "gen_ai.tool.name",
    "tool_use_id": "gen_ai.tool.call.id",
    "tool_input": "gen_ai.tool.call.arguments",
    "tool_result": "gen_ai.tool.call.result",
    "user_prompt": "input",
    "response": "output",
}
_TYPES = {"llm_request": "llm", "tool": "tool", "interaction": "workflow"}


def standard_names(attributes: dict[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The attributes under OpenTelemetry's names, and for each of these the name that was sent. What the span says itself wins."""
    renamed = dict(attributes)
    sent: dict[str, str] = {}
    for key, value in attributes.items():
        name = _NAMES.get(key)
        if name is not None and name not in attributes:
            renamed[name] = value
            sent[name] = key
    kind = attributes.get("span.type")
    if isinstance(kind, str) and kind in _TYPES and "ams.step.type" not in attributes:
        renamed["ams.step.type"] = _TYPES[kind]
        sent["ams.step.type"] = "span.type"
    return renamed, sent
