"""Starting a child process that cannot outlive its parent, in a process group of its own, as root too.

Linux only: ``PR_SET_PDEATHSIG`` is what makes a ``kill -9`` of the supervisor leave nothing behind.
"""

import ctypes
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import IO

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
CLONE_NEWUSER = 0x10000000
ORDINARY_ID = 1000  # the id that root gets inside a user namespace of its own
NOBODY_ID = 65534
INHERITED_NAMES = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR")

_libc = ctypes.CDLL(None, use_errno=True)


class Identity(StrEnum):
    """As whom a server runs."""

    SAME = "same"  # this user
    NAMESPACE = "namespace"  # root, seen from inside as an ordinary user: files stay root's outside, nothing is chowned
    NOBODY = "nobody"  # where a container forbids namespaces: another uid, which needs a data folder that is its own


def die_with_parent(signal_number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends."""
    if _libc.prctl(PR_SET_PDEATHSIG, int(signal_number), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def children() -> list[int]:
    """The processes whose parent this process is, adopted ones and ended ones that nobody has reaped included."""
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_bytes()
            except OSError:
                continue  # it has ended
            if int(stat.rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(entry.name))
    return found


def adopt_orphans() -> None:
    """Make this process the parent of its grandchildren whose own parent ended."""
    if _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def enter_user_namespace() -> None:
    """Let root appear as an ordinary user to the program that follows (Postgres refuses to run as root)."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER) failed")
    Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
    Path("/proc/self/uid_map").write_text(f"{ORDINARY_ID} {uid} 1", encoding="ascii")
    Path("/proc/self/gid_map").write_text(f"{ORDINARY_ID} {gid} 1", encoding="ascii")


def _prepare(identity: Identity, death_signal: int, parent: int) -> None:
    """In the child, between fork and exec."""
    if identity is Identity.NAMESPACE:
        enter_user_namespace()
    elif identity is Identity.NOBODY:
        os.setgroups([])
        os.setgid(NOBODY_ID)
        os.setuid(NOBODY_ID)
    die_with_parent(death_signal)  # last: a change of credentials clears it
    if identity is not Identity.NAMESPACE and os.getppid() != parent:
        os._exit(1)  # the parent ended before the kernel was asked


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    output: IO[bytes] | int | None = None,
    identity: Identity = Identity.SAME,
    death_signal: int = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start a program in its own session; it gets ``death_signal`` when this thread ends, however that happens.

    Args:
        argv: The program and its arguments.
        env: Added to the few inherited variables: a server has no use for the secrets of this process.
        cwd: Its working directory.
        output: Where stdout and stderr go; None discards them.
        identity: As whom.
        death_signal: Postgres takes SIGQUIT, so that it ends its own children at once.
    """
    inherited = {name: os.environ[name] for name in INHERITED_NAMES if name in os.environ}
    parent = os.getpid()
    return subprocess.Popen(  # noqa: S603  our own argument list
        list(argv),
        env={**inherited, **(env or {})},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if output is None else output,
        stderr=subprocess.STDOUT if output is not None else subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: _prepare(identity, death_signal, parent),  # noqa: PLW1509  only from single-threaded processes
    )


def namespace_allowed() -> bool:
    """Whether this process may make a user namespace (many containers forbid it). Asked in a child, since it cannot be undone."""
    child = os.fork()
    if child == 0:
        try:
            enter_user_namespace()
        except OSError:
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1] == 0


def server_identity() -> Identity:
    """As whom a server that refuses root is started here."""
    if os.geteuid() != 0:
        return Identity.SAME
    return Identity.NAMESPACE if namespace_allowed() else Identity.NOBODY
