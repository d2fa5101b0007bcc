"""``ams.inject`` and ``ams.extract``: the current step across processes and machines, as W3C ``traceparent``, ``tracestate`` and ``baggage`` headers."""

from collections.abc import Iterable, Mapping, MutableMapping
from functools import cache
from importlib import import_module
from types import TracebackType
from typing import Any, Self

from opentelemetry.context import Context, attach, get_current

from ams.tracing.runtime import runtime

_PROPAGATORS = (
    ("opentelemetry.trace.propagation.tracecontext", "TraceContextTextMapPropagator"),
    ("opentelemetry.baggage.propagation", "W3CBaggagePropagator"),
)

Headers = Mapping[str, str] | Iterable[tuple[str | bytes, str | bytes]]
"""A mapping (``request.headers``), or pairs as in an ASGI scope; upper and lower case are the same."""


@cache
def _propagators() -> list[Any]:
    """One of each, imported when a step first crosses a process."""
    return [getattr(import_module(module), name)() for module, name in _PROPAGATORS]


def inject(headers: MutableMapping[str, str] | None = None) -> MutableMapping[str, str]:
    """Write the current step into the headers of an outgoing request or message.

    Args:
        headers: Changed in place; default a new dict.

    Returns:
        The headers. Outside any step they are unchanged.
    """
    carrier: MutableMapping[str, str] = headers if headers is not None else {}
    try:
        for propagator in _propagators():
            propagator.inject(carrier)
    except Exception:  # noqa: BLE001 - the SDK does not raise into the agent
        runtime.report_bug("outgoing headers")
    return carrier


class extract:  # noqa: N801 - used as a function: ``with ams.extract(request.headers):``
    """Continue a task of another process: steps inside the block are below the step that the headers name.

    The task belongs to the process that started it: name, input and output stay its own. Without a ``traceparent`` the block changes nothing.
    """

    __slots__ = ("_context", "_outer")

    def __init__(self, headers: Headers) -> None:
        self._outer: Context | None = None
        context = Context()
        try:
            items = getattr(headers, "items", None)  # also of headers that are no Mapping, such as Werkzeug's
            pairs: Iterable[tuple[str | bytes, str | bytes]] = items() if callable(items) else headers  # type: ignore[assignment]
            carrier = {_text(name).lower(): _text(value) for name, value in pairs}
            for propagator in _propagators():
                context = propagator.extract(carrier, context)
        except Exception:  # noqa: BLE001 - headers come from anywhere
            context = Context()
        self._context = context

    def __enter__(self) -> Self:
        if self._context:
            self._outer = get_current()
            attach(self._context)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._outer is not None:
            attach(self._outer)  # no token is reset: a generator may be closed in another context than the one that started it
            self._outer = None

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
