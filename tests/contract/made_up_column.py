"""Writes steps and tasks with the field ``region``, which this repository does not have, and prints what becomes of it as JSON.

Run by ``test_add_a_column.py`` with a copy of the contracts and the migrations that has the field: ``python made_up_column.py DATABASE_URL``.
"""

import asyncio
import json
import sys
import time
from typing import Any

from litestar.testing import AsyncTestClient
from tests.builders import PROJECT, batch, document, ended, record, recorded, started, step_id, task_id, task_started

from ams_contracts.claims import Access, Role
from ams_contracts.documents import Status, TaskDocument
from ams_contracts.events import Batch
from ams_contracts.topics import STEPS
from ams_kit.auth import Principal
from ams_trace_ingest.projector.apply import StepsProjection
from ams_trace_ingest.store import steps
from ams_trace_ingest.store.connections import open_writer, set_generation
from ams_trace_query.app import make_app
from ams_trace_query.search.reference import reference_table
from ams_trace_query.settings import Settings

TASK, RECORDED, CHANGED, WITHOUT = 1, 2, 3, 4
DOCUMENTED, NAMELESS = 5, 6  # tasks with a document: it counts, and not that of the root


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


def a_region(name: str, **changes: Any) -> Any:
    return document(region=name, **changes)


async def project(url: str) -> dict[str, str | None]:
    """Project events through COPY of new rows and through the upsert, and read the documents back."""
    pool = await open_writer(f"{url}?role=ams_writer", application="test", size_max=1)
    projection = StepsProjection(pool)
    now_ms = int(time.time() * 1_000)
    position = 0

    async def apply(value: Batch) -> None:
        nonlocal position
        position = await projection.apply(STEPS.name, 0, [record(position, value, timestamp_ms=now_ms)], position)

    await apply(batch(TASK, recorded(RECORDED, a_region("eu")), started(CHANGED, a_region("us"), seq=1), recorded(WITHOUT, document())))
    await apply(batch(TASK, ended(CHANGED, a_region("asia"), seq=2)))
    named: dict[str, Any]
    for number, named in ((DOCUMENTED, {"region": "mars"}), (NAMELESS, {})):
        about: Any = TaskDocument(name="task", status=Status.RUNNING, **named)
        await apply(batch(number, task_started(about), recorded(RECORDED, a_region("venus"))))
    async with pool.acquire() as connection, connection.transaction():
        await set_generation(connection)
        day = await connection.fetchval("SELECT day FROM tasks LIMIT 1")
        stored = await steps.load(connection, [(PROJECT, task_id(TASK), step_id(number), day) for number in (RECORDED, CHANGED, WITHOUT)])
    await pool.close()
    documents = {step.step_id: step.document for step in stored}
    return {key: getattr(known, "region", "no attribute") for key, known in documents.items()}


async def ask(url: str) -> dict[str, Any]:
    """What the REST interface shows of the field."""
    settings = Settings(public_url="-", database_url=f"{url}?role=ams_reader", redis_url="-", service_secret="-", identity_url="-")
    app = make_app(settings, open_auth=Ada)  # type: ignore[arg-type]  # the same methods
    async with AsyncTestClient(app) as client:

        async def get(path: str) -> Any:
            answer = await client.get(f"/api/traces/{PROJECT}/{path}", headers={"Authorization": "Bearer ada"})
            assert answer.status_code == 200, answer.text
            return answer.json()

        rows = (await get(f"tasks/{task_id(TASK)}/steps"))["items"]
        skeleton = await get(f"tasks/{task_id(TASK)}/skeleton")
        tasks, filtered_tasks, searched_tasks = [(await get(f"tasks?{query}"))["items"] for query in ("", "q=region:mars", "q=eu")]
        filtered = (await get("steps?q=region:asia"))["items"]
        searched = (await get("steps?q=asi"))["items"]
    schemas = app.openapi_schema.to_schema()["components"]["schemas"]
    names = dict(zip(skeleton["columns"]["step_id"], skeleton["columns"]["region"], strict=True))
    return {
        "rows": {row["step_id"]: row["region"] for row in rows},
        "skeleton": {key: skeleton["regions"][index] if index >= 0 else None for key, index in names.items()},
        "filtered": [row["step_id"] for row in filtered],
        "searched": [row["step_id"] for row in searched],
        "tasks": {row["task_id"]: row["region"] for row in tasks},
        "filtered_tasks": [row["task_id"] for row in filtered_tasks],
        "searched_tasks": [row["task_id"] for row in searched_tasks],
        "openapi": {
            name: "region" in schema.get("properties", {}) for name, schema in schemas.items() if name in {"Step", "Task", "Columns"}
        },
        "reference": "| `region` | tasks and steps | text |" in reference_table(),
    }


if __name__ == "__main__":
    print(json.dumps({"documents": asyncio.run(project(sys.argv[1])), **asyncio.run(ask(sys.argv[1]))}))
