"""Dead letters by command: list, show, replay."""

import json
import re
import time
from collections.abc import Sequence

import asyncpg

from ams_contracts.topics import INBOUND, TOPICS, task_key
from ams_kit.bus import Kafka, Log, Record
from ams_trace_ingest.store import dead_letters
from ams_trace_ingest.store.connections import open_writer, set_generation
from ams_trace_ingest.store.dead_letters import WHOLE_RECORD, DeadLetter

TOPIC_BY_NAME = {topic.name: topic for topic in TOPICS}
LIMIT_MAX = 500
_PLACE = re.compile(r"([a-z0-9.]{1,64})/([0-9]{1,9})/([0-9]{1,18})/(-1|[0-9]{1,9})")  # no number that its column cannot hold


class NoSuchLetterError(ValueError):
    """There is no dead letter at that place, or the place is not one."""


def place_of(letter: DeadLetter) -> str:
    """Its name for a person: ``ams.steps.v1/7/4211/0``; ``-1`` at the end is a whole record."""
    return f"{letter.topic}/{letter.partition}/{letter.offset}/{letter.index}"


def parse_place(text: str) -> tuple[str, int, int, int]:
    """The other way round.

    Raises:
        NoSuchLetterError: It is not a place.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise NoSuchLetterError("a dead letter is named like ams.steps.v1/7/4211/0: topic, partition, offset, index")
    topic, partition, offset, index = found.groups()
    return topic, int(partition), int(offset), int(index)


def record_of(letter: DeadLetter) -> Record:
    """The record that says again what the letter holds. Its events keep their ids, so a repetition changes nothing.

    Raises:
        NoSuchLetterError: It cannot be published: there are no bytes, or no key to put it beside its task.
    """
    if letter.topic == INBOUND.name:
        raise NoSuchLetterError("a record of ams.inbound.v1 cannot be published again: its token is not kept. The sender sends it again")
    key = letter.key
    if key is None and letter.project_id is not None and letter.task_id is not None:
        key = task_key(letter.project_id, letter.task_id)
    if key is None or not letter.bytes or letter.topic not in TOPIC_BY_NAME:
        raise NoSuchLetterError("this record has no key or no value: there is nothing that could be published again")
    return Record(topic=TOPIC_BY_NAME[letter.topic], key=key, value=letter.bytes, headers=[("v", b"1"), ("replayed", b"1")])


async def replay(pool: asyncpg.Pool, log: Log, letters: Sequence[DeadLetter], at_us: int) -> None:
    """Publish letters again and remember it. An event that still cannot be projected becomes a new dead letter, at its new place."""
    await log.publish([record_of(letter) for letter in letters])
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        for letter in letters:
            await dead_letters.mark_replayed(connection, letter, at_us)


async def run(database_url: str, kafka: Kafka | None, arguments: Sequence[str]) -> str:
    """One command; what it has to say.

    Args:
        database_url: As ``ams_writer``.
        kafka: How to reach Kafka; needed by ``replay`` alone.
        arguments: ``list [PROJECT]`` | ``show PLACE`` | ``replay PLACE...``.

    Raises:
        NoSuchLetterError: A place that is none.
    """
    pool = await open_writer(database_url, application="dead-letters", size_max=1)
    try:
        match arguments:
            case ["list", *project]:
                return await _list(pool, project[0] if project else None)
            case ["show", place]:
                return _detail(await _find(pool, place))
            case ["replay", *places] if places:
                if kafka is None:
                    raise NoSuchLetterError("dead replay needs AMS_KAFKA_BOOTSTRAP")
                letters = [await _find(pool, place) for place in places]
                log = await Log.open(kafka, "dead-letters")
                try:
                    await replay(pool, log, letters, time.time_ns() // 1_000)
                finally:
                    await log.close()
                return f"{len(letters)} published again\n"
            case _:
                raise NoSuchLetterError("dead list [PROJECT] | dead show PLACE | dead replay PLACE...")
    finally:
        pool.terminate()


async def _find(pool: asyncpg.Pool, place: str) -> DeadLetter:
    topic, partition, offset, index = parse_place(place)
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        letter = await dead_letters.one(connection, topic=topic, partition=partition, offset=offset, index=index)
    if letter is None:
        raise NoSuchLetterError(f"no dead letter at {place}")
    return letter


async def _list(pool: asyncpg.Pool, project_id: str | None) -> str:
    async with pool.acquire(timeout=5) as connection, connection.transaction():
        await set_generation(connection, may_sort=True)
        letters = await dead_letters.page(connection, project_id=project_id, limit=LIMIT_MAX)
    return "".join(
        f"{place_of(letter)}\t{letter.reason}\t{len(letter.bytes)} bytes{' (replayed)' if letter.replayed_at_us else ''}\n"
        for letter in letters
    )


def _detail(letter: DeadLetter) -> str:
    about = {
        "place": place_of(letter),
        "projection": letter.projection,
        "project_id": letter.project_id,
        "task_id": letter.task_id,
        "what": "whole record" if letter.index == WHOLE_RECORD else "one event",
        "reason": letter.reason,
        "detail": letter.detail,
        "at_us": letter.at_us,
        "replayed_at_us": letter.replayed_at_us,
        "bytes": letter.bytes.decode(errors="backslashreplace"),
    }
    return json.dumps(about, indent=2, ensure_ascii=False) + "\n"
