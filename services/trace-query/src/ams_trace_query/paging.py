"""Keyset cursors: opaque, and valid only for the query that issued them.

A cursor is ``base64url(version, mac, values)``; ``values`` are the sort keys of the last row of the page. The MAC also covers
project, route, filters and sort, so a cursor of another project, filter or key is rejected instead of misread.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec

from ams_kit.errors import BadRequestError

VERSION = 2
CURSOR_CHARS_MAX = 1_024
_MAC_BYTES = 16

Row = TypeVar("Row")


class Cursors:
    """Signs and verifies cursors."""

    def __init__(self, secret: str) -> None:
        """Derive the key from a secret that all replicas share. A new secret invalidates old cursors."""
        self._key = hashlib.blake2b(secret.encode(), digest_size=32, person=b"ams-cursors").digest()

    def seal(self, bound: Sequence[Any], values: Sequence[int | str | list[int] | None]) -> str:
        """The cursor after the row with these sort keys.

        Args:
            bound: The scope of the cursor: project, route, filters, sort.
            values: Sort keys as JSON values.
        """
        body = msgspec.json.encode(values)
        return base64.urlsafe_b64encode(bytes([VERSION]) + self._mac(bound, body) + body).decode().rstrip("=")

    def page(self, bound: Sequence[Any], rows: Sequence[Row], limit: int, keys: Sequence[str]) -> tuple[Sequence[Row], str | None]:
        """The rows of a page, and the cursor of the next one.

        Args:
            bound: As for ``seal``.
            rows: One more than ``limit`` when there are more.
            limit: Rows of a page, at least 1.
            keys: The columns of the sort.
        """
        if len(rows) <= limit:
            return rows, None
        last: Any = rows[limit - 1]
        return rows[:limit], self.seal(bound, [last[key] for key in keys])

    def open(self, cursor: str | None, bound: Sequence[Any]) -> list[Any] | None:
        """The sort keys of a cursor; null without a cursor.

        Raises:
            BadRequestError: The cursor was not issued for this query.
        """
        if cursor is None:
            return None
        refused = BadRequestError("The cursor is not valid for this query. Start again without it.", code="bad_cursor")
        if len(cursor) > CURSOR_CHARS_MAX or not cursor.isascii():
            raise refused
        try:
            data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise refused from error
        mac, body = data[1 : 1 + _MAC_BYTES], data[1 + _MAC_BYTES :]
        if data[:1] != bytes([VERSION]) or not hmac.compare_digest(mac, self._mac(bound, body)):
            raise refused
        return msgspec.json.decode(body, type=list[Any])

    def _mac(self, bound: Sequence[Any], body: bytes) -> bytes:
        return hashlib.blake2b(msgspec.json.encode([VERSION, bound]) + b"\0" + body, key=self._key, digest_size=_MAC_BYTES).digest()
