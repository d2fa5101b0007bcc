"""What of a span may leave the process: names in a list, and nothing else.

The instrumentations record more than operators need and people want: addresses with queries, SQL, commands, messages of exceptions. A list of what may
leave holds when an instrumentation learns to record something new; a list of what may not does not.
"""

from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.trace import Status

NAME_CHARS_MAX = 120
VALUE_CHARS_MAX = 256
ATTRIBUTES = frozenset(
    {
        "http.request.method", "http.response.status_code", "http.route", "url.scheme", "network.protocol.version", "error.type",
        "server.address", "server.port",
        "db.system", "db.system.name", "db.operation.name", "db.namespace", "db.redis.pipeline_length",
        "messaging.system", "messaging.operation.name", "messaging.destination.name", "messaging.consumer.group.name", "messaging.batch.message_count",
    }
)  # fmt: skip


def permitted(span: ReadableSpan) -> ReadableSpan:
    """Return a copy with the attributes that may leave, and of its events the types of exceptions. Messages of errors hold values."""
    return ReadableSpan(
        name=span.name[:NAME_CHARS_MAX],
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_permitted(span.attributes or {}),
        events=[
            Event("exception", {"exception.type": str((event.attributes or {}).get("exception.type", ""))}, event.timestamp)
            for event in span.events
            if event.name == "exception"
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _permitted(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value[:VALUE_CHARS_MAX] if isinstance(value, str) else value for name, value in attributes.items() if name in ATTRIBUTES}
