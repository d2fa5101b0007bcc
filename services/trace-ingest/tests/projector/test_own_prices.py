"""Own prices as rows outside the generations: every event once, in whatever order and batches; none of a deleted project."""

from tests.builders import BASE_US, PROJECT, batch, records

from ams_contracts.events import PriceSet, ProjectTombstone
from ams_trace_ingest.store import own_prices

OTHER = "01900000-0000-7000-8000-000000000002"
FIRST = PriceSet(event_id="a" * 32, seq=0, at_us=BASE_US, model="gpt-4o*", from_us=5, pico_usd={"input": 7, "cache_read": 0}, by="user:ann")
LIST_PRICE = PriceSet(event_id="b" * 32, seq=0, at_us=BASE_US + 1, model="m", provider="azure", from_us=6, note="over", by="user:ann")


async def test_each_price_is_a_row_once_and_reads_as_it_was_set(projector, store) -> None:
    await projector.apply(records(batch(None, FIRST, FIRST), batch(None, LIST_PRICE, project=PROJECT), batch(None, FIRST, project=OTHER)))
    await projector.apply(records(batch(None, FIRST), first=3))

    assert await own_prices.of_project(store.connection, PROJECT) == [LIST_PRICE, FIRST]
    assert await own_prices.of_project(store.connection, OTHER) == [FIRST]
    assert await own_prices.projects_after(store.connection, "", 10) == sorted([PROJECT, OTHER])
    assert await own_prices.count(store.connection, PROJECT) == 2
    assert await store.account() == {"projected": 5}


async def test_a_deleted_project_gets_no_prices(projector, store) -> None:
    deleted = ProjectTombstone(event_id="d" * 32, seq=0, at_us=BASE_US, by="ann")
    await projector.apply(records(batch(None, FIRST, project=OTHER), batch(None, deleted, project=OTHER)))
    await projector.apply(records(batch(None, FIRST, project=OTHER), first=2))

    assert await store.rows("app.own_prices") == []
