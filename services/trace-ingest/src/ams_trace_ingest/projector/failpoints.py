"""Places where a test kills the process, by name. Nothing unless ``AMS_TEST_FAILPOINT`` is set when the process starts."""

import os
import signal

ENVIRONMENT = "AMS_TEST_FAILPOINT"
NAMES = (
    "before_begin", "after_lock", "after_days", "after_claims", "after_tasks", "after_steps", "after_rules", "after_deletions", "before_copy", "after_copy",
    "after_task_rows", "after_producers", "after_agents", "after_letters", "after_move", "after_commit",
)  # fmt: skip

_armed = os.environ.get(ENVIRONMENT)


def failpoint(name: str) -> None:
    """Die here, at once and without a word, when a test asked for it."""
    if _armed is not None and _armed == name:
        os.kill(os.getpid(), signal.SIGKILL)
