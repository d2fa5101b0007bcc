"""The tables again from the log: the same ones, while the log grows, after a kill, or not at all."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest
from sqlalchemy import func, select
from tests import configured
from tests.builders import PROJECT, task_id
from tests.replay_runner import options, run

from ams_contracts import tables
from ams_contracts.events import ProjectTombstone
from ams_contracts.topics import INBOUND
from ams_trace_ingest.projector.deleted_projects import ProjectDeletions
from ams_trace_ingest.projector.failpoints import ENVIRONMENT
from ams_trace_ingest.projector.projects import tombstones
from ams_trace_ingest.projector.retention import Retention
from ams_trace_ingest.replay import generations
from ams_trace_ingest.replay.generations import ReplayError
from ams_trace_ingest.replay.replay import FAILPOINTS, Replay
from ams_trace_ingest.store.connections import open_writer
from ams_trace_query.database import Database

pytestmark = pytest.mark.timeout(180)
ROOT = Path(__file__).parents[4]


async def test_a_replay_gives_identical_tables_and_changes_over(platform) -> None:
    await platform.publish_history(1)
    await platform.caught_up()

    assert await run(platform.target, options(None))

    assert await platform.current() == "g2"
    before, after = await platform.rows("g1"), await platform.rows("g2")
    assert after == before
    assert len(after["steps"]) > 100
    assert {row["unmetered_calls"] for row in after["tasks"]} == {1}
    assert len(after["deleted_tasks"]) == 2


async def test_what_came_by_the_inbound_topic_moves_to_the_new_tables(platform) -> None:
    await platform.owner.execute(
        "INSERT INTO g1.positions (projection, topic, partition, next_offset, last_timestamp_ms) VALUES ('inbound', $1, 3, 17, 5)",
        INBOUND.name,
    )
    await platform.owner.execute(
        'INSERT INTO g1.dead_letters (topic, partition, "offset", "index", projection, reason, detail, bytes, at_us) '
        "VALUES ($1, 3, 16, -1, 'inbound', 'unauthenticated', '', 'x', 1)",
        INBOUND.name,
    )

    assert await run(platform.target, options(None))

    positions = await platform.owner.fetch(
        "SELECT partition, next_offset, last_timestamp_ms FROM g2.positions WHERE topic = $1", INBOUND.name
    )
    letters = await platform.owner.fetch('SELECT "offset", reason FROM g2.dead_letters')
    assert [tuple(row) for row in positions] == [(3, 17, 5)]
    assert [tuple(row) for row in letters] == [(16, "unauthenticated")]


async def test_new_tables_have_the_shape_of_migrated_ones(platform) -> None:
    await run(platform.target, options(None))

    shapes = {}
    for schema in ("g1", "g2"):
        columns = await platform.owner.fetch(
            "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid) "
            "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum "
            "WHERE c.relnamespace = $1::regnamespace AND a.attnum > 0 ORDER BY 1, a.attnum",
            schema,
        )
        functions = await platform.owner.fetch(
            "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE pronamespace = $1::regnamespace ORDER BY 1", schema
        )
        rights = await platform.owner.fetch(
            "SELECT relname, relacl::text, relrowsecurity, relforcerowsecurity FROM pg_class WHERE relnamespace = $1::regnamespace AND relkind IN ('r', 'p') ORDER BY 1",
            schema,
        )
        indexes = await platform.owner.fetch("SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = $1 ORDER BY 1", schema)
        shapes[schema] = (
            repr([list(map(tuple, rows)) for rows in (columns, functions, rights, indexes)])
            .replace(f"{schema}.", "")
            .replace(f"ams.ensure_partitions.{schema}", "")
        )
    assert shapes["g1"] == shapes["g2"]


async def test_events_that_arrive_during_a_replay_are_there_once(platform) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    stop = asyncio.Event()

    async def go_on() -> None:
        first = 100
        while not stop.is_set():
            await platform.publish_history(first, 3)
            first += 3

    load = asyncio.create_task(go_on())
    try:
        assert await run(platform.target, options(None))
    finally:
        stop.set()
        await load

    await platform.caught_up()
    assert await platform.current() == "g2"
    accounted = await platform.owner.fetch(
        "SELECT sum(projected) AS projected, sum(duplicate) AS duplicate FROM g2.positions WHERE projection = 'payloads'"
    )
    payloads = await platform.owner.fetchval("SELECT count(*) FROM g2.step_payloads")
    assert payloads > 200
    assert accounted[0]["duplicate"] == 0
    await _replay_agrees(platform)


async def _replay_agrees(platform) -> None:
    """What the live projector has written into the new tables since is what the log says."""
    assert await run(platform.target, options(None))
    assert await platform.current() == "g3"


async def test_killed_in_the_middle_it_goes_on_where_it_was(platform) -> None:
    await platform.publish_history(1, 200)
    await platform.caught_up()
    url, bootstrap, topics = (
        platform.target.owner_database_url,
        platform.target.kafka,
        msgspec.json.encode(platform.target.topics).decode(),
    )
    command = [sys.executable, "-m", "tests.replay_runner", url, bootstrap, topics, "-"]

    async def begun() -> bool:
        with contextlib.suppress(asyncpg.UndefinedTableError):
            return bool(await platform.owner.fetchval("SELECT count(*) FROM g2.steps"))
        return False

    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    async with asyncio.timeout(60):
        while not await begun():
            await asyncio.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert await platform.current() == "g1"

    second = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, capture_output=True, check=False, timeout=120)

    assert second.returncode == 0, second.stdout.decode() + second.stderr.decode()
    assert b"resuming the build of g2" in second.stdout
    assert await platform.rows("g2") == await platform.rows("g1")


@pytest.mark.parametrize("failpoint", FAILPOINTS)
async def test_killed_at_any_stage_one_generation_serves_and_the_next_run_ends_well(platform, failpoint: str) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    command = [sys.executable, "-m", "tests.replay_runner", platform.target.owner_database_url, platform.target.kafka]
    command += [msgspec.json.encode(platform.target.topics).decode(), "-"]
    environ = {**os.environ, ENVIRONMENT: failpoint}

    killed = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, env=environ, capture_output=True, check=False, timeout=120)

    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    serves = "g2" if failpoint == "replay_after_change_over" else "g1"
    assert await platform.current() == serves
    await platform.publish_history(100, 3)  # the projector is not held up by what the dead one held
    await platform.caught_up()
    assert await run(platform.target, options(None))
    assert await platform.current() == ("g3" if serves == "g2" else "g2")


async def test_what_was_built_can_be_dropped_and_what_served_too(platform) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    async with Replay.opened(platform.target) as replay:
        known = await generations.look(replay.owner)
        await generations.drop(replay.owner, await generations.make_next(replay.owner, known.current, None))
    assert await platform.generations() == ["g1"]

    assert await run(platform.target, options(None, drop=True))

    assert await platform.generations() == ["g2"]
    assert await platform.owner.fetchval("SELECT to_regnamespace('g1')") is None


async def test_two_at_once_are_refused_with_a_sentence(platform) -> None:
    async with Replay.opened(platform.target):
        with pytest.raises(ReplayError, match="another replay runs on this database"):
            async with Replay.opened(platform.target):
                pass


async def test_tables_that_differ_go_on_serving_until_that_is_accepted(platform, capsys) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    victim = await platform.owner.fetchval("SELECT task_id FROM g1.tasks ORDER BY task_id LIMIT 1")
    await platform.owner.execute("UPDATE g1.tasks SET input_tokens = input_tokens + 1 WHERE task_id = $1", victim)
    await platform.owner.execute("DELETE FROM g1.step_payloads WHERE task_id = $1", victim)

    assert not await run(platform.target, options(None))
    output = capsys.readouterr().out

    assert "all rows are the same" not in output
    assert victim in output
    assert "step_payloads, partition" in output
    assert await platform.current() == "g1"
    assert await run(platform.target, options(None, accept_differences=True))
    assert await platform.current() == "g2"


async def test_readers_never_see_less_and_never_an_error_while_tables_change(platform) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    database = await Database.open(f"{platform.target.owner_database_url}?role=ams_reader", connections_max=4, statement_timeout_ms=5_000)
    stop = asyncio.Event()
    seen: list[int] = []

    async def look() -> None:
        while not stop.is_set():
            async with database.read(PROJECT) as reader:
                row = await reader.row(select(func.count()).select_from(tables.tasks))
                seen.append((await reader.row(select(func.count()).select_from(tables.steps)))[0] + row[0])

    looking = [asyncio.create_task(look()) for _ in range(3)]
    assert await run(platform.target, options(None, drop=True))
    stop.set()
    await asyncio.gather(*looking)
    await database.close()

    assert await platform.current() == "g2"
    assert len(seen) > 100
    assert set(seen) == {seen[0]}


async def test_letters_that_were_replayed_stay_marked(platform) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    await platform.owner.execute("UPDATE g1.dead_letters SET replayed_at_us = 7")

    assert await run(platform.target, options(None))

    assert await platform.owner.fetchval("SELECT array_agg(DISTINCT replayed_at_us) FROM g2.dead_letters") == [7]


async def test_what_people_configured_survives_a_replay_and_is_deleted_with_its_project(platform) -> None:
    other = "01900000-0000-7000-8000-000000000002"
    await platform.publish_history(1)
    await platform.caught_up()

    async def rows() -> dict[str, list[dict[str, Any]]]:
        return {
            table: [dict(row) for row in await platform.owner.fetch(f"SELECT * FROM {table} ORDER BY 1, 2")] for table in configured.TABLES
        }

    await configured.configure(platform.owner, PROJECT)
    before = await rows()
    await configured.configure(platform.owner, other)
    await platform.owner.execute("INSERT INTO app.deleted_projects (project_id, deleted_by, at_us) VALUES ($1, 'ann', 1)", other)

    assert await run(platform.target, options(None, drop=True))

    assert await platform.current() == "g2"
    assert await rows() == before
    assert all(before.values())


async def test_what_the_log_has_deleted_is_reported_and_the_projector_continues_without_a_loss(platform, capsys) -> None:
    await platform.publish_history(1)
    await platform.caught_up()
    await platform.delete_log()

    assert not await run(platform.target, options(None))
    output = capsys.readouterr().out
    assert "tasks began in a part of the log that is deleted" in output
    assert await run(platform.target, options(None, accept_differences=True))

    assert await platform.owner.fetchval("SELECT count(*) FROM g2.tasks") == 0
    await platform.publish_history(100)
    await platform.caught_up()
    assert await platform.owner.fetchval("SELECT count(*) FROM g2.tasks") > 10
    assert [alarm.kind for consumer in platform.consumers for alarm in consumer.alarms] == []


async def test_a_replay_is_cut_at_the_same_day_and_brings_nothing_back(platform) -> None:
    today = datetime.now(UTC).date()
    for task in range(1, 11):  # of a day that is not kept; the others are of today
        await platform.owner.execute(
            "INSERT INTO g1.task_days (project_id, task_id, day) VALUES ($1, $2, $3)", PROJECT, task_id(task), today - timedelta(10)
        )
    await platform.publish_history(1)
    await platform.caught_up()
    assert len((await platform.rows("g1"))["tasks"]) > 15

    pool = await open_writer(platform.target.database_url, application="retention", size_max=2)
    retention = Retention(pool, ForgetfulLog(), days=5, log_retention_ms=log_retention_ms)
    assert await retention.run_once()
    await platform.publish_history(1)  # all of it comes late, and again
    await platform.caught_up()
    assert await run(platform.target, options(None))
    await pool.close()

    before, after = await platform.rows("g1"), await platform.rows("g2")
    assert after == before
    assert {row["day"] for row in after["tasks"]} == {today}
    assert 5 <= len(after["tasks"]) <= 10
    assert {row["project_id"]: row["late_day"] for row in after["task_days"] if row["pruned"]} == {PROJECT: today}


class ForgetfulLog:
    """Takes the tombstones of ``ams.tasks.v1``, which nobody reads here."""

    async def publish(self, records, *, timeout_seconds: float = 4) -> list[object]:
        return []


async def log_retention_ms() -> int:
    return 30 * 86_400_000


async def test_a_deleted_project_stays_deleted_in_a_replay(platform) -> None:
    await platform.publish_history(1)
    deleted = ProjectTombstone(event_id="d" * 32, seq=0, at_us=1, by="ann")
    records = tombstones(PROJECT, deleted, (platform.steps, platform.payloads))
    await platform.log.publish(records, timeout_seconds=30)
    platform.published += len(records)
    await platform.publish_history(30)
    await platform.caught_up()
    pool = await open_writer(platform.target.database_url, application="deletions", size_max=2)
    assert await ProjectDeletions(pool, ForgetfulLog()).run_once() == 1
    await pool.close()

    assert await run(platform.target, options(None))

    before, after = await platform.rows("g1"), await platform.rows("g2")
    assert after == before
    assert {table: len(rows) for table, rows in after.items() if rows and table != "positions"} == {"dead_letters": 2}  # of no project
