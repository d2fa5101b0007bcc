"""Identifiers and bounded scalars that every contract uses."""

from typing import Annotated

from msgspec import Meta

# Patterns alone are not enough: Python's "$" also matches before a trailing newline, so the lengths are checked too.
ProjectId = Annotated[
    str,
    Meta(
        min_length=36,
        max_length=36,
        pattern=r"^(?!0{8}-)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$",
        description="UUIDv7, lower-case text, not nil.",
    ),
]
TaskId = Annotated[
    str,
    Meta(
        min_length=32, max_length=32, pattern=r"^(?!0+$)[0-9a-f]{32}$", description="W3C trace id: 32 lower-case hex digits, not all zero."
    ),
]
# For the ids of every event, the decoder checks the length, and ``ams_contracts.codec`` the digits of a batch at once: patterns took 40 % of the
# decoding time.
StepId = Annotated[
    str,
    Meta(
        min_length=16,
        max_length=16,
        description="W3C span id: 16 lower-case hex digits, not all zero.",
        extra_json_schema={"pattern": r"^(?!0+$)[0-9a-f]{16}$"},
    ),
]
EventId = Annotated[
    str,
    Meta(
        min_length=32,
        max_length=32,
        description="128 bits, 32 lower-case hex digits.",
        extra_json_schema={"pattern": r"^[0-9a-f]{32}$"},
    ),
]
Sha256 = Annotated[str, Meta(min_length=64, max_length=64, extra_json_schema={"pattern": r"^[0-9a-f]{64}$"})]

EXACT_MAX = 2**53 - 1  # the largest whole number that JavaScript's numbers keep exactly: the fold has a twin there
TIME_MAX_US = EXACT_MAX  # the year 2255
INT64_MAX = 2**63 - 1

Microseconds = Annotated[int, Meta(ge=0, le=TIME_MAX_US, description="Microseconds since the Unix epoch, UTC.")]
Seq = Annotated[int, Meta(ge=0, le=EXACT_MAX, description="Counts the events of one producer in one task from 1; 0 for OpenTelemetry.")]
Tokens = Annotated[int, Meta(ge=0, le=10**15)]

RETENTION_DAYS_MAX = 3_650
RetentionDays = Annotated[int, Meta(ge=1, le=RETENTION_DAYS_MAX, description="UTC days of tasks that are kept.")]

Count = Annotated[int, Meta(ge=0, le=EXACT_MAX)]
Name = Annotated[str, Meta(max_length=1_024)]
Word = Annotated[str, Meta(max_length=256)]
Preview = Annotated[str, Meta(max_length=512)]
