"""The projector alone against bare staging COPY + upsert of the same rows into the same tables, in the same run.

``python -m tests.load.bench_projector [--steps 20000] [--rounds 3]`` with ``AMS_TEST_POSTGRES_URL`` set. One JSON line per measurement,
and one with the ratios: by the clock, and by processor time (ours and the Postgres backend's), which holds on a busy machine too. All use one
connection and one partition; the bare side is handed the finished tuples, the pipeline is the projector without what it derives and adds up.
Beyond the bounds of ADR 0069 it ends with exit code 1. ``--features`` measures each part that can be left out.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import time
import uuid
from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import msgspec
import psutil
from tests.builders import BASE_US, NATIVE, batch, ended, record, recorded, started, task_ended, task_started
from tests.load.projector_features import FEATURES, LATER, without

from ams_contracts.documents import Status, StepDocument, StepType, TaskDocument, Usage
from ams_contracts.events import Event
from ams_contracts.topics import STEPS
from ams_kit.bus import LogRecord
from ams_trace_ingest.migrations.upgrade import upgrade
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.projector.consume import tune_garbage_collection
from ams_trace_ingest.store import steps, tasks
from ams_trace_ingest.store.connections import open_writer, set_generation
from ams_trace_ingest.store.tasks import TaskRow

EVENTS_PER_RECORD = 10
STEPS_PER_TASK = 50
PIPELINE_CPU_RATIO_MIN = 0.36
FEATURES_SHARE_MAX = 0.20
TABLES = ("positions", "task_days", "tasks", "steps", "task_producers", "agents", "response_claims", "deleted_tasks", "dead_letters")


KINDS = [StepType.LLM] * 8 + [StepType.TOOL] * 7 + [StepType.SPAN] * 4 + [StepType.AGENT]


def a_step(number: int, kind: StepType, parent: int | None) -> StepDocument:
    """What an agent's step looks like."""
    llm = kind == StepType.LLM
    return StepDocument(
        parent_step_id=None if parent is None else f"{parent:016x}",
        type=kind,
        name=f"{kind} {number % 40}",
        agent="researcher",
        status=Status.OK,
        started_at_us=BASE_US + number * 1_000,
        ended_at_us=BASE_US + number * 1_000 + 900,
        duration_us=900,
        seq=number,
        provider="openai" if llm else None,
        model_requested="gpt-4o-mini" if llm else None,
        model="gpt-4o-mini-2024-07-18" if llm else None,
        response_id=f"chatcmpl-{number:016x}" if llm else None,
        finish_reasons=["stop"] if llm else [],
        usage=Usage(input=1_200, output=180, cache_read=600) if llm else None,
        cost_nusd=250_000 if llm else None,
        tool_name=None if llm else "search",
        preview_input="What is the weather in the place of the next meeting? " * 3,
        preview_output="It is fine, with some wind from the west. " * 3,
        captured=["input", "output"],
    )


def a_task(chance: random.Random, number: int) -> list[Event]:
    """Most steps are short and recorded in one event; the others start, and end a few events later. Model calls have no children."""
    about = TaskDocument(name="research", agent="planner", status=Status.RUNNING, started_at_us=BASE_US, tags={"env": "prod"})
    events: list[Event] = [task_started(about)]
    open_steps: list[tuple[int, StepDocument]] = []
    parents: list[int] = []
    seq = 1
    for index in range(STEPS_PER_TASK):
        step = number * STEPS_PER_TASK + index + 1
        kind = chance.choice(KINDS) if parents else StepType.AGENT
        document = a_step(step, kind, chance.choice(parents) if parents else None)
        if kind != StepType.LLM:
            parents.append(step)
        seq += 1
        if chance.random() < 0.6:
            events.append(recorded(step, document, seq=seq))
        else:
            events.append(
                started(
                    step,
                    msgspec.structs.replace(
                        document, status=Status.RUNNING, ended_at_us=None, usage=None, cost_nusd=None, preview_output=None
                    ),
                    seq=seq,
                )
            )
            open_steps.append((step, document))
        if len(open_steps) > 4:
            seq += 1
            events.append(ended(*open_steps.pop(0), seq=seq))
    for left in open_steps:
        seq += 1
        events.append(ended(*left, seq=seq))
    events.append(task_ended(msgspec.structs.replace(about, status=Status.OK, ended_at_us=BASE_US + 10**6), seq=seq + 1))
    return events


