"""The account of a whole platform, held against the log itself: accepted = projected + duplicate + ignored + dead + in flight."""

import asyncio
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition
from tests.installation import Platform

from ams_contracts.codec import MalformedError, decode_batch
from ams_contracts.topics import PAYLOADS, STEPS

READ_BY = {STEPS.name: ("steps", "text"), PAYLOADS.name: ("payloads", "text")}
APPLIED_SECONDS = 60
SAMPLE = re.compile(r"^ams_events_accounted\{([^}]*)\} (\S+)$", re.MULTILINE)
LABEL = re.compile(r'(\w+)="([^"]*)"')

Place = tuple[str, int]
"""Topic and partition."""


@dataclass
class Logged:
    """What one partition of the log holds."""

    next_offset: int = 0
    events: int = 0
    event_ids: list[str] = field(default_factory=list)
    task_positions: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


async def read_log(bootstrap: str) -> dict[Place, Logged]:
    """All of it."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False, request_timeout_ms=20_000)
    await consumer.start()
    try:
        places = [TopicPartition(topic.name, number) for topic in (STEPS, PAYLOADS) for number in range(topic.partitions)]
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(places)
        found = {(tp.topic, tp.partition): Logged() for tp in places}
        while any(found[tp.topic, tp.partition].next_offset < end for tp, end in ends.items()):
            for tp, records in (await consumer.getmany(timeout_ms=1_000)).items():
                for record in records:
                    _note(found[tp.topic, tp.partition], record)
        return found
    finally:
        await consumer.stop()


def _note(logged: Logged, record: Any) -> None:
    logged.next_offset = record.offset + 1
    try:
        decoded = decode_batch(record.value)
    except MalformedError:
        logged.events += 1
        return
    logged.events += len(decoded.indexes) + len(decoded.rejects)
    logged.event_ids += [event.event_id for event in decoded.batch.events]
    logged.task_positions[decoded.batch.task_id or ""].append(f"1.{record.partition}.{logged.next_offset}")


def postgres_url(platform: Platform, database: str = "ams_traces") -> str:
    """Of the embedded server's superuser."""
    password = json.loads((platform.data / "secrets.json").read_bytes())["postgres_password"]
    return f"postgresql://postgres:{password}@127.0.0.1:{platform.port_of('postgres')}/{database}"


async def stored_positions(url: str) -> dict[tuple[str, str, int], asyncpg.Record]:
    """Rows of ``positions``, by projection, topic and partition."""
    connection = await asyncpg.connect(url)
    try:
        # identity's topic, from which the projector learns of deleted projects, holds no batches
        rows = await connection.fetch("SELECT * FROM g1.positions WHERE topic = ANY($1)", list(READ_BY))
    finally:
        await connection.close()
    return {(row["projection"], row["topic"], row["partition"]): row for row in rows}


def split(row: asyncpg.Record) -> dict[tuple[str, str], int]:
    """The account of a position: (outcome, reason) -> events."""
    return {
        ("projected", ""): row["projected"],
        ("duplicate", ""): row["duplicate"],
        ("dead", ""): row["dead"],
        **{("ignored", reason): count for reason, count in json.loads(row["ignored"]).items()},
    }


def shown_by(*ports: int) -> dict[tuple[str, str, int], Counter[tuple[str, str]]]:
    """The same as the projectors' ``/metrics`` show it: of one partition that two have had, the higher figures are the later ones."""
    shown: dict[tuple[str, str, int], Counter[tuple[str, str]]] = defaultdict(Counter)
    for port in ports:
        for labels, value in SAMPLE.findall(httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text):
            one = dict(LABEL.findall(labels))
            figures, what = shown[one["projection"], one["topic"], int(one["partition"])], (one["outcome"], one["reason"])
            figures[what] = max(figures[what], int(float(value)))
    return shown


async def settled_account(
    bootstrap: str, database_url: str, *projector_ports: int
) -> tuple[dict[Place, Logged], dict[tuple[str, str, int], asyncpg.Record]]:
    """Wait until nothing is in flight, then hold rows and metrics against the log.

    Returns:
        The log and the rows.
    """
    async with asyncio.timeout(APPLIED_SECONDS):
        while True:
            log, rows = await read_log(bootstrap), await stored_positions(database_url)
            behind = {
                (projection, *place): logged.next_offset
                for place, logged in log.items()
                for projection in READ_BY[place[0]]
                if logged.next_offset and (projection, *place) not in rows
            } | {key: log[key[1], key[2]].next_offset for key, row in rows.items() if row["next_offset"] < log[key[1], key[2]].next_offset}
            if not behind:
                break
            await asyncio.sleep(0.5)
    shown = shown_by(*projector_ports)
    for key, row in rows.items():
        logged = log[key[1], key[2]]
        account = split(row)
        assert row["next_offset"] == logged.next_offset, key
        assert sum(account.values()) == logged.events, (key, account)
        assert {what: count for what, count in shown[key].items() if count} == {what: count for what, count in account.items() if count}, (
            key
        )
        if key[0] != "text" and not any(count for what, count in account.items() if what[0] in {"ignored", "dead"}):
            assert account["projected", ""] == len(set(logged.event_ids)), key
    return log, rows


def check_account(platform: Platform, *other_projectors: int) -> dict[Place, Logged]:
    """Of a platform with servers of its own; ``other_projectors`` are ports.

    Returns:
        The log.
    """
    bootstrap, ports = f"127.0.0.1:{platform.port_of('kafka')}", (platform.port_of("projector"), *other_projectors)
    log, _ = asyncio.run(settled_account(bootstrap, postgres_url(platform), *ports))
    return log


def positions_in(log: dict[Place, Logged], task_id: str) -> list[str]:
    """After each record of a task, as the live gateway sends them."""
    return [position for (topic, _), logged in log.items() if topic == STEPS.name for position in logged.task_positions[task_id]]


def total(rows: dict[Any, asyncpg.Record], wanted: Callable[[Any], bool]) -> Counter[tuple[str, str]]:
    """The accounts of some positions, together."""
    together: Counter[tuple[str, str]] = Counter()
    for key, row in rows.items():
        if wanted(key):
            together.update(split(row))
    return together
