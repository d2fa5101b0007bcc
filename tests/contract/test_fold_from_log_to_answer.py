"""What the fold's vectors say is what people are shown: records of the log, through the projector's tables, over the REST API."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar.testing import AsyncTestClient
from tests.builders import PROJECT, batch, records, task_id
from tests.databases import temporary_database

from ams_contracts import codec
from ams_contracts.claims import Access, Role
from ams_contracts.documents import StepDocument
from ams_contracts.topics import STEPS
from ams_contracts.views import Step
from ams_kit.auth import Principal
from ams_trace_ingest.migrations.upgrade import upgrade
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store.connections import open_writer
from ams_trace_query.app import make_app
from ams_trace_query.settings import Settings

VECTORS = [
    vector
    for path in sorted((Path(__file__).parents[2] / "contracts" / "vectors").glob("step-*.json"))
    if (vector := msgspec.json.decode(path.read_bytes()))["events"]
]
EVENTS = {
    number: [codec.decode_event(msgspec.json.encode(event)) for event in vector["events"]] for number, vector in enumerate(VECTORS, 1)
}
EVENTS_PER_TRANSACTION = 7


class Ada:
    """An auth kit that knows one person."""

    def __init__(self) -> None:
        self.verifier = self

    async def verify(self, token: str) -> Principal:
        return Principal(token, "session", "jti", 2**40)

    async def access(self, user_id: str, project_id: str) -> Access | None:
        return Access(user_id=user_id, project_id=project_id, role=Role.VIEWER)

    async def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
def database(postgres_admin_url: str) -> Iterator[str]:
    with temporary_database(postgres_admin_url, "fold") as url:
        asyncio.run(upgrade(url))
        yield url


def shown_state(step: Step, document: StepDocument | None) -> dict[str, Any]:
    """A step as REST shows it, as the state that the fold would have; the document is compared where it is shown."""
    state: dict[str, Any] = {"stamp": step.stamps.document, "progress_stamp": step.stamps.progress, "progress": step.progress}
    if document is not None:
        for field in ("name", "agent", "parent_step_id", "started_at_us", "ended_at_us", "duration_us", "model_requested", "error", "type"):
            assert getattr(step, field) == getattr(document, field), field
    return {name: msgspec.to_builtins(value) for name, value in state.items() if value is not None}


@pytest.mark.parametrize("seed", range(3))
async def test_every_vector_is_shown_as_it_says_whatever_the_order_of_the_log(database: str, seed: int) -> None:
    log = records(*(batch(number + 1_000 * seed, event) for number, events in EVENTS.items() for event in events))
    values = [(record.key, record.value) for record in log]
    random.Random(seed).shuffle(values)
    shuffled = [msgspec.structs.replace(record, key=key, value=value) for record, (key, value) in zip(log, values, strict=True)]
    pool = await open_writer(f"{database}?role=ams_writer", application="test", size_max=1)
    projection = StepsProjection(pool)
    position = 0
    while position < len(shuffled):
        position = await projection.apply(
            STEPS.name,
            seed,
            [msgspec.structs.replace(record, partition=seed) for record in shuffled[position : position + EVENTS_PER_TRANSACTION]],
            position,
        )
    await pool.close()

    settings = Settings(public_url="-", database_url=f"{database}?role=ams_reader", redis_url="-", service_secret="-", identity_url="-")
    async with AsyncTestClient(make_app(settings, open_auth=Ada)) as client:  # type: ignore[arg-type]  # the same methods
        for number, vector in enumerate(VECTORS, 1):
            base = f"/api/traces/{PROJECT}/tasks/{task_id(number + 1_000 * seed)}"
            answer = await client.get(f"{base}/steps/{vector['step_id']}", headers={"Authorization": "Bearer ada"})
            assert answer.status_code == 200, vector["name"]
            step = msgspec.convert(answer.json()["step"], Step)
            expected = dict(vector["expect"]["state"])
            document = expected.pop("document", None)

            shown = shown_state(step, None if document is None else msgspec.convert(document, StepDocument))

            assert shown == expected, vector["name"]
            assert step.status == vector["expect"]["status"], vector["name"]
            assert msgspec.to_builtins(step.usage) == vector["expect"]["usage"], vector["name"]
            whole = (await client.get(base, headers={"Authorization": "Bearer ada"})).json()
            assert whole["position"] == f"1.{seed}.{len(log)}"
