"""``ams.instrument()``: enables every installed instrumentor, one family for each library."""

import os
import sys
from collections import defaultdict
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

from opentelemetry import trace
from opentelemetry.instrumentation.dependencies import get_dist_dependency_conflicts
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from ams.otel.environment import ATTRIBUTES_MAX, disabled, exporters, has_service_name, service_of
from ams.otel.export import AmsSpanExporter, AmsSpanProcessor, StartedSpanProcessor
from ams.tracing.runtime import logger, runtime

GROUP = "opentelemetry_instrumentor"
FAMILIES = ("openinference-instrumentation-", "opentelemetry-instrumentation-")
"""Prefixes of distributions, the preferred one first: OpenInference, then OpenTelemetry's own and OpenLLMetry, which share theirs."""
_SUFFIXES = ("-v2", "-genai")


class Choice(NamedTuple):
    """The instrumentors of installed packages.

    Attributes:
        used: One for each library.
        others: Further ones for the same libraries.
    """

    used: list[EntryPoint]
    others: list[EntryPoint]


def instrument() -> list[str]:
    """Trace installed libraries without code changes. Call it before the libraries are used.

    Without a ``TracerProvider`` of OpenTelemetry's SDK it sets one; to an existing one it adds ``AmsSpanProcessor``.

    Returns:
        The distributions whose instrumentor is on.
    """
    _provide()
    found = choose()
    announce(found)
    return [name for entry in found.used if (name := _enable(entry)) is not None]


def choose(found: Sequence[EntryPoint] | None = None) -> Choice:
    """The instrumentors whose library is installed, without those that OTEL_PYTHON_DISABLED_INSTRUMENTATIONS names.

    Args:
        found: Entry points; default those of the environment.
    """
    by_library: dict[str, list[EntryPoint]] = defaultdict(list)
    left_out = disabled(os.environ)
    for entry in found if found is not None else entry_points(group=GROUP):
        if entry.dist is None or "*" in left_out or entry.name in left_out:
            continue
        if get_dist_dependency_conflicts(entry.dist) is None:
            by_library[_library(_name(entry))].append(entry)
    ranked = [sorted(entries, key=lambda entry: (_rank(_name(entry)), _name(entry))) for _, entries in sorted(by_library.items())]
    # one distribution may bring several instrumentors of one library
    used = [entry for entries in ranked for entry in entries if _name(entry) == _name(entries[0])]
    return Choice(used, [entry for entries in ranked for entry in entries if _name(entry) != _name(entries[0])])


def announce(found: Choice) -> None:
    """Say in one line for each library which of several families is used."""
    used = {_library(_name(entry)): _name(entry) for entry in found.used}
    others: dict[str, set[str]] = defaultdict(set)
    for entry in found.others:
        others[used[_library(_name(entry))]].add(_name(entry))
    for name, more in others.items():
        logger.warning("AMS: %s and %s trace the same library; %s is used.", name, ", ".join(sorted(more)), name)


def before_instrumentors() -> None:
    """The entry point ``opentelemetry_pre_instrument``: ``opentelemetry-instrument`` calls it before it enables every instrumentor.

    With ``OTEL_TRACES_EXPORTER=ams`` it reports running spans and keeps second families out.
    """
    if "ams" not in exporters(os.environ):
        return
    try:
        provider = trace.get_tracer_provider()
        exporter = next((one for processor in _processors(provider) if (one := _exporter(processor)) is not None), None)
        if isinstance(provider, TracerProvider) and exporter is not None and exporter.settings is not None:
            provider.add_span_processor(StartedSpanProcessor(AmsSpanExporter(exporter.settings)))
        found = choose()
        announce(found)
        for entry in found.others:
            _skip_once(entry)
    except Exception:  # noqa: BLE001 - the agent starts in any case
        logger.warning("AMS could not prepare the instrumentors; they are enabled as they are.", exc_info=True)


def _skip_once(entry: EntryPoint) -> None:
    """The next call of ``instrument`` does nothing; that is the one of ``opentelemetry-instrument``, which asks no one. Later ones are the agent's."""
    try:
        instrumentor = entry.load()()  # a singleton

        def skip(**options: object) -> None:
            del options, instrumentor.instrument

        instrumentor.instrument = skip
    except Exception as error:  # noqa: BLE001 - it cannot be enabled either
        logger.debug("AMS: %s cannot be loaded: %s", _name(entry), type(error).__name__)


def _provide() -> None:
    provider = trace.get_tracer_provider()
    if not isinstance(provider, TracerProvider):
        named = has_service_name(os.environ)
        resource = Resource.create({} if named else {SERVICE_NAME: runtime.agent or service_of(sys.argv)})
        limits = SpanLimits(max_span_attributes=None if "OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT" in os.environ else ATTRIBUTES_MAX)
        provider = TracerProvider(resource=resource, span_limits=limits)
        trace.set_tracer_provider(provider)
    if not any(isinstance(processor, StartedSpanProcessor) or _exporter(processor) is not None for processor in _processors(provider)):
        provider.add_span_processor(AmsSpanProcessor())


def _processors(provider: object) -> Sequence[object]:
    """There is no public way to ask for them; where there is no private one either, none is known."""
    known: Any = getattr(getattr(provider, "_active_span_processor", None), "_span_processors", ())
    return tuple(known)


def _exporter(processor: object) -> AmsSpanExporter | None:
    exporter = processor.span_exporter if isinstance(processor, BatchSpanProcessor) else None
    return exporter if isinstance(exporter, AmsSpanExporter) else None


def _enable(entry: EntryPoint) -> str | None:
    try:
        instrumentor = entry.load()()
        if not getattr(instrumentor, "is_instrumented_by_opentelemetry", False):  # by `ams run`, or by the program
            instrumentor.instrument(skip_dep_check=True)
    except ModuleNotFoundError as error:  # it does not say what it needs, and that is not installed
        logger.debug("AMS: %s is left out: %s", _name(entry), error)
        return None
    except Exception as error:  # noqa: BLE001 - a broken instrumentor must not stop the agent
        logger.warning("AMS: the instrumentor of %s cannot be enabled: %s: %s", _name(entry), type(error).__name__, str(error)[:200])
        return None
    return _name(entry)


def _name(entry: EntryPoint) -> str:
    return "" if entry.dist is None else entry.dist.name.lower().replace("_", "-")


def _rank(name: str) -> int:
    return next((number for number, prefix in enumerate(FAMILIES) if name.startswith(prefix)), len(FAMILIES))


def _library(name: str) -> str:
    """``openai`` for ``openinference-instrumentation-openai`` and ``opentelemetry-instrumentation-openai-v2``."""
    for prefix in FAMILIES:
        name = name.removeprefix(prefix)
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    return name.replace("-", "")
