"""Old spans follow today's mapping: shown by kind first, then in the tables, and kept by later replays."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace
from tests.builders import PROJECT
from tests.conditions import until
from tests.reference import TRACES
from tests.replay_runner import options, run

from ams_contracts.codec import decode_batch, encode
from ams_contracts.documents import CostSource, StepType
from ams_contracts.events import StepRecorded
from ams_kit.bus import Record
from ams_trace_ingest.intake.otlp import Encoding, decode_traces
from ams_trace_ingest.intake.span_records import pack_spans
from ams_trace_ingest.mapping.version import MAPPING_VERSION
from ams_trace_ingest.pricing.catalog import GenaiPrices
from ams_trace_ingest.pricing.price import Prices
from ams_trace_ingest.projector.failpoints import ENVIRONMENT

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[4]
TRACE, TOKENS = "openinference_langgraph_multi", 441
COLUMNS = "type, name, agent, model, input_tokens, output_tokens, cost_nusd, counted_input, preview_output, status, call_key"


def as_an_older_rule(record: Record) -> Record:
    """The steps of a record as a mapping without usage, agents, prices and model calls has published them."""
    batch = decode_batch(record.value).batch
    events: list[Any] = []
    for event in batch.events:
        assert isinstance(event, StepRecorded)
        older = replace(
            event.step, type=StepType.SPAN, usage=None, cost_nusd=None, cost_source=CostSource.UNKNOWN, agent=None, preview_output=None, call_key=None, scope=None
        )  # fmt: skip
        events.append(replace(event, step=older))
    return replace(record, value=encode(replace(batch, events=events)))


async def publish(platform, *, older: bool) -> None:
    body = gzip.decompress((TRACES / f"{TRACE}.json.gz").read_bytes())
    packed = pack_spans(
        decode_traces(body, Encoding.JSON),
        project_id=PROJECT,
        key_id="k",
        received_at_us=time.time_ns() // 1_000,
        prices=Prices(GenaiPrices()),
    )
    steps = [as_an_older_rule(one) if older else one for one in packed.steps]
    for topic, records in ((platform.payloads, packed.payloads), (platform.steps, steps)):
        await platform.log.publish([replace(one, topic=topic) for one in records], timeout_seconds=30)
        platform.published += len(records)
    await platform.caught_up()


async def steps_of(platform, schema: str) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await platform.owner.fetch(f"SELECT step_id, {COLUMNS} FROM {schema}.steps ORDER BY step_id")]


async def test_what_an_older_mapping_published_is_shown_and_then_corrected_and_stays_so(platform, capsys) -> None:
    await publish(platform, older=True)
    wrong = await steps_of(platform, "g1")
    assert {row[1] for row in wrong} == {"span"}

    assert await run(platform.target, options(None, remap=True))

    shown = capsys.readouterr().out
    assert await platform.current() == "g1"
    assert "nothing was changed" in shown
    assert "stay as they were stored" in shown
    calls = await platform.owner.fetchval("SELECT count(*) FROM g2.steps WHERE input_tokens IS NOT NULL OR output_tokens IS NOT NULL")
    assert f"  tokens           {calls:>12,}" in shown
    assert calls > 3

    assert await run(platform.target, options(None, remap=True, apply=True))

    assert await platform.current() == "g2"
    right = await steps_of(platform, "g2")
    assert right != wrong
    assert await platform.owner.fetchval("SELECT sum(input_tokens) FROM g2.tasks") == TOKENS
    assert await platform.owner.fetchval("SELECT mapper_version FROM public.generations WHERE name = 'g2'") == MAPPING_VERSION

    await platform.owner.execute("UPDATE public.generations SET mapper_version = 77, price_version = 'of then' WHERE name = 'g2'")
    assert await run(platform.target, options(None, drop=True))

    assert await steps_of(platform, "g3") == right
    kept = await platform.owner.fetchrow("SELECT mapper_version, price_version, remap FROM public.generations WHERE name = 'g3'")
    assert tuple(kept) == (77, "of then", "kept")


async def test_what_today_s_mapping_published_does_not_change_and_nothing_is_kept_of_it(platform, capsys) -> None:
    await publish(platform, older=False)
    before = await steps_of(platform, "g1")

    assert await run(platform.target, options(None, remap=True, apply=True))

    assert "0 steps of 0 tasks change:" in capsys.readouterr().out
    assert await steps_of(platform, "g2") == before
    assert await platform.owner.fetchval("SELECT count(*) FROM g2.remapped") == 0


async def test_a_remap_that_is_interrupted_goes_on(platform) -> None:
    await publish(platform, older=True)
    command = [sys.executable, "-m", "tests.replay_runner", platform.target.owner_database_url, platform.target.kafka]
    command += [msgspec.json.encode(platform.target.topics).decode(), "remap"]
    interrupted = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, ENVIRONMENT: ""}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    async def begun() -> bool:
        return bool(await platform.owner.fetchval("SELECT to_regclass('g2.remapped') IS NOT NULL"))

    await until(begun)
    interrupted.send_signal(signal.SIGINT)
    await asyncio.to_thread(interrupted.wait, 60)
    assert await platform.current() in {"g1", "g2"}

    if await platform.current() == "g1":
        assert await run(platform.target, options(None, remap=True, apply=True))

    assert await platform.current() == "g2"
    assert await platform.owner.fetchval("SELECT sum(input_tokens) FROM g2.tasks") == TOKENS
