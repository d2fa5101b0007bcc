"""Provider, model, parameters, response id and finish reasons of a call."""

from typing import Any

import msgspec

from ams_trace_ingest.mapping.attribute_rules import Field, Found, Group, Ladder, Prefix
from ams_trace_ingest.mapping.convert import Convert, json_map, json_word, load, present, word
from ams_trace_ingest.mapping.span_model import Span

PARAMETERS_CHARS_MAX = 4_096
FINISH_REASONS_MAX = 16
_HOUR_US = 3_600_000_000
_SERVICE_CHARS_MAX = 192  # of a call key, which is a word
_RUN_IDS = ("run-", "lc_run-")  # LangChain's ids of its own runs, where a provider sent none
_encode = msgspec.json.Encoder().encode

_PROVIDERS = {
    "az.ai.openai": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "azure": "azure.ai.openai",
    "vertex_ai": "gcp.vertex_ai",
    "vertexai": "gcp.vertex_ai",
    "google_vertexai": "gcp.vertex_ai",
    "gemini": "gcp.gemini",
    "google_genai": "gcp.gemini",
    "google": "gcp.gemini",
    "bedrock": "aws.bedrock",
    "amazon_bedrock": "aws.bedrock",
    "amazon-bedrock": "aws.bedrock",
    "aws": "aws.bedrock",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "xai": "x_ai",
}
_COMMON = frozenset({"openai", "anthropic", "aws.bedrock", "azure.ai.openai", "gcp.gemini", "gcp.vertex_ai"})
_ENDPOINTS = frozenset(
    {"openai", "anthropic", "google", "mistral", "cohere", "groq", "xai", "deepseek", "amazon-bedrock", "azure", "togetherai", "fireworks"}
)


def provider(value: Any) -> str | None:
    """A provider by OpenTelemetry's name for it: ``OpenAI`` and Vercel's ``openai.responses`` are ``openai``."""
    if value.__class__ is str and value in _COMMON:
        return value
    text = json_word(value)
    if text is None:
        return None
    text = text.lower()
    first = text.partition(".")[0]
    if first in _ENDPOINTS and not text.startswith("azure.ai."):
        text = first
    return _PROVIDERS.get(text, text)


def _finish(value: Any) -> list[str] | None:
    if isinstance(value, str) and value[:1] == "[":
        value = load(value) or value
    items = value if isinstance(value, list) else [value]
    texts: list[str] = []
    for item in items[:FINISH_REASONS_MAX]:
        text = word(item)
        if text is not None:
            texts.append(text)
    return texts or None


def _response_id(value: Any) -> str | None:
    text = word(value)
    return None if text is None or text.startswith(_RUN_IDS) else text


def _not_empty_map(value: Any) -> Any:
    return None if value == "{}" else present(value)


def _steps(*keys: str, convert: Convert = word) -> tuple[tuple[str, Convert], ...]:
    return tuple((key, convert) for key in keys)


LADDERS = (
    Ladder(
        Field.PROVIDER,
        _steps(
            "gen_ai.provider.name",
            "llm.provider",
            "gen_ai.system",
            "llm.system",
            "mlflow.llm.provider",
            "ai.model.provider",
            "decision.provider",
            "decision.system",
            "reranker.provider",
            "embedding.provider",
            "langsmith.metadata.ls_provider",
            convert=provider,
        ),
    ),
    Ladder(
        Field.MODEL_REQUESTED,
        _steps(
            "gen_ai.request.model",
            "llm.request.model_name",
            "ai.model.id",
            "decision.request.model_name",
            "langsmith.metadata.ls_model_name",
        ),
    ),
    Ladder(
        Field.MODEL,
        (
            ("langfuse.observation.model.name", word),
            ("gen_ai.response.model", word),
            ("llm.response.model_name", word),
            ("decision.response.model_name", word),
            ("ai.response.model", word),
            ("mlflow.llm.model", json_word),
            ("llm.model_name", word),
            ("embedding.model_name", word),
            ("reranker.model_name", word),
            ("decision.model_name", word),
        ),
    ),
    Ladder(Field.PARAMETERS, _steps("langfuse.observation.model.parameters", convert=present)),
    Ladder(Field.INVOCATION, _steps("llm.invocation_parameters", convert=_not_empty_map)),
    Ladder(Field.LATER_PARAMETERS, _steps("model_request_parameters", convert=present)),
    Ladder(Field.RESPONSE_ID, _steps("gen_ai.response.id", "ai.response.id", convert=_response_id)),
    Ladder(
        Field.FINISH,
        _steps(
            "gen_ai.response.finish_reasons",
            "gen_ai.response.finish_reason",
            "gen_ai.response.stop_reason",
            "llm.finish_reason",
            "llm.response.finish_reason",
            "llm.response.stop_reason",
            "ai.response.finishReason",
            "gen_ai.completion.0.finish_reason",
            convert=_finish,
        ),
    ),
)
PREFIXES = (Prefix("gen_ai.request.", group=Group.REQUEST),)

