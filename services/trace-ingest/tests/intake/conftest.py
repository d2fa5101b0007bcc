import uuid
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import cast

import httpx
import pytest
from litestar import Litestar

from ams_contracts.claims import KeyGrant, Scope
from ams_kit.auth import AuthKit
from ams_kit.bus import create_topics
from ams_kit.errors import UnauthenticatedError
from ams_kit.testing.serving import serving
from ams_trace_ingest.app import make_intake
from ams_trace_ingest.settings import IntakeSettings

WRITER = "ams_writer_key"
READER = "ams_reader_key"


class TwoKeys:
    """The exchange of API keys, as identity would answer it: one key that may write, one that may not."""

    def __init__(self, project_id: str) -> None:
        self.project_id = project_id

    async def grant(self, api_key: str) -> KeyGrant:
        if api_key not in {WRITER, READER}:
            raise UnauthenticatedError
        scopes = [Scope.INGEST] if api_key == WRITER else []
        return KeyGrant(access_token="t", expires_in=600, project_id=self.project_id, key_id="k1", scopes=scopes)


@pytest.fixture
def project_id() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def settings(kafka_bootstrap: str) -> IntakeSettings:
    return IntakeSettings(
        public_url="http://localhost:8080",
        kafka_bootstrap=kafka_bootstrap,
        database_url="postgresql://nobody@127.0.0.1:1/none",
        redis_url="redis://127.0.0.1:1/0",
        service_secret="s" * 32,
        identity_url="http://127.0.0.1:1",
        intake_bytes_max=96 * 1024 * 1024,
        kafka_inbound=False,
    )


@pytest.fixture
async def app(settings: IntakeSettings, project_id: str) -> Litestar:
    await create_topics(settings.kafka_bootstrap)

    async def close() -> None:
        return None

    return make_intake(settings, auth=cast("AuthKit", SimpleNamespace(keys=TwoKeys(project_id), close=close)))


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    with serving(app) as url:
        async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {WRITER}"}, timeout=30) as client:
            yield client
