"""Token usage: the attributes that report it, in order (``docs/mapping.md``). ``input`` includes cached tokens, ``output`` reasoning."""

from typing import Any

from ams_contracts.documents import Usage
from ams_trace_ingest.mapping import flags
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.complete_usage import complete
from ams_trace_ingest.mapping.convert import Convert, json_map, tokens, word
from ams_trace_ingest.mapping.span_model import Scope


def _ladder(field: int, *keys: str) -> Ladder:
    return Ladder(field, tuple((key, tokens) for key in keys))


def _bad(value: Any) -> bool | None:
    return True if tokens(value) is None and value is not None and value != "" else None


def _checked(*keys: str) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, _bad) for key in keys)


LADDERS = (
    Ladder(
        Field.USAGE_MAP,
        tuple(
            (key, json_map)
            for key in (
                "langfuse.observation.usage_details",
                "mlflow.chat.tokenUsage",
                "gen_ai.usage",
                "ai.usage",
                "llm.usage",
                "llm.token_count",
            )
        ),
    ),
    _ladder(
        Field.INPUT_TOKENS,
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
        "embedding.token_count.prompt",
        "decision.token_count.input",
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
        "decision.token_count.output",
        "gen_ai.aggregated_usage.output_tokens",
    ),
    _ladder(
        Field.TOTAL_TOKENS,
        "gen_ai.usage.total_tokens",
        "llm.token_count.total",
        "llm.usage.total_tokens",
        "ai.usage.totalTokens",
        "decision.token_count.total",
    ),
    _ladder(
        Field.CACHE_READ,
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.cache_read_tokens",
        "gen_ai.usage.cached_tokens",
        "gen_ai.usage.cached_input_tokens",
        "gen_ai.usage.input_cached_tokens",
        "gen_ai.usage.input_tokens.cached",
        "gen_ai.usage.input_tokens_details.cached_tokens",
        "gen_ai.usage.prompt_tokens_details.cached_tokens",
        "gen_ai.usage.input_token_details.cache_read",
        "gen_ai.usage.details.cache_read_tokens",
        "gen_ai.usage.details.cached_tokens",
        "gen_ai.usage.details.cache_read_input_tokens",
        "gen_ai.usage.experimental.cached_tokens",
        "llm.token_count.prompt_details.cache_read",
        "llm.token_count.prompt_details.cache_input",
        "llm.usage.cache_read_input_tokens",
        "llm.usage.cached_tokens",
        "ai.usage.cachedInputTokens",
        "ai.usage.inputTokenDetails.cacheReadTokens",
        "gen_ai.aggregated_usage.cache_read.input_tokens",
    ),
    _ladder(
        Field.CACHE_WRITE,
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.cache_write_input_tokens",
        "gen_ai.usage.cache_write_tokens",
        "gen_ai.usage.cache_creation_tokens",
        "gen_ai.usage.input_token_details.cache_creation",
        "gen_ai.usage.details.cache_write_tokens",
        "gen_ai.usage.details.cache_creation_input_tokens",
        "llm.token_count.prompt_details.cache_write",
        "llm.usage.cache_creation_input_tokens",
        "ai.usage.inputTokenDetails.cacheWriteTokens",
        "gen_ai.aggregated_usage.cache_creation.input_tokens",
    ),
    _ladder(
        Field.CACHE_WRITE_5M,
        "anthropic.usage.cache_creation.ephemeral_5m_input_tokens",
        "gen_ai.usage.cache_creation.ephemeral_5m_input_tokens",
    ),
    _ladder(
        Field.CACHE_WRITE_1H,
        "anthropic.usage.cache_creation.ephemeral_1h_input_tokens",
        "gen_ai.usage.cache_creation.ephemeral_1h_input_tokens",
    ),
    _ladder(
        Field.REASONING,
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "gen_ai.usage.output_reasoning_tokens",
        "gen_ai.usage.reasoning_output_tokens",
        "gen_ai.usage.output_tokens.reasoning",
        "gen_ai.usage.output_tokens_details.reasoning_tokens",
        "gen_ai.usage.completion_tokens_details.reasoning_tokens",
        "gen_ai.usage.output_token_details.reasoning",
        "gen_ai.usage.details.reasoning_tokens",
        "gen_ai.usage.details.thoughts_tokens",
        "gen_ai.usage.experimental.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
        "llm.usage.reasoning_tokens",
        "ai.usage.reasoningTokens",
        "ai.usage.outputTokenDetails.reasoningTokens",
        "gen_ai.aggregated_usage.details.reasoning_tokens",
    ),
    _ladder(
        Field.AUDIO_INPUT,
        "gen_ai.usage.audio.input_tokens",
        "gen_ai.usage.input_audio_tokens",
        "gen_ai.usage.input_tokens_details.audio_tokens",
        "gen_ai.usage.prompt_tokens_details.audio_tokens",
        "llm.token_count.prompt_details.audio",
        "gen_ai.usage.details.input_audio_tokens",
    ),
    _ladder(
        Field.AUDIO_OUTPUT,
        "gen_ai.usage.audio.output_tokens",
        "gen_ai.usage.output_audio_tokens",
        "gen_ai.usage.output_tokens_details.audio_tokens",
        "gen_ai.usage.completion_tokens_details.audio_tokens",
        "llm.token_count.completion_details.audio",
        "gen_ai.usage.details.output_audio_tokens",
        "gen_ai.usage.details.audio_tokens",
    ),
    _ladder(
        Field.AUDIO_CACHE_READ,
        "gen_ai.usage.audio.cache_read.input_tokens",
        "gen_ai.usage.cache_audio_read_tokens",
        "gen_ai.usage.details.cache_audio_read_tokens",
    ),
    _ladder(
        Field.IMAGE_INPUT,
        "gen_ai.usage.image.input_tokens",
        "gen_ai.usage.input_image_tokens",
        "gen_ai.usage.details.input_image_tokens",
        "llm.token_count.prompt_details.image",
    ),
    _ladder(
        Field.IMAGE_OUTPUT,
        "gen_ai.usage.image.output_tokens",
        "gen_ai.usage.output_image_tokens",
        "gen_ai.usage.details.output_image_tokens",
        "llm.token_count.completion_details.image",
    ),
    _ladder(Field.VIDEO_INPUT, "gen_ai.usage.video.input_tokens", "gen_ai.usage.input_video_tokens"),
    _ladder(Field.TEXT_CACHE_READ, "gen_ai.usage.text.cache_read.input_tokens"),
    _ladder(Field.IMAGE_CACHE_READ, "gen_ai.usage.image.cache_read.input_tokens"),
    Ladder(
        Field.SERVICE_TIER,
        tuple(
            (key, word)
            for key in (
                "openai.response.service_tier",
                "gen_ai.openai.response.service_tier",
                "gen_ai.response.service_tier",
                "anthropic.response.service_tier",
                "gen_ai.usage.service_tier",
                "llm.response.service_tier",
            )
        ),
    ),
    Ladder(
        Field.BAD_USAGE,
        _checked("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "llm.token_count.prompt", "llm.token_count.completion"),
    ),
)

_FROM_MAP: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...] = (
    ("input", (("input",), ("input_tokens",), ("prompt_tokens",), ("inputTokens",), ("promptTokens",))),
    ("output", (("output",), ("output_tokens",), ("completion_tokens",), ("outputTokens",), ("completionTokens",))),
    ("total", (("total",), ("total_tokens",), ("totalTokens",))),
    (
        "cache_read",
        (
            ("cache_read_input_tokens",),
            ("input_cached_tokens",),
            ("input_cache_read",),
            ("input_cached",),
            ("cache_read_tokens",),
            ("prompt_tokens_details", "cached_tokens"),
            ("input_tokens_details", "cached_tokens"),
            ("cached_input_tokens",),
            ("cachedInputTokens",),
            ("inputTokenDetails", "cacheReadTokens"),
            ("cacheReadInputTokens",),
            ("cacheReadTokens",),
            ("cache_read",),
            ("cached_tokens",),
        ),
    ),
    (
        "cache_write",
        (
            ("cache_creation_input_tokens",),
            ("input_cache_creation",),
            ("input_cache_creation_tokens",),
            ("input_cache_write",),
            ("cache_write_input_tokens",),
            ("cache_write_tokens",),
            ("inputTokenDetails", "cacheWriteTokens"),
            ("cacheWriteInputTokens",),
            ("cacheCreationInputTokens",),
            ("cacheWriteTokens",),
            ("cache_write",),
            ("cache_creation",),
        ),
    ),
    (
        "reasoning",
        (
            ("output_reasoning_tokens",),
            ("output_reasoning",),
            ("completion_tokens_details", "reasoning_tokens"),
            ("output_tokens_details", "reasoning_tokens"),
            ("reasoning_tokens",),
            ("outputTokenDetails", "reasoningTokens"),
            ("reasoningTokens",),
            ("thoughts_tokens",),
            ("reasoning",),
        ),
    ),
    ("audio_input", (("input_audio_tokens",), ("input_audio",), ("prompt_tokens_details", "audio_tokens"))),
    ("audio_output", (("output_audio_tokens",), ("output_audio",), ("completion_tokens_details", "audio_tokens"))),
    ("image_input", (("input_image_tokens",), ("input_image",))),
    ("image_output", (("output_image_tokens",), ("output_image",))),
)
_FIELDS: tuple[tuple[str, int], ...] = (
    ("input", Field.INPUT_TOKENS),
    ("output", Field.OUTPUT_TOKENS),
    ("total", Field.TOTAL_TOKENS),
    ("cache_read", Field.CACHE_READ),
    ("cache_write", Field.CACHE_WRITE),
    ("cache_write_1h", Field.CACHE_WRITE_1H),
    ("reasoning", Field.REASONING),
    ("audio_input", Field.AUDIO_INPUT),
    ("audio_output", Field.AUDIO_OUTPUT),
    ("audio_cache_read", Field.AUDIO_CACHE_READ),
    ("image_input", Field.IMAGE_INPUT),
    ("image_output", Field.IMAGE_OUTPUT),
    ("video_input", Field.VIDEO_INPUT),
)
_DETAILS = slice(Field.CACHE_READ, Field.IMAGE_CACHE_READ + 1)  # the counts of parts of input and output, side by side
_NO_DETAILS = [None] * (_DETAILS.stop - _DETAILS.start)


