"""CPU time while a benchmark runs, by process of a platform, from ``/proc``; other load of the machine does not count."""

import json
import os
import re
from collections import defaultdict
from pathlib import Path

import psutil

Spent = defaultdict[str, float]
"""Seconds by process name."""

_BACKEND = re.compile(r"postgres: (\w+)(?: \w+ 127\.0\.0\.1.*)?")


def spent(data: Path) -> Spent:
    """Processor seconds so far, user and system, of every process of the platform and of this one.

    Args:
        data: The platform's data directory.
    """
    seconds: Spent = defaultdict(float)
    for name, process in json.loads((data / "status.json").read_text())["processes"].items():
        if not process["pid"]:
            continue
        for one in _family(process["pid"]):
            seconds[_name(name, one)] += _seconds(one)
    seconds["this benchmark"] = sum(os.times()[:2])
    return seconds


def since(data: Path, before: Spent, units: int) -> dict[str, float]:
    """Microseconds a unit since ``before``, the most costly first; what is too little to see is left out."""
    now = spent(data)
    each = {name: (seconds - before[name]) / units * 1e6 for name, seconds in now.items()}
    shown = {name: round(us, 1) for name, us in sorted(each.items(), key=lambda pair: -pair[1]) if us >= 0.5}
    return {**shown, "all": round(sum(each.values()), 1)}


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _name(name: str, process: psutil.Process) -> str:
    try:
        found = _BACKEND.match(" ".join(process.cmdline()))
    except psutil.Error:
        return name
    return f"{name}: {found[1]}" if found else name


def _seconds(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.Error:
        return 0.0
    return times.user + times.system
