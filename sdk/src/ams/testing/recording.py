"""Tracing into memory for the length of a test, whatever the code under test does with ``ams.init``."""

from typing import Any, Final

from opentelemetry.context import Context, attach, get_current

from ams.sending.client import Client, current_client, install
from ams.sending.flush_result import FlushResult
from ams.sending.local import MemoryTransport
from ams.sending.transports import use_transport
from ams.setting_sources import override_settings
from ams.settings import SdkSettings
from ams.testing.spans import SpanCapture
from ams.testing.steps import RecordedStep, steps_of
from ams.tracing.runtime import Runtime, runtime
from ams_contracts.events import Event

SECONDS_MAX = 5.0
_SETTINGS: Final[dict[str, Any]] = {
    "transport": "memory",
    "announce": False,
    "sample_rate": 1.0,
    "tail_sample_rate": 1.0,
    "handle_sigterm": False,
    "flush_interval_seconds": 0.01,
    "spool": "off",
}
"""Those that no ``ams.init`` changes during a test."""
_RESTORED = [name for name in Runtime.__slots__ if name != "bug_reported"]


class Recording:
    """Starts with the SDK's defaults and without a current step; ``stop`` restores what was there before."""

    def __init__(self) -> None:
        self._transport = MemoryTransport()
        self._client_before = current_client()
        self._runtime_before = {name: getattr(runtime, name) for name in _RESTORED}
        self._context_before = get_current()
        self._transport_before = use_transport(self._transport)
        self._settings_before = override_settings(_SETTINGS)
        defaults = Runtime()
        for name in _RESTORED:
            setattr(runtime, name, getattr(defaults, name))
        attach(Context())
        self.spans = SpanCapture()
        install(Client(SdkSettings(**_SETTINGS)), handle_sigterm=False)

    def flush(self) -> FlushResult:
        """Wait until all events so far have arrived."""
        client = current_client()
        return client.flush(SECONDS_MAX) if client is not None else FlushResult(0, 0, 0, 0)

    def events(self) -> list[tuple[str | None, Event]]:
        """Task id and event, in order, all that were sent until now.

        Raises:
            RuntimeError: Some are missing, so that whatever a test asserts of them could be wrong.
        """
        result = self.flush()
        missing = result.pending + result.dropped + result.rejected + self._transport.forgotten
        if missing:
            reasons = ", ".join(f"{reason} {count}" for reason, count in result.reasons.items())
            raise RuntimeError(f"{missing} events of the code under test were not recorded ({reasons or result.reason or 'too many'})")
        return self._transport.events()

    def steps(self) -> list[RecordedStep]:
        """Steps and spans in the order of their starts. Raises like ``events``."""
        steps = steps_of(self.events())
        spans = self.spans.steps(runtime.masker)
        return sorted([*steps, *spans], key=lambda step: step.started_at_us) if spans else steps

    def stop(self) -> None:
        """Restore the client and the settings of before."""
        client = current_client()
        if client is not None and client is not self._client_before:
            client.shutdown(SECONDS_MAX)
        self.spans.stop()
        override_settings(self._settings_before)
        use_transport(self._transport_before)
        install(self._client_before, handle_sigterm=False)
        for name, value in self._runtime_before.items():
            setattr(runtime, name, value)
        attach(self._context_before)
