"""``python -m ams_local.servers.fetch_kafka``: fetch Kafka's jars from Maven Central by jgo and compare them with the committed list.

Then the broker is started once, so that Java writes a cache of its loaded classes: 1.3 s instead of 2.5 s to ready at every later start, and
1.3 s of CPU instead of 3 (measured, Java 25).

jgo resolves and caches by itself (settings of its own: ``~/.jgorc``, ``JGO_*``); what it brings is copied once it is known to be right.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import jgo

from ams_local.process import spawn
from ams_local.servers.base import ServerError, free_port
from ams_local.servers.jars import (
    COORDINATES,
    UNTRAINABLE,
    VERIFIED,
    cache_folder,
    jars_are_here,
    jars_folder,
    kafka_is_here,
    known_hashes,
    startup_cache,
)
from ams_local.servers.kafka import Kafka

TRAINING_TIMEOUT_SECONDS = 60
ATTEMPTS_MAX = 3  # 46 files are fetched one by one; a busy registry sometimes truncates one
SCRATCH_PREFIX = "kafka-fetch-"
SCRATCH_AGE_SECONDS = 3_600
LOCK = "kafka-fetch.lock"
LOCK_SECONDS_MAX = 600.0
LOCK_POLL_SECONDS = 0.2


@contextlib.contextmanager
def one_at_a_time(seconds_max: float = LOCK_SECONDS_MAX) -> Generator[None]:
    """Hold the lock of this machine and user: of several checkouts one fetches, and the others find what it brought.

    Args:
        seconds_max: How long to wait for it.

    Raises:
        ServerError: Another process holds it for longer.
    """
    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    deadline: float | None = None
    with (cache / LOCK).open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError as error:
                now = time.monotonic()
                if deadline is None:
                    deadline = now + seconds_max
                    sys.stderr.write("Another process fetches Kafka's jars. Waiting for it.\n")
                    sys.stderr.flush()
                if now >= deadline:
                    raise ServerError(
                        f"Another process has been fetching Kafka's jars for {seconds_max:.0f} s (lock {cache / LOCK}). "
                        "End it or wait, then run the command again."
                    ) from error
                time.sleep(LOCK_POLL_SECONDS)
        yield  # the lock ends with the file


def _check(found: dict[str, Path], target: Path) -> None:
    for name, digest in known_hashes().items():
        if name not in found:
            raise ServerError(f"Kafka's jar {name} was not among those fetched")
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != digest:
            raise ServerError(f"Kafka's jar {name} is not the one that this version of AMS was built with; it is not used")
        shutil.copy2(found[name], target / name)


def _download(scratch: Path) -> dict[str, Path]:
    failure: Exception | None = None
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            return {path.name: path for path in map(Path, jgo.build(COORDINATES, cache_dir=scratch / str(attempt)).all_jars)}
        except Exception as error:  # noqa: BLE001  jgo raises whatever its parsing of a truncated answer meets, an AssertionError included
            failure = error
            time.sleep(attempt)
    raise ServerError(
        f"Kafka's jars could not be downloaded from Maven Central in {ATTEMPTS_MAX} attempts ({type(failure).__name__}: {failure}). "
        "Check the network and the proxy settings, then run the command again."
    ) from failure


def fetch_jars() -> None:
    """Some 20 s at the first time.

    Raises:
        ServerError: See ``ensure_jars``.
    """
    if jars_are_here():
        return
    cache = cache_folder()
    for cut_off in cache.glob(f"{SCRATCH_PREFIX}*"):
        if time.time() - cut_off.stat().st_mtime > SCRATCH_AGE_SECONDS:
            shutil.rmtree(cut_off, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=SCRATCH_PREFIX) as scratch:
        found = _download(Path(scratch))
        ready = Path(scratch) / "ready"
        ready.mkdir()
        _check(found, ready)
        (ready / VERIFIED).touch()
        if not jars_are_here():
            shutil.rmtree(jars_folder(), ignore_errors=True)
            ready.rename(jars_folder())


async def _until_ready(broker: Kafka) -> None:
    async with asyncio.timeout(TRAINING_TIMEOUT_SECONDS):
        while not await broker.answers():  # noqa: ASYNC110  another process, which sends no notification
            await asyncio.sleep(0.05)


def train() -> None:
    """Make the start-up cache. A failure is remembered and costs nothing but time at each start."""
    with tempfile.TemporaryDirectory(dir=cache_folder(), prefix="kafka-train-") as scratch:
        folder = Path(scratch)
        made = folder / "cache"
        broker = Kafka(data=folder / "data", port=free_port(), controller_port=free_port())
        try:
            broker.write_data()
            child = spawn(broker.command(training=made).argv, cwd=folder)
            try:
                asyncio.run(_until_ready(broker))
                child.terminate()
                child.wait(TRAINING_TIMEOUT_SECONDS)
            finally:
                child.kill()
                child.wait()
            made.replace(startup_cache())
        except (OSError, TimeoutError, ServerError, subprocess.TimeoutExpired) as error:
            (jars_folder() / UNTRAINABLE).write_text(f"{type(error).__name__}: {error}\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        with one_at_a_time():
            fetch_jars()
            if not kafka_is_here():
                train()
    except ServerError as problem:
        sys.exit(str(problem))
