"""How long `ams up` takes on a data directory that has run before, and what the idle platform weighs. Prints one JSON line a measurement.

    python -m tests.load.bench_start [--rounds 3]

Memory is PSS: what is shared between processes is divided among them. CPU is that of all processes until ready.
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import psutil
from tests.installation import Platform

START_TARGET_SECONDS = 6.0
IDLE_TARGET_MB = 850.0
SETTLE_SECONDS = 5.0


def emit(**fields: object) -> None:
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()


def family(platform: Platform) -> list[psutil.Process]:
    supervisor = psutil.Process(platform.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def pss_mb(processes: list[psutil.Process]) -> dict[str, float]:
    """By kind of process."""
    sums: dict[str, float] = {}
    for one in processes:
        name = one.name()
        sums[name] = sums.get(name, 0) + one.memory_full_info().pss / 1024 / 1024
    return {name: round(value, 1) for name, value in sorted(sums.items(), key=lambda pair: -pair[1])}


def main() -> None:
    """Start it once for the data, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ams-bench-") as folder:
        Platform(Path(folder) / "data").start().stop()
        seconds, stops, cpu = [], [], []
        for number in range(arguments.rounds):
            platform = Platform(Path(folder) / "data")
            began = time.monotonic()
            platform.start()
            seconds.append(time.monotonic() - began)
            cpu.append(sum(sum(one.cpu_times()[:2]) for one in family(platform)))
            if number == arguments.rounds - 1:
                time.sleep(SETTLE_SECONDS)
                by_name = pss_mb(family(platform))
                total = round(sum(by_name.values()), 1)
                emit(bench="idle memory", pss_mb=total, target_mb=IDLE_TARGET_MB, ok=total <= IDLE_TARGET_MB, by_name=by_name)
            began = time.monotonic()
            platform.stop()
            stops.append(time.monotonic() - began)
        median = round(statistics.median(seconds), 2)
        emit(
            bench="warm start", seconds=median, target_seconds=START_TARGET_SECONDS, ok=median <= START_TARGET_SECONDS,
            rounds=[round(one, 2) for one in seconds], cpu_seconds=[round(one, 2) for one in cpu], stop_seconds=[round(one, 2) for one in stops],
        )  # fmt: skip


if __name__ == "__main__":
    main()
