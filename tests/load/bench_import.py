"""``import ams`` beside the floor of what it needs: msgspec and opentelemetry.trace. Processor time of fresh processes, with byte code cached.

./ams bench import
"""

import json
import os
import resource
import subprocess
import sys

RUNS = 20
PROGRAMS = {"start": "pass", "floor": "import msgspec, opentelemetry.trace", "ams": "import ams"}


def processor_seconds(code: str) -> float:
    """Of a process that runs ``code``."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Print a JSON line: milliseconds, the least of all runs, without the start of the interpreter."""
    least = dict.fromkeys(PROGRAMS, float("inf"))
    for _ in range(RUNS):  # in turn, so that a busy moment meets all of them
        for name, code in PROGRAMS.items():
            least[name] = min(least[name], processor_seconds(code))
    floor, ams = least["floor"] - least["start"], least["ams"] - least["start"]
    print(json.dumps({"bench": "import", "floor_ms": round(floor * 1e3, 1), "ams_ms": round(ams * 1e3, 1), "ratio": round(ams / floor, 2)}))


if __name__ == "__main__":
    main()
