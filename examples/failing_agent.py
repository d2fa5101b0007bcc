"""An agent that fails: a tool is tried again, gives up, and the error leaves the task. Find the first cause in the explorer with the key e.

AMS_TRANSPORT=console python examples/failing_agent.py        # without a platform: a line for each step
"""

import sys

import ams

ams.init()
ATTEMPTS = 3


class NoSeatError(Exception):
    """There is no seat left."""


@ams.tool
def book(flight: str, attempt: int) -> str:
    """Never works: the flight is full."""
    raise NoSeatError(f"{flight} is full (attempt {attempt})")


@ams.agent(tools=["book"])
def traveller(flight: str) -> str:
    """Try three times, then give up."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return book(flight, attempt)
        except NoSeatError as error:
            ams.current_step().log(f"attempt {attempt} failed: {error}", level="warning")
    raise RuntimeError(f"No seat on {flight} after {ATTEMPTS} attempts")


if __name__ == "__main__":
    try:
        with ams.task("Book a seat to Lisbon"):
            traveller("TP 571")
    except RuntimeError as error:
        sys.exit(str(error))
