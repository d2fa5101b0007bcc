"""A connection pooler between a service and Postgres: what breaks the service ends it with a sentence."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NoReturn
from urllib.parse import urlsplit

import asyncpg
import pytest

from ams_kit.db import open_pool

INVENTED_PROCESS = 123_456
KEY, READY, QUERY, SYNC, TERMINATE = b"K", b"Z", b"Q", b"S", b"X"
ASKS_CLIENT = {struct.pack("!i", code) for code in (3, 5, 10, 11)}  # kinds of authentication that the client answers
REFUSAL = b"SFATAL\0C08P01\0Munsupported startup parameter: transaction_timeout\0\0"

Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Pooler:
    """A pooler of PostgreSQL's protocol, as PgBouncer is: it invents the client's process, and gives sessions to clients or to transactions.

    Args:
        by_transaction: Whether a session returns to the other clients after each transaction.
        parameters: Whether parameters of the client reach the session; null: they are refused.
    """

    def __init__(self, url: str, *, by_transaction: bool, parameters: bool | None = True) -> None:
        self._address = urlsplit(url)
        self._by_transaction = by_transaction
        self._parameters = parameters
        self._idle: list[Stream] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await self._serve(reader, writer)
        writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        startup = await self._startup(reader)
        if len(startup) == 4:  # asks for TLS
            writer.write(b"N")
            startup = await self._startup(reader)
        if self._parameters is None:
            self._send(writer, b"E", REFUSAL)
            return
        if not self._parameters:
            words = startup[4:].rstrip(b"\0").split(b"\0")
            kept = [
                word
                for name, value in zip(words[::2], words[1::2], strict=True)
                if name in (b"user", b"database")
                for word in (name, value)
            ]
            startup = startup[:4] + b"\0".join(kept) + b"\0\0"
        session = await asyncio.open_connection(self._address.hostname, self._address.port)
        session[1].write(struct.pack("!i", len(startup) + 4) + startup)
        await self._authenticate((reader, writer), session)
        await self._relay((reader, writer), session)

    async def _startup(self, reader: asyncio.StreamReader) -> bytes:
        return await reader.readexactly(struct.unpack("!i", await reader.readexactly(4))[0] - 4)

    async def _authenticate(self, client: Stream, session: Stream) -> None:
        """The client authenticates itself to Postgres."""
        kind = b""
        while kind != READY:
            kind, body = await self._message(session[0])
            if kind == KEY:
                body = struct.pack("!i", INVENTED_PROCESS) + body[4:]
            self._send(client[1], kind, body)
            if kind == b"R" and body[:4] in ASKS_CLIENT:
                self._send(session[1], *await self._message(client[0]))

    async def _relay(self, client: Stream, own: Stream) -> None:
        """Messages go to one session until it is ready for the next query; then its transaction may be over."""
        session: Stream | None = own
        if self._by_transaction:
            self._idle.append(own)
            session = None
        answering: asyncio.Task[bytes] | None = None
        while (message := await self._message(client[0]))[0] != TERMINATE:
            session = session or self._idle.pop()
            answering = answering or asyncio.create_task(self._answer(session, client))
            self._send(session[1], *message)
            if message[0] in (QUERY, SYNC):
                status, answering = await answering, None
                if self._by_transaction and status == b"I":
                    self._idle.append(session)
                    session = None

    async def _answer(self, session: Stream, client: Stream) -> bytes:
        """What the session sends, until it is ready; the state of its transaction."""
        kind = body = b""
        while kind != READY:
            kind, body = await self._message(session[0])
            self._send(client[1], kind, body)
        return body

    async def _message(self, reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
        kind = await reader.readexactly(1)
        return kind, await reader.readexactly(struct.unpack("!i", await reader.readexactly(4))[0] - 4)

    def _send(self, writer: asyncio.StreamWriter, kind: bytes, body: bytes) -> None:
        writer.write(kind + struct.pack("!i", len(body) + 4) + body)


@asynccontextmanager
async def pooled(url: str, **options: bool | None) -> AsyncIterator[str]:
    """The same database through a pooler."""
    server = await asyncio.start_server(Pooler(url, **options).serve, "127.0.0.1", 0)  # type: ignore[arg-type]  # two names
    address = urlsplit(url)
    try:
        yield address._replace(netloc=f"{address.username}:{address.password}@127.0.0.1:{server.sockets[0].getsockname()[1]}").geturl()
    finally:
        server.close()


class RefusedError(Exception):
    """In place of the end of the process."""


def refuse(service: str, sentence: str) -> NoReturn:
    raise RefusedError(f"{service}: {sentence}")


async def use(url: str) -> int:
    pool = await open_pool(url, application="tested", size_max=2, setting="AMS_READ_DATABASE_URL", refuse=refuse)
    try:
        return await pool.fetchval("SELECT 1")
    finally:
        pool.terminate()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"by_transaction": True}, "a connection pooler in transaction mode"),
        ({"by_transaction": False, "parameters": False}, "a connection pooler that does not pass on the parameter transaction_timeout"),
        ({"by_transaction": False, "parameters": None}, "a connection pooler that refuses parameters"),
    ],
)
async def test_a_pooler_that_breaks_sessions_is_refused_with_a_sentence(
    postgres_admin_url: str, options: dict[str, bool | None], reason: str
) -> None:
    async with pooled(postgres_admin_url, **options) as url:
        with pytest.raises(RefusedError, match=f"^tested: AMS_READ_DATABASE_URL leads to {reason}"):
            await use(url)


async def test_a_pooler_that_keeps_sessions_is_used_as_postgres_itself(postgres_admin_url: str) -> None:
    async with pooled(postgres_admin_url, by_transaction=False) as url:
        connection = await asyncpg.connect(url)
        assert connection.get_server_pid() == INVENTED_PROCESS
        await connection.close()
        assert await use(url) == 1
    assert await use(postgres_admin_url) == 1