def a_log(steps_wanted: int) -> list[LogRecord]:
    """Records of one partition: twenty tasks at a time, interleaved as they would come."""
    chance = random.Random(1)
    now_ms = int(time.time() * 1_000)  # of today, which has a partition
    log: list[LogRecord] = []
    for first in range(0, steps_wanted // STEPS_PER_TASK, 20):
        queues = [(number, a_task(chance, number)) for number in range(first, min(first + 20, steps_wanted // STEPS_PER_TASK))]
        while queues:
            for number, events in list(queues):
                taken = events[:EVENTS_PER_RECORD]
                del events[:EVENTS_PER_RECORD]
                log.append(record(len(log), batch(number, *taken, producer=NATIVE), timestamp_ms=now_ms))
                if not events:
                    queues.remove((number, events))
    return log


class Recorder:
    """What the projector hands to COPY, batch by batch."""

    def __init__(self) -> None:
        self.batches: list[tuple[list[tuple[Any, ...]], list[TaskRow]]] = []


class Careful(StepsProjection):
    """Takes no row for new: everything goes through staging and upserts, as the bare side does it."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.assume_new = False


class Cost(NamedTuple):
    """Of one side: seconds on the clock, and of processor time, ours and that of our Postgres backend together."""

    seconds: float
    cpu_seconds: float


class Meter:
    """Starts when it is made."""

    def __init__(self, backend: int) -> None:
        self._backend = psutil.Process(backend)
        self._before = (time.perf_counter(), self._cpu())

    def _cpu(self) -> float:
        return time.process_time() + sum(self._backend.cpu_times()[:2])

    def cost(self) -> Cost:
        return Cost(time.perf_counter() - self._before[0], self._cpu() - self._before[1])


async def project(url: str, log: Sequence[LogRecord], per_apply: int, kind: type[StepsProjection] = StepsProjection) -> Cost:
    """What the projector alone takes."""
    pool = await open_writer(url, application="bench", size_max=1)
    projection = kind(pool)
    position = 0
    await projection.stored(STEPS.name, [0])
    meter = Meter(await pool.fetchval("SELECT pg_backend_pid()"))
    while position < len(log):
        position = await projection.apply(STEPS.name, 0, list(log[position : position + per_apply]), position)
    cost = meter.cost()
    await pool.close()
    return cost


async def write_bare(url: str, batches: Sequence[tuple[list[tuple[Any, ...]], list[TaskRow]]]) -> Cost:
    """What is taken by COPY + upsert of finished rows, one transaction a batch."""
    pool = await open_writer(url, application="bench", size_max=1)
    async with pool.acquire() as connection:
        meter = Meter(await connection.fetchval("SELECT pg_backend_pid()"))
        for step_rows, task_rows in batches:
            async with connection.transaction():
                await set_generation(connection)
                await steps.write(connection, step_rows)
                await tasks.write(connection, task_rows)
        cost = meter.cost()
    await pool.close()
    return cost


async def record_rows(url: str, log: Sequence[LogRecord], per_apply: int) -> Recorder:
    """Run once and keep what is written."""
    recorder = Recorder()
    write_steps, write_tasks = steps.write, tasks.write

    async def keep_steps(connection: Any, rows: Sequence[tuple[Any, ...]]) -> None:
        recorder.batches.append((list(rows), []))
        await write_steps(connection, rows)

    async def keep_tasks(connection: Any, rows: Sequence[TaskRow]) -> None:
        recorder.batches[-1][1].extend(msgspec.structs.replace(row) for row in rows)
        await write_tasks(connection, rows)

    steps.write, tasks.write = keep_steps, keep_tasks  # type: ignore[assignment]
    try:
        await project(url, log, per_apply, Careful)
    finally:
        steps.write, tasks.write = write_steps, write_tasks  # type: ignore[assignment]
    return recorder


async def empty(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("TRUNCATE " + ", ".join(f"g1.{table}" for table in TABLES))
    await connection.execute("CHECKPOINT")
    await connection.close()


def emit(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


async def profile(url: str, log: Sequence[LogRecord], options: argparse.Namespace) -> None:
    """The projector alone, for a profiler."""
    for _ in range(options.rounds):
        await empty(url)
        cost = await project(url, log, options.per_apply)
        emit(
            bench="projector",
            rows_per_second=round(options.steps / cost.seconds),
            us_a_row=round(cost.cpu_seconds / options.steps * 1e6, 1),
        )


async def compare_features(url: str, log: Sequence[LogRecord], options: argparse.Namespace) -> None:
    """The processor time of each part that can be left out, as the median of rounds in turns."""
    sides: dict[str, tuple[str, ...]] = {"complete": (), **{name: (name,) for name in FEATURES}, "later": LATER}
    costs: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side, names in sides.items():
            await empty(url)
            with without(names):
                costs[side].append((await project(url, log, options.per_apply)).cpu_seconds / options.steps * 1e6)
    complete = statistics.median(costs.pop("complete"))
    emit(bench="projector", side="complete", us_a_row=round(complete, 1))
    for side, found in costs.items():
        emit(
            bench="projector",
            without=side,
            us_a_row=round(statistics.median(found), 1),
            saves=round(complete - statistics.median(found), 1),
        )


async def compare_with_bare(url: str, log: Sequence[LogRecord], options: argparse.Namespace) -> bool:
    """The projector, and the pipeline alone, against bare writing.

    Returns:
        Whether the processor time is within the bounds.
    """
    recorder = await record_rows(url, log, options.per_apply)
    rows = sum(len(step_rows) for step_rows, _ in recorder.batches)
    ratios: list[tuple[float, float, float]] = []
    for _ in range(options.rounds):
        await empty(url)
        bare = await write_bare(url, recorder.batches)
        await empty(url)
        projector = await project(url, log, options.per_apply)
        await empty(url)
        with without(LATER):
            pipeline = await project(url, log, options.per_apply)
        ratios.append((bare.seconds / projector.seconds, bare.cpu_seconds / projector.cpu_seconds, bare.cpu_seconds / pipeline.cpu_seconds))
        for side, cost in (("bare", bare), ("projector", projector), ("pipeline", pipeline)):
            emit(
                bench="projector", side=side, rows=rows, seconds=round(cost.seconds, 3), rows_per_second=round(rows / cost.seconds),
                us_a_row=round(cost.cpu_seconds / rows * 1e6, 1),
            )  # fmt: skip
    ratio, cpu_ratio, pipeline_cpu_ratio = (round(statistics.median(column), 3) for column in zip(*ratios, strict=True))
    features_share = round(1 - statistics.median(projector / pipeline for _, projector, pipeline in ratios), 3)
    emit(
        bench="projector", ratio=ratio, target=0.6, cpu_ratio=cpu_ratio, pipeline_cpu_ratio=pipeline_cpu_ratio,
        pipeline_cpu_ratio_min=PIPELINE_CPU_RATIO_MIN, features_share=features_share, features_share_max=FEATURES_SHARE_MAX,
        load=os.getloadavg()[0],
    )  # fmt: skip
    return pipeline_cpu_ratio >= PIPELINE_CPU_RATIO_MIN and features_share <= FEATURES_SHARE_MAX


async def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--per-apply", type=int, default=800, help="records of ten events in one transaction")
    parser.add_argument("--profile", action="store_true", help="only the projector, for py-spy or cProfile")
    parser.add_argument("--features", action="store_true", help="only the projector, with each part left out in turn")
    options = parser.parse_args()
    admin = os.environ["AMS_TEST_POSTGRES_URL"]
    name = f"bench_projector_{uuid.uuid4().hex[:8]}"
    url = f"{admin.rsplit('/', 1)[0]}/{name}"
    connection = await asyncpg.connect(admin)
    await connection.execute(f"CREATE DATABASE {name}")
    try:
        await upgrade(url)
        log = a_log(options.steps)
        tune_garbage_collection()
        if options.profile:
            await profile(url, log, options)
        elif options.features:
            await compare_features(url, log, options)
        elif not await compare_with_bare(url, log, options):
            return 1
        return 0
    finally:
        await connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        await connection.close()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