def usage_of(found: Found, scope: Scope, marks: list[str]) -> Usage | None:
    """The usage that the span reports, or ``None``. Invalid counts are flagged."""
    values = found.values
    if values[Field.BAD_USAGE] is not None:
        marks.append(flags.BAD_USAGE)
    if values[Field.USAGE_MAP] is None and values[Field.INPUT_TOKENS] is None and values[Field.OUTPUT_TOKENS] is None:
        return None
    if values[Field.USAGE_MAP] is None and values[_DETAILS] == _NO_DETAILS:  # most spans
        used = Usage(input=values[Field.INPUT_TOKENS], output=values[Field.OUTPUT_TOKENS], service_tier=values[Field.SERVICE_TIER])
        if values[Field.TOTAL_TOKENS] is None or (used.input is not None and used.output is not None):
            return used
    counts: dict[str, int] = {name: values[field] for name, field in _FIELDS if values[field] is not None}
    if values[Field.USAGE_MAP] is not None:
        counts.update(_from_map(values[Field.USAGE_MAP]))  # the map comes first
    _add_parts(counts, values)
    total = counts.pop("total", None)
    if not counts:
        return None
    complete(counts, total, found, scope)
    return Usage(**counts, service_tier=values[Field.SERVICE_TIER])


def _add_parts(counts: dict[str, int], values: list[Any]) -> None:
    """The counts of which a sender reports only the parts: cached tokens by how long they are kept, or by modality."""
    for whole, parts in _WHOLES:
        known = [values[part] for part in parts if values[part] is not None]
        if known and whole not in counts:
            counts[whole] = sum(known)


_WHOLES = (
    ("cache_write", (Field.CACHE_WRITE_5M, Field.CACHE_WRITE_1H)),
    ("cache_read", (Field.TEXT_CACHE_READ, Field.IMAGE_CACHE_READ, Field.AUDIO_CACHE_READ)),
)


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
