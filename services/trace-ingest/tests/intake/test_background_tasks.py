"""Each background task of intake restarts after any failure."""

import msgspec

from ams_kit.auth import open_redis
from ams_kit.bus import create_topics
from ams_kit.testing.revocations import kept_complete
from ams_kit.testing.supervision import running
from ams_kit.testing.valkey import ValkeyServer
from ams_trace_ingest.app import make_intake
from ams_trace_ingest.settings import IntakeSettings


async def test_each_task_comes_back_after_an_unexpected_error(settings: IntakeSettings) -> None:
    await create_topics(settings.kafka_bootstrap)
    valkey = ValkeyServer()
    valkey.start()
    redis = open_redis(valkey.url)
    try:
        async with kept_complete(redis), running(make_intake(msgspec.structs.replace(settings, redis_url=valkey.url))) as intake:
            names = await intake.fail_each_task()
    finally:
        await redis.aclose()
        valkey.remove()

    assert names == {"identity-events", "identity-log", "revocation-replica", "usage", "log-exchange"}
