"""Reads a request body within limits, while it arrives and while it is inflated. Checks size first, then content encoding."""

import asyncio
import zlib
from typing import Any

from litestar import Request
from litestar.exceptions import ClientException

from ams_kit.errors import BadRequestError, TooLargeError, UnavailableError, UnsupportedError
from ams_kit.http.json_body import discard_body, waits_for_continue
from ams_kit.http.problems import RequestTimeoutError
from ams_trace_ingest.intake.budget import Lease

ARRIVAL_TIMEOUT_SECONDS = 30
GRACE_SECONDS = 5
RATE_MIN_BYTES_PER_SECOND = 32 * 1024  # a slower body loses its reservation: it would keep memory from others
DISCARD_TIMEOUT_SECONDS = 5
INFLATE_STEP_BYTES = 1 << 20
FEED_BYTES = 65_536  # what a member leaves over is copied each time
GZIP_MEMBERS_MAX = 1_000  # an empty one has 20 bytes and takes as long as 10 kB of text
GZIP_WINDOW_BITS = 31  # 16: gzip framing, 15: the largest window


async def read_body(request: Request[Any, Any, Any], lease: Lease, *, sent_bytes_max: int, inflated_bytes_max: int) -> bytes:
    """Read the body and inflate it.

    Args:
        request: With its body not yet read.
        lease: Holds the declared size while the body arrives, its true size afterwards.
        sent_bytes_max: Limit of the body as sent.
        inflated_bytes_max: Limit of the inflated body, all gzip members together.

    Raises:
        TooLargeError: A limit is exceeded, declared or while reading.
        UnsupportedError: A content encoding other than gzip and identity.
        BadRequestError: The body is declared gzip and is not, or has bytes after the last member.
        UnavailableError: The process holds too much already.
        RequestTimeoutError: The body did not arrive in time.
    """
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit():
        if len(declared) > 18 or int(declared) > sent_bytes_max:  # noqa: PLR2004  more digits than any length that fits
            raise TooLargeError(f"at most {sent_bytes_max} bytes as sent")
        try:
            lease.resize(int(declared), arriving=True)
        except UnavailableError:
            if not waits_for_continue(request):
                await discard_body(request, bytes_max=sent_bytes_max, seconds_max=DISCARD_TIMEOUT_SECONDS)
            raise
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"gzip", "identity", ""}:
        raise UnsupportedError("use Content-Encoding gzip or none", code="unsupported_encoding")
    sent = await _receive(request, lease, sent_bytes_max, int(declared) if declared.isdigit() else 0)
    return await inflate(sent, lease, inflated_bytes_max) if encoding == "gzip" else sent


async def _receive(request: Request[Any, Any, Any], lease: Lease, sent_bytes_max: int, declared: int) -> bytes:
    """The bytes as sent. The reservation is never less than what the client has declared, and grows with a body of unknown length."""
    received = bytearray()
    held = declared
    began = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout_at(began + GRACE_SECONDS) as deadline:
            async for chunk in request.stream():
                received += chunk
                if len(received) > sent_bytes_max:
                    raise TooLargeError(f"at most {sent_bytes_max} bytes as sent")
                if len(received) > held:
                    held = max(len(received), min(2 * held, sent_bytes_max))
                    lease.resize(held, arriving=True)
                deadline.reschedule(began + min(ARRIVAL_TIMEOUT_SECONDS, GRACE_SECONDS + len(received) / RATE_MIN_BYTES_PER_SECOND))
    except TimeoutError as error:
        raise RequestTimeoutError(
            f"A body must arrive within {ARRIVAL_TIMEOUT_SECONDS} s, after {GRACE_SECONDS} s at {RATE_MIN_BYTES_PER_SECOND // 1024} KiB/s or more."
        ) from error
    except ClientException as error:  # the client has closed the connection
        raise BadRequestError("the connection closed before the body was complete", code="disconnected") from error
    lease.resize(len(received))
    return bytes(received)


async def inflate(sent: bytes, lease: Lease, inflated_bytes_max: int) -> bytes:
    """Inflate all members of a gzip body. Raises like ``read_body``."""
    parts: list[bytes] = []
    total = members = at = 0
    while at < len(sent):
        members += 1
        if members > GZIP_MEMBERS_MAX:
            raise BadRequestError(f"at most {GZIP_MEMBERS_MAX} gzip members", code="malformed_gzip")
        member = zlib.decompressobj(GZIP_WINDOW_BITS)
        rest = b""
        try:
            while not member.eof:
                if not rest:
                    rest = sent[at : at + FEED_BYTES]
                    at += len(rest)
                    if not rest:
                        raise BadRequestError("the gzip body ends too early", code="malformed_gzip")
                part = member.decompress(rest, INFLATE_STEP_BYTES)
                rest = member.unconsumed_tail
                total += len(part)
                if total > inflated_bytes_max:
                    raise TooLargeError(f"at most {inflated_bytes_max} bytes after decompression")
                lease.resize(len(sent) + total)
                parts.append(part)
                if len(part) == INFLATE_STEP_BYTES:
                    await asyncio.sleep(0)  # 64 of these steps take 200 ms: let other requests run between them
        except zlib.error as error:
            raise BadRequestError("the body is not gzip", code="malformed_gzip") from error
        at -= len(member.unused_data)
    return b"".join(parts)
