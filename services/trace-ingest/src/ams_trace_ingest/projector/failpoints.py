"""Named places at which a test kills the process. They do nothing unless ``AMS_TEST_FAILPOINT`` is set when the process starts.

``after_copy`` dies at the first passage, ``after_copy:3`` at the third.
"""

import os
import signal

ENVIRONMENT = "AMS_TEST_FAILPOINT"
NAMES = (
    "before_begin", "after_lock", "after_days", "after_claims", "after_tasks", "after_steps", "after_rules", "after_derivation", "after_derived", "after_deletions", "before_copy", "after_copy",
    "after_task_rows", "after_producers", "after_agents", "after_letters", "after_move", "after_commit",
)  # fmt: skip

_armed, _, _passes = os.environ.get(ENVIRONMENT, "").partition(":")
_left = [int(_passes or 1)]


def failpoint(name: str) -> None:
    """Die here, at once and without a word, when a test asked for it."""
    if _armed and _armed == name:
        _left[0] -= 1
        if _left[0] <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
