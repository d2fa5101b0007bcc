"""Delivered sequence numbers: looked up by bisection, and kept in a bounded number of ranges."""

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NATIVE, PROJECT, batch, document, record, recorded, task_id

from ams_trace_ingest.store import producers
from ams_trace_ingest.store.connections import set_generation
from ams_trace_ingest.store.producers import RANGES_KEPT, RANGES_MAX, Delivered, not_delivered, ranges

KEY = (PROJECT, task_id(1), "p1")
ALTERNATING = 100_000


class CountingSeq(int):
    """A number that counts how often it is compared."""

    comparisons = 0

    def __lt__(self, other: object) -> bool:
        CountingSeq.comparisons += 1
        return int.__lt__(self, int(str(other)))


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_numbers_are_new_unless_a_range_holds_them(delivered: list[int], seqs: list[int]) -> None:
    assert not_delivered(seqs, ranges(delivered)) == set(seqs) - set(delivered)


def test_a_look_up_among_a_hundred_thousand_ranges_compares_a_few() -> None:
    delivered = [(2 * place, 2 * place + 1) for place in range(ALTERNATING)]
    CountingSeq.comparisons = 0

    assert len(not_delivered([CountingSeq(seq) for seq in range(2_000)], delivered)) == 1_000
    assert CountingSeq.comparisons <= 2_000 * 20


async def test_a_hundred_thousand_alternating_numbers_leave_a_bounded_row_that_says_so(pool, store) -> None:
    unproven = 0
    async with pool.acquire() as connection:
        for first in range(1, 2 * ALTERNATING, 2_000):
            sent = Delivered("ams-python", "1", "h", list(range(first, first + 2_000, 2)))
            async with connection.transaction():
                await set_generation(connection)
                unproven += await producers.merge(connection, {KEY: sent})

    (row,) = await store.rows("task_producers")
    kept = [(piece.lower, piece.upper) for piece in row["seqs"]]
    assert RANGES_KEPT < len(kept) <= RANGES_MAX
    assert (kept[0][0], kept[-1][1]) == (1, 2 * ALTERNATING)
    assert row["unproven"] == unproven == sum(upper - lower for lower, upper in kept) - ALTERNATING


async def test_gaps_that_are_filled_in_time_are_proven(pool, store) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await set_generation(connection)
        for first in (1, 2):
            sent = Delivered("ams-python", "1", "h", list(range(first, 2 * RANGES_MAX + first, 2)))
            assert await producers.merge(connection, {KEY: sent}) == 0

    (row,) = await store.rows("task_producers")
    assert ([(piece.lower, piece.upper) for piece in row["seqs"]], row["unproven"]) == ([(1, 2 * RANGES_MAX + 1)], 0)


async def test_a_number_that_came_before_is_a_duplicate(projector, store) -> None:
    await projector.apply([record(0, batch(1, *(recorded(seq, document(), seq=seq) for seq in (1, 3, 5)), producer=NATIVE))])
    await projector.apply([record(1, batch(1, *(recorded(seq, document(), seq=seq) for seq in (2, 3, 6)), producer=NATIVE))])

    (row,) = await store.rows("task_producers")
    assert ([(piece.lower, piece.upper) for piece in row["seqs"]], row["duplicates"]) == ([(1, 4), (5, 7)], 1)
