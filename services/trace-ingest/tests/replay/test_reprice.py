"""Other prices: shown before anything is done, then in new tables. What was reported stays."""

import json

import asyncpg
import pytest
from tests.builders import BASE_US, PROJECT, batch, document, llm, recorded
from tests.conditions import until
from tests.replay_runner import options, run

from ams_contracts.documents import CostSource, StepType, Usage
from ams_contracts.events import PriceSet
from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.pricing.changes import Change
from ams_trace_ingest.pricing.own_prices import digest
from ams_trace_ingest.pricing.version import price_version
from ams_trace_ingest.replay import generations
from ams_trace_ingest.replay.generations import ReplayError
from ams_trace_ingest.replay.replay import Replay
from ams_trace_ingest.replay.reprice import OTHER_MODELS, UNITS, preview, read_prices, repriced

PRICES = '{"gpt-4o": {"input": 10, "output": 20}}'
NUSD_A_MTOK = 1_000
OTHER = "01900000-0000-7000-8000-000000000002"


@pytest.mark.parametrize(
    ("source", "cost", "ended", "after"),
    [
        (CostSource.COMPUTED, 7, True, (1_000_000, CostSource.COMPUTED)),
        (CostSource.UNKNOWN, None, True, (1_000_000, CostSource.COMPUTED)),
        (CostSource.REPORTED, 7, True, (7, CostSource.REPORTED)),
        (CostSource.UNKNOWN, 7, True, (7, CostSource.UNKNOWN)),  # the agent said it, without saying so
        (CostSource.UNKNOWN, None, False, (None, CostSource.UNKNOWN)),  # intake does not price a start
        (CostSource.COMPUTED, 7, False, (1_000_000, CostSource.COMPUTED)),
    ],
)
def test_what_intake_would_have_computed_is_computed_again(source, cost, ended, after) -> None:
    prices = options(PRICES).prices
    before = document(type=StepType.LLM, model="gpt-4o", usage=Usage(input=100), cost_nusd=cost, cost_source=source)

    found = repriced(before, prices, BASE_US, ended=ended)

    assert (found.cost_nusd, found.cost_source) == after


def test_a_step_that_is_no_call_costs_nothing() -> None:
    before = document(type=StepType.TOOL, model="gpt-4o", usage=Usage(input=100))

    assert repriced(before, options(PRICES).prices, BASE_US, ended=True) is before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ('{"m": {"imput": 1}}', "imput"),
        ('{"m": {"input": -1}}', "out of range"),
        ('{"m": {}}', "no price"),
        ('{"m": {"input": "much"}}', "cannot be read"),
    ],
)
def test_a_price_file_that_is_none_is_refused_with_a_sentence(text: str, says: str) -> None:
    with pytest.raises(ReplayError, match=says):
        read_prices(text.encode())


def test_a_price_file_can_name_every_unit_that_is_priced() -> None:
    (override,) = read_prices(json.dumps({"m": dict.fromkeys(UNITS, 1)}).encode())

    assert {name for name in UNITS if getattr(override.prices, name) is not None} == set(UNITS)


@pytest.mark.timeout(180)
async def test_other_prices_are_shown_first_and_then_in_the_tables(platform) -> None:
    reported = llm(100, model="gpt-4o", provider="openai", cost_nusd=5, cost_source=CostSource.REPORTED)
    computed = llm(100, model="gpt-4o", provider="openai", cost_nusd=7, cost_source=CostSource.COMPUTED)
    unknown = llm(100, model="nobody-knows-this", cost_nusd=None)
    await platform.publish(batch(1, recorded(2, reported), recorded(3, computed), recorded(4, unknown)))
    costs_after = (100 * 10 + 50 * 20) * NUSD_A_MTOK

    async with Replay.opened(platform.target) as replay:
        await until(lambda: platform.owner.fetchval("SELECT count(*) > 0 FROM g1.steps"))
        known = await generations.look(replay.owner)
        changes = await preview(replay.writer, known.current, options(PRICES).prices, on_rows=lambda _: None)
        grouped = await preview(replay.writer, known.current, options(PRICES).prices, on_rows=lambda _: None, models_max=1)
    assert grouped == {("openai", "gpt-4o"): changes["openai", "gpt-4o"], OTHER_MODELS: changes["-", "nobody-knows-this"]}
    assert changes == {
        ("openai", "gpt-4o"): Change(steps=2, reported=1, before_nusd=12, after_nusd=5 + costs_after),
        ("-", "nobody-knows-this"): Change(steps=1, unknown_before=1, unknown_after=1),
    }
    assert await costs(platform.owner, "g1") == [5, 7, None]

    assert await run(platform.target, options(PRICES))

    assert await platform.current() == "g2"
    assert await costs(platform.owner, "g2") == [5, costs_after, None]
    assert await platform.owner.fetchval("SELECT cost_nusd FROM g2.tasks") == 5 + costs_after


