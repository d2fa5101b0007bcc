"""Start, end and time to first token of a step, in microseconds; OpenTelemetry's nanoseconds are truncated."""

from msgspec import Struct

from ams_trace_ingest.mapping import flags
from ams_trace_ingest.mapping.attribute_rules import Field, Found, Ladder
from ams_trace_ingest.mapping.convert import DURATION_US_MAX, millis_us, moment_us, number, seconds_us
from ams_trace_ingest.mapping.span_model import Span

_US_NS = 1_000
_EARLIEST_US = 946_684_800_000_000  # 2000: an earlier time comes from a clock that was never set
_AHEAD_US = 86_400_000_000  # a day: more than any time zone error
_FIRST_TOKEN_EVENTS = frozenset({"First Token Stream Event", "gen_ai.content.completion.chunk", "mlflow.chunk.item.0"})
_MILLIS_SCOPE = "strands"

LADDERS = (
    Ladder(Field.TTFT, (("gen_ai.response.time_to_first_chunk", seconds_us), ("gen_ai.client.operation.time_to_first_chunk", seconds_us))),
    Ladder(Field.TTFT_SERVER, (("gen_ai.server.time_to_first_token", number),)),
    Ladder(Field.TTFT_LATER, (("ai.response.msToFirstChunk", millis_us), ("ai.stream.msToFirstChunk", millis_us))),
    Ladder(Field.FIRST_TOKEN_AT, (("langfuse.observation.completion_start_time", moment_us),)),
)


class Times(Struct, gc=False):
    """``ended_at_us`` and ``duration_us`` are null while the step runs; the duration also when the clock went back."""

    started_at_us: int
    ended_at_us: int | None
    duration_us: int | None


def times_of(span: Span, received_at_us: int, marks: list[str]) -> Times:
    """The times of a span; implausible ones are flagged in ``marks``."""
    start_ns, end_ns = span.start_ns, span.end_ns
    if start_ns == 0:
        marks.append(flags.NO_START)
        started = end_ns // _US_NS or received_at_us
        return Times(started, end_ns // _US_NS or None, 0 if end_ns else None)
    started = start_ns // _US_NS
    if started < _EARLIEST_US or started > received_at_us + _AHEAD_US:
        marks.append(flags.ODD_TIME)
    if end_ns == 0:
        return Times(started, None, None)
    if end_ns < start_ns:
        marks.append(flags.CLOCK_SKEW)
        return Times(started, end_ns // _US_NS, None)
    return Times(started, end_ns // _US_NS, (end_ns - start_ns) // _US_NS)


def ttft_of(found: Found, span: Span, scope_name: str, started_at_us: int) -> int | None:
    """Time to the first token in microseconds, or ``None``."""
    values = found.values
    direct = values[Field.TTFT]
    if direct is not None:
        return direct
    server = values[Field.TTFT_SERVER]
    if server is not None and server > 0:
        # Strands writes whole milliseconds where the convention says seconds
        return millis_us(server) if scope_name.startswith(_MILLIS_SCOPE) else seconds_us(server)
    if values[Field.TTFT_LATER] is not None:
        return values[Field.TTFT_LATER]
    at_us = values[Field.FIRST_TOKEN_AT]
    if at_us is None and span.events:
        at_us = next((event.time_ns // _US_NS for event in span.events if event.name in _FIRST_TOKEN_EVENTS), None)
    return at_us - started_at_us if at_us is not None and 0 < at_us - started_at_us <= DURATION_US_MAX else None
