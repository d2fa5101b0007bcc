"""Whether the time of a refused sign-in shows if there is such an account: pairs of an unknown name and a wrong password. Prints a JSON line.

    python -m tests.load.bench_sign_in --url http://localhost:8080 --data DIR [--pairs 400]

Every request has an address of its own, and every account fails three times, so that no limit of failures takes part. Names and email addresses alternate.
"""

import argparse
import itertools
import json
import random
import secrets
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

TARGET_MS = 5.0
FAILURES_OF_AN_ACCOUNT = 3
SEED = 12


def addresses() -> Iterator[str]:
    start = secrets.randbelow(1 << 23)
    return (f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in itertools.count(start))


def register(client: httpx.Client, address: str) -> str:
    name = f"u{secrets.token_hex(8)}"
    body = {"username": name, "email": f"{name}@example.com", "password": secrets.token_urlsafe(24)}
    client.post("/api/auth/register", json=body, headers={"X-Forwarded-For": address}).raise_for_status()
    return name


def refused_ms(client: httpx.Client, login: str, address: str) -> float:
    body = {"login": login, "password": "not the password of anybody"}
    began = time.perf_counter()
    answer = client.post("/api/auth/login", json=body, headers={"X-Forwarded-For": address})
    milliseconds = (time.perf_counter() - began) * 1_000
    assert answer.status_code == 401, answer.text
    return milliseconds


def main() -> int:
    """Register the accounts, then time the pairs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="of the platform; unused, because identity is asked on its own port")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=400)
    arguments = parser.parse_args()
    port, address = json.loads((arguments.data / "ports.json").read_bytes())["identity"], addresses()
    order = random.Random(SEED)
    times: dict[str, list[float]] = {"unknown": [], "wrong_password": []}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        known = [register(client, next(address)) for _ in range(-(-arguments.pairs // FAILURES_OF_AN_ACCOUNT))]
        for number in range(arguments.pairs):
            names = {"unknown": f"u{secrets.token_hex(8)}", "wrong_password": known[number // FAILURES_OF_AN_ACCOUNT]}
            for kind in order.sample(sorted(names), 2):
                login = names[kind] if number % 2 else f"{names[kind]}@example.com"
                times[kind].append(refused_ms(client, login, next(address)))
    medians = {kind: statistics.median(values) for kind, values in times.items()}
    difference = abs(medians["unknown"] - medians["wrong_password"])
    measured = {f"{kind}_ms": round(median, 2) for kind, median in medians.items()}
    line = {"bench": "refused sign-in", "pairs": arguments.pairs, **measured, "difference_ms": round(difference, 2), "target_ms": TARGET_MS, "ok": difference <= TARGET_MS}  # fmt: skip
    sys.stdout.write(json.dumps(line) + "\n")
    return 0 if difference <= TARGET_MS else 1


if __name__ == "__main__":
    sys.exit(main())
