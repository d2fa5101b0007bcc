"""Decoding one batch ahead: in order, one at a time, and nothing is left running."""

import asyncio
from contextlib import aclosing

import pytest

from ams_trace_ingest.projector.pipeline import decode_ahead


class Decoder:
    """Decodes numbers when a test lets it."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self.gates: dict[int, asyncio.Event] = {}

    async def decode(self, number: int) -> str:
        self.begun.append(number)
        try:
            await self.gates.setdefault(number, asyncio.Event()).wait()
        except asyncio.CancelledError:
            self.cancelled.append(number)
            raise
        return str(number)

    def open(self, *numbers: int) -> None:
        for number in numbers:
            self.gates.setdefault(number, asyncio.Event()).set()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_batches_come_in_order_and_one_is_decoded_ahead() -> None:
    decoder = Decoder()
    decoder.open(1, 2, 3)
    seen: list[tuple[int, str, list[int]]] = []

    async with aclosing(decode_ahead([1, 2, 3], decoder.decode)) as decoded:
        async for batch, result in decoded:
            await settle()
            seen.append((batch, result, list(decoder.begun)))

    assert seen == [(1, "1", [1, 2]), (2, "2", [1, 2, 3]), (3, "3", [1, 2, 3])]


async def test_an_error_of_the_writer_ends_the_decoding_ahead() -> None:
    decoder = Decoder()
    decoder.open(1)

    async def write() -> None:
        async with aclosing(decode_ahead([1, 2], decoder.decode)) as decoded:
            async for _ in decoded:
                await settle()
                raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await write()

    assert (decoder.begun, decoder.cancelled) == ([1, 2], [2])


async def test_an_error_of_the_decoder_comes_after_the_batches_before_it() -> None:
    async def decode(number: int) -> int:
        if number == 2:
            raise ConnectionResetError
        return number

    seen: list[int] = []

    async def write() -> None:
        async with aclosing(decode_ahead([1, 2, 3], decode)) as decoded:
            async for _, result in decoded:
                seen.append(result)

    with pytest.raises(ConnectionResetError):
        await write()

    assert seen == [1]


async def test_no_batches_are_no_work() -> None:
    decoder = Decoder()
    async with aclosing(decode_ahead(list[int](), decoder.decode)) as decoded:
        assert [one async for one in decoded] == []
    assert decoder.begun == []
