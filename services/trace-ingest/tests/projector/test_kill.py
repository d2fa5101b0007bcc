"""``kill -9`` at every await of a batch: what comes after it finds all or nothing."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.projector_runner import run

from ams_trace_ingest.projector.failpoints import ENVIRONMENT, NAMES

ROOT = Path(__file__).parents[4]


def run_until_killed(url: str, failpoint: str) -> int:
    process = subprocess.run(
        [sys.executable, "-m", "tests.projector_runner", url],
        env={**os.environ, ENVIRONMENT: failpoint},
        cwd=ROOT,
        timeout=60,
        check=False,
        capture_output=True,
    )
    assert process.returncode in {0, -signal.SIGKILL}, process.stderr.decode()
    return process.returncode


@pytest.fixture
def url(traces_url: str) -> str:
    return f"{traces_url}?role=ams_writer"


@pytest.mark.parametrize("name", NAMES)
async def test_killed_at_a_failpoint_and_run_again_it_is_exact(url: str, store, name: str) -> None:
    await run(url)
    expected = await store.everything()
    await store.empty()

    assert run_until_killed(url, f"{name}:{2 if name != 'after_letters' else 1}") == -signal.SIGKILL
    await run(url)

    assert await store.everything() == expected
