"""``ams check``: send one test task, and say what happened. Needs the standard library alone."""

import argparse
import logging
import os
import sys
from time import perf_counter

import ams as sdk
from ams.settings import ENDPOINT_DEFAULT
from ams.version import __version__

CHECK_SECONDS = 3.0


def check(endpoint: str, api_key: str | None) -> int:
    """Send one task with one step.

    Args:
        endpoint: The address of AMS.
        api_key: A project's key.

    Returns:
        The exit code: 0 delivered, 1 not delivered, 2 a setting is missing or wrong. What to do is on stderr.
    """
    if not api_key:
        return _fail(2, f"No API key. Create one in the explorer ({endpoint}) under API keys, then: export AMS_API_KEY=ams_...")
    if not sdk.init(api_key, endpoint=endpoint, announce=False):
        return 2
    logging.getLogger("ams").disabled = True  # what it would report is printed below, once
    started = perf_counter()
    with sdk.task("ams check", kind="check", tags={"from": "ams check"}) as task:
        with sdk.step("hello", type="tool") as step:
            step.input = {"python": sys.version.split()[0], "pid": os.getpid()}
            step.output = "AMS receives steps from this machine."
        task.output = "The connection works."
    result = sdk.flush(CHECK_SECONDS)
    milliseconds = round((perf_counter() - started) * 1000)
    task_id = task.task_id
    sdk.shutdown(timeout_seconds=0)
    if result.complete:
        sys.stdout.write(f"Delivered {result.sent} events in {milliseconds} ms. Open {endpoint.rstrip('/')}/t/{task_id}\n")
        return 0
    if result.rejected:
        return _fail(
            1,
            f"{endpoint} refused {result.rejected} of {result.rejected + result.sent} events. "
            f"Install the SDK that the platform serves (this one is {__version__}): {endpoint.rstrip('/')}/sdk/",
        )
    reason = result.reason or f"no answer within {CHECK_SECONDS:g} s"
    advice = "" if "AMS_" in reason else " Start the platform (./ams up), or set AMS_ENDPOINT to its address."
    return _fail(1, f"Nothing was delivered to {endpoint}: {reason}.{advice}")


def main(arguments: list[str]) -> int:
    """The command without click. Options win over ``AMS_ENDPOINT`` and ``AMS_API_KEY``."""
    parser = argparse.ArgumentParser(prog="ams check", description="Send one test task and say what happened.")
    parser.add_argument("--endpoint", default=os.environ.get("AMS_ENDPOINT") or ENDPOINT_DEFAULT, help="The address of AMS.")
    parser.add_argument("--api-key", default=os.environ.get("AMS_API_KEY"), help="A project's API key.")
    options = parser.parse_args(arguments)
    return check(options.endpoint, options.api_key)


def _fail(code: int, sentence: str) -> int:
    sys.stderr.write(sentence + "\n")
    return code