@pytest.mark.timeout(180)
async def test_own_prices_count_in_a_reprice_and_come_from_the_log_again(platform) -> None:
    own = PriceSet(event_id="a" * 32, seq=0, at_us=BASE_US, model="gpt-4*", from_us=0, pico_usd={"input": 3_000_000}, by="user:ann")
    call = llm(100, model="gpt-4o", provider="openai", cost_nusd=7, cost_source=CostSource.COMPUTED)
    await platform.publish(batch(None, own), batch(1, recorded(2, call)), batch(1, recorded(2, call), project=OTHER))
    await until(lambda: platform.owner.fetchval("SELECT count(*) = 2 FROM g1.steps"))
    await until(lambda: platform.owner.fetchval("SELECT count(*) = 1 FROM app.own_prices"))
    await platform.owner.execute("DELETE FROM app.own_prices")

    assert await run(platform.target, options(None))
    assert await costs(platform.owner, "g2") == [7, 7]
    assert await platform.owner.fetchval("SELECT count(*) FROM app.own_prices") == 1

    assert await run(platform.target, options(PRICES))

    rows = await platform.owner.fetch("SELECT project_id, cost_nusd FROM g3.steps")
    of_file = (100 * 10 + 50 * 20) * NUSD_A_MTOK
    assert {row["project_id"]: row["cost_nusd"] for row in rows} == {PROJECT: 100 * 3 * NUSD_A_MTOK, OTHER: of_file}
    version = await platform.owner.fetchval("SELECT price_version FROM public.generations WHERE name = 'g3'")
    assert version == price_version(PRICES, digest({PROJECT: [own]}))


@pytest.mark.timeout(180)
async def test_a_replay_with_other_prices_is_not_resumed(platform) -> None:
    async with Replay.opened(platform.target) as replay:
        known = await generations.look(replay.owner)
        await generations.make_next(replay.owner, known.current, PRICES)

    with pytest.raises(ReplayError, match="--abort"):
        await run(platform.target, options(None))


@pytest.mark.timeout(180)
async def test_a_replay_stores_its_versions_and_a_resumed_one_keeps_them(platform, capsys) -> None:
    async with Replay.opened(platform.target) as replay:
        known = await generations.look(replay.owner)
        await generations.make_next(replay.owner, known.current, None)
    await platform.owner.execute("UPDATE public.generations SET mapper_version = 0, price_version = 'older' WHERE name = 'g2'")

    assert await run(platform.target, options(None))
    assert await run(platform.target, options(None))

    rows = await platform.owner.fetch("SELECT name, mapper_version, price_version FROM public.generations ORDER BY name")
    now = (MAPPING_VERSION, price_version())
    assert [tuple(row) for row in rows] == [("g1", *now), ("g2", 0, "older"), ("g3", *now)]
    printed = capsys.readouterr().out
    assert "g2: mapping version 0, prices older" in printed
    assert f"g3: mapping version {MAPPING_VERSION}, prices {price_version()}" in printed


@pytest.mark.timeout(180)
async def test_a_reprice_is_not_resumed_with_another_version_of_the_list_prices(platform) -> None:
    async with Replay.opened(platform.target) as replay:
        known = await generations.look(replay.owner)
        made = await generations.make_next(replay.owner, known.current, PRICES)
    assert made.price_version == price_version(PRICES) != price_version()
    await platform.owner.execute("UPDATE public.generations SET price_version = 'older' WHERE name = 'g2'")

    with pytest.raises(ReplayError, match="prices of older; drop it first"):
        await run(platform.target, options(PRICES))


async def costs(owner: asyncpg.Connection, schema: str) -> list[int | None]:
    return [row[0] for row in await owner.fetch(f"SELECT cost_nusd FROM {schema}.steps ORDER BY step_id")]
