"""Tokens: the ladders of ``mapping.md`` for ``usage``. ``input`` includes the cached ones, ``output`` the reasoning."""

from typing import Any

from ams_contracts.documents import Usage
from ams_trace_ingest.mapping import flags
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import Convert, json_map, tokens


def _ladder(field: int, *keys: str) -> Ladder:
    return Ladder(field, tuple((key, tokens) for key in keys))


def _bad(value: Any) -> bool | None:
    return True if tokens(value) is None and value is not None and value != "" else None


def _checked(*keys: str) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, _bad) for key in keys)


LADDERS = (
    Ladder(Field.USAGE_MAP, (("langfuse.observation.usage_details", json_map), ("mlflow.chat.tokenUsage", json_map))),
    _ladder(
        Field.INPUT_TOKENS,
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "gen_ai.aggregated_usage.input_tokens",
    ),
    _ladder(
        Field.OUTPUT_TOKENS,
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    _ladder(
        Field.CACHE_READ,
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
    ),
    _ladder(
        Field.CACHE_WRITE,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    _ladder(Field.CACHE_WRITE_5M, "anthropic.usage.cache_creation.ephemeral_5m_input_tokens"),
    _ladder(Field.CACHE_WRITE_1H, "anthropic.usage.cache_creation.ephemeral_1h_input_tokens"),
    _ladder(
        Field.REASONING,
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "ai.usage.reasoningTokens",
        "gen_ai.aggregated_usage.details.reasoning_tokens",
    ),
    _ladder(
        Field.AUDIO_INPUT,
        "gen_ai.usage.audio.input_tokens",
        "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
    ),
    _ladder(
        Field.AUDIO_OUTPUT,
        "gen_ai.usage.audio.output_tokens",
        "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.audio_tokens",
    ),
    _ladder(Field.IMAGE_INPUT, "gen_ai.usage.image.input_tokens"),
    _ladder(Field.VIDEO_INPUT, "gen_ai.usage.video.input_tokens"),
    Ladder(
        Field.BAD_USAGE,
        _checked("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "llm.token_count.prompt", "llm.token_count.completion"),
    ),
)

_FROM_MAP: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("input", (("input",), ("input_tokens",), ("prompt_tokens",), ("inputTokens",), ("promptTokens",))),
    ("output", (("output",), ("output_tokens",), ("completion_tokens",), ("outputTokens",), ("completionTokens",))),
    (
        "cache_read",
        (
            ("cache_read_input_tokens",),
            ("input_cached_tokens",),
            ("input_cache_read",),
            ("prompt_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cached_tokens"),
            ("cached_input_tokens",),
        ),
    ),
    ("cache_write", (("cache_creation_input_tokens",), ("input_cache_creation",), ("cache_write_input_tokens",))),
    (
        "reasoning",
        (
            ("output_reasoning_tokens",),
            ("output_reasoning",),
            ("completion_tokens_details", "reasoning_tokens"),
            ("output_tokens_details", "reasoning_tokens"),
            ("reasoning_tokens",),
        ),
    ),
    ("audio_input", (("input_audio_tokens",), ("prompt_tokens_details", "audio_tokens"))),
    ("audio_output", (("output_audio_tokens",), ("completion_tokens_details", "audio_tokens"))),
)
_FIELDS: tuple[tuple[str, int], ...] = (
    ("input", Field.INPUT_TOKENS),
    ("output", Field.OUTPUT_TOKENS),
    ("cache_read", Field.CACHE_READ),
    ("cache_write", Field.CACHE_WRITE),
    ("cache_write_1h", Field.CACHE_WRITE_1H),
    ("reasoning", Field.REASONING),
    ("audio_input", Field.AUDIO_INPUT),
    ("audio_output", Field.AUDIO_OUTPUT),
    ("image_input", Field.IMAGE_INPUT),
    ("video_input", Field.VIDEO_INPUT),
)


def usage_of(found: Found, marks: list[str]) -> Usage | None:
    """What the span says it used, or ``None`` when it says nothing. Counts that are none are marked."""
    values = found.values
    if values[Field.BAD_USAGE] is not None:
        marks.append(flags.BAD_USAGE)
    if values[Field.USAGE_MAP] is None and values[Field.INPUT_TOKENS] is None and values[Field.OUTPUT_TOKENS] is None:
        return None
    counts: dict[str, int] = {} if values[Field.USAGE_MAP] is None else _from_map(values[Field.USAGE_MAP])
    for name, field in _FIELDS:
        value = values[field]
        if value is not None and name not in counts:
            counts[name] = value
    if "cache_write" not in counts and values[Field.CACHE_WRITE_5M] is not None:
        counts["cache_write"] = values[Field.CACHE_WRITE_5M] + (values[Field.CACHE_WRITE_1H] or 0)
    return Usage(**counts) if counts else None


def _from_map(usage: dict[str, Any]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name, paths in _FROM_MAP:
        for path in paths:
            value: Any = usage
            for part in path:
                value = value.get(part) if isinstance(value, dict) else None
            count = tokens(value)
            if count is not None:
                counts[name] = count
                break
    return counts
