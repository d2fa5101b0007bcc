"""Runs a consumer in a separate process that a test can kill: ``consume_child.py BOOTSTRAP GROUP TOPIC FILE``."""

import asyncio
import sys

from ams_contracts.topics import Topic
from ams_kit.bus import Consumer
from ams_kit.testing.recording_projection import RecordingProjection


async def main() -> None:
    bootstrap, group, topic, path = sys.argv[1:]
    consumer = Consumer(bootstrap, group, Topic(name=topic, version=1, partitions=3), RecordingProjection(path), instance_id="child")
    await consumer.start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