_FINISH_WORDS = {
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "tool_use": "tool_calls",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "stop": "stop",
    "length": "length",
    "content-filter": "content_filter",
    "content_filter": "content_filter",
}


def requested_model(found: Found) -> str | None:
    """The requested model; read from ``llm.invocation_parameters`` when no attribute names it."""
    model = found.values[Field.MODEL_REQUESTED]
    if model is not None or found.values[Field.INVOCATION] is None:
        return model
    invocation = json_map(found.values[Field.INVOCATION])
    return None if invocation is None else word(invocation.get("model"))


def finish_reasons(found: Found) -> list[str]:
    """Why the model stopped, in one vocabulary. The slot ``original`` keeps the value that was sent."""
    reasons: list[str] = found.values[Field.FINISH] or []
    return [_FINISH_WORDS.get(text.lower(), text) for text in reasons]


def finish_reasons_of(messages_text: str) -> list[str]:
    """Those that the messages of an answer name themselves."""
    if '"finish_reason":"' not in messages_text:
        return []
    messages = load(messages_text)
    reasons = [message.get("finish_reason") for message in messages if isinstance(message, dict)] if isinstance(messages, list) else []
    return [_FINISH_WORDS.get(text.lower(), text)[:256] for text in reasons if isinstance(text, str) and text][:FINISH_REASONS_MAX]


def parameters(found: Found) -> tuple[str | None, list[str]]:
    """The parameters of the request as JSON, and the attributes that it contains completely."""
    for field in (Field.PARAMETERS, Field.INVOCATION):
        if found.values[field] is not None:
            return _bounded(found.values[field], [str(found.keys[field])])
    requested = found.group(Group.REQUEST)
    if requested:
        return _bounded({".".join(map(str, path)): value for path, value, _ in requested}, [key for _, _, key in requested])
    if found.values[Field.LATER_PARAMETERS] is not None:
        return _bounded(found.values[Field.LATER_PARAMETERS], [str(found.keys[Field.LATER_PARAMETERS])])
    return None, []


def _bounded(value: Any, keys: list[str]) -> tuple[str | None, list[str]]:
    text = value if isinstance(value, str) else _encode(value).decode()
    if len(text) <= PARAMETERS_CHARS_MAX:
        return text, keys
    full = json_map(value)
    if full is None:
        return None, []
    # tools and schemas are large; the scalar parameters are what a reader wants
    kept = {key: item for key, item in full.items() if not isinstance(item, list | dict) and len(str(item)) < WORTH_CHARS_MAX}
    text = _encode(kept).decode()
    return (text if kept and len(text) <= PARAMETERS_CHARS_MAX else None), []


WORTH_CHARS_MAX = 200
_LANGCHAIN_ID = ("generations", 0, 0, "message", "kwargs", "response_metadata", "id")
_ENVELOPES = (  # of a provider's response: what it calls itself, and the list that holds the answer
    ({"object": "chat.completion"}, "choices"),
    ({"object": "chat.completion.chunk"}, "choices"),
    ({"object": "text_completion"}, "choices"),
    ({"object": "response"}, "output"),
    ({"object": "list"}, "data"),  # embeddings
    ({"type": "message", "role": "assistant"}, "content"),  # Anthropic
)


def call_key(service: str, input_tokens: int, output_tokens: int, ended_at_us: int) -> str:
    """What two instrumentations of one call have in common (rule R3): who made it, its tokens, and the hour in which it ended."""
    return f"{ended_at_us // _HOUR_US}:{input_tokens}:{output_tokens}:{service[:_SERVICE_CHARS_MAX]}"


def response_id(found: Found, span: Span) -> str | None:
    """The provider's id of the answer: what distinguishes two views of one call from two calls (rule R3)."""
    own = found.values[Field.RESPONSE_ID]
    if own is not None:
        return own
    output = span.attributes.get("output.value")
    if not isinstance(output, str) or output[:1] != "{" or ('id"' not in output and 'Id"' not in output):
        return None  # without looking into it: there is no key that could name an id
    value = load(output)
    if not isinstance(value, dict):
        return None
    return _envelope_id(value) or word(_at(value, _LANGCHAIN_ID))


def _envelope_id(value: dict[str, Any]) -> str | None:
    """The ``id`` of a provider's response envelope.

    Any other map may be what the model wrote: two parallel answers ``{"id": "42"}`` are two calls.
    """
    if isinstance(value.get("candidates"), list):  # Gemini
        return word(value.get("responseId")) or word(value.get("response_id"))
    is_envelope = any(
        isinstance(value.get(held), list) and all(value.get(key) == name for key, name in names.items()) for names, held in _ENVELOPES
    )
    return word(value.get("id")) if is_envelope else None


def _at(value: Any, path: tuple[str | int, ...]) -> Any:
    for part in path:
        if isinstance(part, int):
            value = value[part] if isinstance(value, list) and len(value) > part else None
        else:
            value = value.get(part) if isinstance(value, dict) else None
    return value
