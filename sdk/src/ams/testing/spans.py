"""Spans of OpenTelemetry's SDK in a recording, from whichever ``TracerProvider`` of this process.

The platform's mapping (docs/mapping.md) understands many more attributes; here are those that tests ask about.
"""

import json
import threading
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ams.masking import Masker
from ams.testing.steps import RecordedStep
from ams_contracts.documents import Usage

SPANS_MAX = 100_000
SDK = "opentelemetry.sdk"
_OPERATIONS = {
    "chat": "llm",
    "generate_content": "llm",
    "text_completion": "llm",
    "embeddings": "embedding",
    "retrieval": "retrieval",
    "create_agent": "agent",
    "invoke_agent": "agent",
    "execute_tool": "tool",
    "invoke_workflow": "workflow",
}
_KINDS = {
    "LLM": "llm",
    "TOOL": "tool",
    "AGENT": "agent",
    "CHAIN": "workflow",
    "WORKFLOW": "workflow",
    "TASK": "workflow",
    "RETRIEVER": "retrieval",
    "EMBEDDING": "embedding",
    "RERANKER": "rerank",
    "GUARDRAIL": "guardrail",
    "EVALUATOR": "evaluator",
}
_MODEL = ("gen_ai.response.model", "gen_ai.request.model", "llm.model_name", "embedding.model_name")
_INPUT = ("gen_ai.input.messages", "gen_ai.tool.call.arguments", "input.value", "traceloop.entity.input")
_OUTPUT = ("gen_ai.output.messages", "gen_ai.tool.call.result", "output.value", "traceloop.entity.output")
_INPUT_TOKENS = ("gen_ai.usage.input_tokens", "llm.token_count.prompt", "gen_ai.usage.prompt_tokens")
_OUTPUT_TOKENS = ("gen_ai.usage.output_tokens", "llm.token_count.completion", "gen_ai.usage.completion_tokens")


class SpanCapture:
    """Keeps each span that starts from now on, until ``stop``. Does nothing where OpenTelemetry's SDK is not installed.

    It replaces a method of the SDK's span class, because the code under test may make its own provider, before or during the test.
    """

    def __init__(self) -> None:
        self._spans: list[Any] = []
        self._lock = threading.Lock()
        self._restore: Callable[[], None] | None = None
        if find_spec("opentelemetry") is not None and find_spec(SDK) is not None:
            self._replace(import_module(f"{SDK}.trace").Span)

    def _replace(self, span_class: Any) -> None:
        start = span_class.start

        def started(span: Any, *args: Any, **kwargs: Any) -> Any:
            with self._lock:
                if len(self._spans) < SPANS_MAX:
                    self._spans.append(span)
            return start(span, *args, **kwargs)

        def restore() -> None:
            span_class.start = start

        span_class.start = started
        self._restore = restore

    def steps(self, masker: Masker) -> list[RecordedStep]:
        """The spans as steps without their secrets, in the order of their starts."""
        with self._lock:
            spans = list(self._spans)
        return [step_of(span, masker) for span in spans]

    def stop(self) -> None:
        """Keep no more."""
        if self._restore is not None:
            self._restore()
            self._restore = None


def step_of(span: Any, masker: Masker) -> RecordedStep:
    """A span as a step."""
    attributes = masker.attributes(dict(span.attributes or {}))
    failed = span.status.status_code.name == "ERROR"
    exception = masker.attributes(next((event.attributes or {} for event in reversed(span.events) if event.name == "exception"), {}))
    message = exception.get("exception.message") or span.status.description
    status = "running" if span.end_time is None else "error" if failed else "ok"
    return RecordedStep(
        id=f"{span.context.span_id:016x}",
        task_id=f"{span.context.trace_id:032x}",
        parent_id=None if span.parent is None else f"{span.parent.span_id:016x}",
        name=masker.text(span.name),
        type=_type(attributes),
        status=status,
        agent=_first(attributes, ("gen_ai.agent.name", "ams.agent")),
        model=_first(attributes, _MODEL),
        usage=_usage(attributes),
        cost_usd=None,
        duration_seconds=None if span.end_time is None else (span.end_time - span.start_time) / 1e9,
        error_type=(exception.get("exception.type") or attributes.get("error.type") or "error") if failed else None,
        error_message=masker.text(message) if failed and message else None,
        error_stack=exception.get("exception.stacktrace") if failed else None,
        input=_value(_first(attributes, _INPUT)),
        output=_value(_first(attributes, _OUTPUT)),
        attributes=dict(attributes),
        started_at_us=(span.start_time or 0) // 1_000,
    )


def _type(attributes: Mapping[str, Any]) -> str:
    named = attributes.get("ams.step.type")
    if isinstance(named, str):
        return named
    for key in ("openinference.span.kind", "traceloop.span.kind"):
        if (kind := _KINDS.get(str(attributes.get(key)).upper())) is not None:
            return kind
    return _OPERATIONS.get(str(attributes.get("gen_ai.operation.name")), "span")


def _first(attributes: Mapping[str, Any], keys: tuple[str, ...]) -> Any:
    return next((attributes[key] for key in keys if attributes.get(key) is not None), None)


def _usage(attributes: Mapping[str, Any]) -> Usage | None:
    sent, received = _first(attributes, _INPUT_TOKENS), _first(attributes, _OUTPUT_TOKENS)
    return None if sent is None and received is None else Usage(input=sent, output=received)


def _value(value: Any) -> Any:
    if not isinstance(value, str) or value[:1] not in {"{", "["}:
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
