"""Ids: fast, unguessable enough, and different in a forked child."""

import os
from _random import Random  # the class in C: the module random imports hashlib and more

_generator = Random(int.from_bytes(os.urandom(32)))  # ids, not secrets; os.urandom itself costs a system call per id
bits = _generator.getrandbits
"""``bits(n)``: an int of n random bits."""


def _reseed() -> None:
    _generator.seed(int.from_bytes(os.urandom(32)))


os.register_at_fork(after_in_child=_reseed)


def new_task_id() -> int:
    """A W3C trace id as a number; never 0, which means *no trace*."""
    return bits(128) or 1


def step_hex(step_id: int) -> str:
    """16 lower-case hex digits."""
    return f"{step_id:016x}"


def task_hex(task_id: int) -> str:
    """32 lower-case hex digits."""
    return f"{task_id:032x}"
