"""``python -m ams_kit.bus topics`` creates the topics, ``python -m ams_kit.bus asyncapi [FILE]`` writes the AsyncAPI document."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from ams_kit.bus.asyncapi import asyncapi_text
from ams_kit.bus.errors import LogUnavailableError
from ams_kit.bus.topics import create_topics
from ams_kit.kafka_settings import KafkaEnvironment
from ams_kit.settings import read_settings
from ams_kit.telemetry.logs import configure_logging

EXIT_PARTITIONS_DIFFER = 3
EXIT_UNAVAILABLE = 75  # EX_TEMPFAIL: the caller may retry
ASYNCAPI_FILE = Path("contracts/asyncapi.json")


class TopicSettings(KafkaEnvironment, frozen=True, kw_only=True):
    """The settings of the command.

    Attributes:
        topic_replication: Replicas of each new topic.
        topic_min_isr: In-sync replicas that must have a record before it counts as durable.
    """

    topic_replication: int = 1
    topic_min_isr: int = 1
    log_level: str = "INFO"


def make_topics() -> int:
    """Create the topics.

    Returns:
        0 when every topic is as declared, 3 when a topic has another number of partitions, 75 when the broker does not answer or refuses. A
        wrong setting exits with 2.
    """
    settings = read_settings(TopicSettings, os.environ, "topics")
    configure_logging("topics", settings.log_level)
    try:
        alarms = asyncio.run(create_topics(settings.kafka, replication=settings.topic_replication, min_isr=settings.topic_min_isr))
    except LogUnavailableError as error:
        sys.stderr.write(f"topics: {error.detail}\n")
        return EXIT_UNAVAILABLE
    return EXIT_PARTITIONS_DIFFER if alarms else 0


def main(argv: list[str] | None = None) -> None:
    """Run one of the commands.

    Raises:
        SystemExit: With the exit code, when it is not 0.
    """
    parser = argparse.ArgumentParser(prog="python -m ams_kit.bus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("topics", help="create the topics and set their configuration")
    document = commands.add_parser("asyncapi", help="write the AsyncAPI document")
    document.add_argument("file", nargs="?", type=Path, default=ASYNCAPI_FILE)
    arguments = parser.parse_args(argv)
    if arguments.command == "asyncapi":
        arguments.file.write_text(asyncapi_text(), encoding="utf-8")
    elif code := make_topics():
        raise SystemExit(code)


if __name__ == "__main__":
    main()
