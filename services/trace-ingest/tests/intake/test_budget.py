"""The byte budget of intake: what one request, one key and one project may hold."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ams_kit.errors import UnavailableError
from ams_kit.http.problems import RequestTimeoutError, status_of
from ams_trace_ingest.intake import body
from ams_trace_ingest.intake.body import read_body
from ams_trace_ingest.intake.budget import ByteBudget

MIB = 1024 * 1024


def test_what_would_go_over_the_budget_is_refused_and_changes_nothing() -> None:
    budget = ByteBudget(100)
    with budget.lease("a", "1") as first, budget.lease("b", "2") as second:
        first.resize(70)
        with pytest.raises(UnavailableError) as refused:
            second.resize(31)

        assert refused.value.retry_after_seconds == 1
        assert budget.bytes_held == 70


def test_a_lease_releases_everything_when_it_ends_also_after_an_error() -> None:
    budget = ByteBudget(100)

    def use() -> None:
        with budget.lease("a", "1") as lease:
            lease.resize(30, arriving=True)
            lease.resize(80)
            lease.resize(40)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        use()

    assert (budget.bytes_held, budget.by_project, budget.arriving_by_key) == (0, {}, {})


def test_bodies_of_one_key_that_never_arrive_leave_room_for_other_keys() -> None:
    budget = ByteBudget(96 * MIB)
    leases = [budget.lease("a", "greedy") for _ in range(7)]
    taken = 0
    for lease in leases:
        try:
            lease.resize(16 * MIB, arriving=True)
            taken += 1
        except UnavailableError:
            pass

    assert taken == 2
    budget.lease("a", "another").resize(16 * MIB, arriving=True)
    budget.lease("b", "of another project").resize(16 * MIB, arriving=True)


def test_one_project_with_many_keys_leaves_room_for_other_projects() -> None:
    budget = ByteBudget(96 * MIB)
    for number in range(5):
        budget.lease("a", f"key {number}").resize(16 * MIB)

    with pytest.raises(UnavailableError, match="one project may hold"):
        budget.lease("a", "key 5").resize(1)
    budget.lease("b", "key").resize(16 * MIB)


def test_the_largest_request_still_fits() -> None:
    ByteBudget(96 * MIB).lease("a", "key").resize(80 * MIB)


class Body:
    """A request whose chunks arrive when the test says so."""

    def __init__(self, chunks: list[bytes], declared: int | None, *, pause_seconds: float = 0.0) -> None:
        self.headers = {"content-length": str(declared)} if declared is not None else {}
        self._chunks = chunks
        self._pause_seconds = pause_seconds

    async def stream(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
            await asyncio.sleep(self._pause_seconds)


async def test_the_first_byte_of_a_body_does_not_shrink_its_reservation() -> None:
    budget = ByteBudget(96 * MIB)
    held: list[int] = []

    class Watched(Body):
        async def stream(self) -> AsyncIterator[bytes]:
            async for chunk in super().stream():
                yield chunk
                held.append(budget.bytes_held)

    request: Any = Watched([b"x"] * 10, declared=MIB)
    with budget.lease("a", "1") as lease:
        await read_body(request, lease, sent_bytes_max=16 * MIB, inflated_bytes_max=64 * MIB)
        assert budget.bytes_held == 10

    assert held == [MIB] * 10


async def test_a_body_slower_than_the_minimum_rate_loses_its_reservation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.05)
    monkeypatch.setattr(body, "RATE_MIN_BYTES_PER_SECOND", 1_000_000)
    budget = ByteBudget(96 * MIB)
    dripping: Any = Body([b"x"] * 1_000, declared=MIB, pause_seconds=0.01)

    with pytest.raises(RequestTimeoutError) as refused, budget.lease("a", "1") as lease:
        await read_body(dripping, lease, sent_bytes_max=16 * MIB, inflated_bytes_max=64 * MIB)

    assert status_of(refused.value) == 408
    assert budget.bytes_held == 0


async def test_a_steady_body_may_take_longer_than_the_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(body, "RATE_MIN_BYTES_PER_SECOND", 1)
    steady: Any = Body([b"x" * 10] * 30, declared=None, pause_seconds=0.03)

    with ByteBudget(96 * MIB).lease("a", "1") as lease:
        assert await read_body(steady, lease, sent_bytes_max=MIB, inflated_bytes_max=MIB) == b"x" * 300
