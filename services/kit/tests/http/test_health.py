"""The readiness routes: for people, and for a load balancer."""

import asyncio

import pytest
from litestar import Litestar
from litestar.testing import AsyncTestClient

from ams_kit.background import FAULTS_TO_NOT_READY, Background
from ams_kit.errors import UnavailableError
from ams_kit.http.health import health_routes


async def server_is_down() -> None:
    raise UnavailableError("Postgres does not answer.")


async def broken() -> None:
    raise ValueError


async def test_a_shared_server_that_is_down_does_not_take_replicas_out_of_rotation() -> None:
    async with Background() as background, AsyncTestClient(Litestar(health_routes({"postgres": server_is_down}, background))) as http:
        everything, local = await http.get("/readyz"), await http.get("/readyz/local")

    assert everything.status_code == 503
    assert everything.json()["checks"] == {"postgres": "Postgres does not answer.", "background": "ok"}
    assert local.status_code == 200
    assert local.json()["checks"] == {"background": "ok"}


@pytest.mark.parametrize("path", ["/readyz", "/readyz/local"])
async def test_a_process_that_cannot_work_is_taken_out_of_rotation(path: str) -> None:
    failures = 0
    failed_often = asyncio.Event()

    async def pause(_: float) -> None:
        nonlocal failures
        failures += 1
        if failures == FAULTS_TO_NOT_READY:
            failed_often.set()
            await asyncio.Event().wait()

    async with Background(sleep=pause) as background, AsyncTestClient(Litestar(health_routes({}, background))) as http:
        background.spawn("broken", broken)
        await failed_often.wait()

        answer = await http.get(path)

    assert answer.status_code == 503
    assert "broken" in answer.json()["checks"]["background"]
