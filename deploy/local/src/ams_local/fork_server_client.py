"""The supervisor's client of the fork server: one request at a time; restarts the server when it has ended."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from ams_local.fork_server import MESSAGE_BYTES_MAX, Answer, Fork, Load, Request
from ams_local.process import die_with_parent
from ams_local.servers.base import ServerError
from ams_local.units import Starter

ANSWER_TIMEOUT_SECONDS = 30.0
IMPORT_TIMEOUT_SECONDS = 600.0  # for one module: a first start on a busy machine compiles thousands of files, from a cold disk
MALLOC = {"MALLOC_ARENA_MAX": "2"}  # glibc's default of 8 arenas a core costs some 10 MB a process under load


class ForkServerClient:
    """Starts processes by forking one that has imported everything.

    Args:
        modules: What is imported before the first fork.
        log: Where its own output goes.
        inherited: Environment variables of the fork server.
        on_progress: Called with a sentence before each module that it imports.
    """

    def __init__(
        self, modules: list[str], log: Path, inherited: Mapping[str, str], *, on_progress: Callable[[str], None] = lambda _: None
    ) -> None:
        self._on_progress = on_progress
        self.missing: dict[str, str] = {}
        self.pid = 0
        self._modules = modules
        self._log = log
        self._inherited = inherited
        self._channel: socket.socket | None = None
        self.loaded = False
        self._turn = asyncio.Lock()

    def begin(self) -> None:
        """Start it. It imports while the caller does something else."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)  # noqa: FBT003  positional only
        with self._log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603  our own module
                [sys.executable, "-m", "ams_local.fork_server", str(theirs.fileno())],
                env={**self._inherited, **MALLOC},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                pass_fds=(theirs.fileno(),),
                preexec_fn=lambda: die_with_parent(signal.SIGKILL),  # noqa: PLW1509  the supervisor has one thread
            )
        theirs.close()
        child.returncode = 0  # the reaper collects it, not subprocess
        if self._channel is not None:
            self._channel.close()
        self._channel = ours
        self.loaded = False
        self.pid = child.pid
        ours.send(msgspec.json.encode(Request(load=Load(modules=self._modules))))

    async def _answer(self, timeout_seconds: float = ANSWER_TIMEOUT_SECONDS) -> Answer:
        if self._channel is None:
            raise ServerError("the fork server was not started")
        try:
            async with asyncio.timeout(timeout_seconds):
                message = await asyncio.get_running_loop().sock_recv(self._channel, MESSAGE_BYTES_MAX)
        except TimeoutError as error:
            raise ServerError(
                f"the process that starts the services has not answered for {timeout_seconds:.0f} s; its log is {self._log}"
            ) from error
        except OSError:
            message = b""
        if not message:
            raise ServerError(f"the process that starts the services has ended; its log is {self._log}")
        return msgspec.json.decode(message, type=Answer)

    async def ready(self) -> None:
        """Wait until everything is imported."""
        async with self._turn:
            await self._load()

    async def _load(self) -> None:
        while not self.loaded:
            answer = await self._answer(IMPORT_TIMEOUT_SECONDS)
            if answer.importing:
                self._on_progress(f"importing {answer.importing} ({answer.imported + 1} of {len(self._modules)})")
            else:
                self.missing = answer.missing
                self.loaded = True

    async def fork(self, request: Fork) -> int:
        """Start a process and return its id. Restarts a fork server that was killed.

        Raises:
            ServerError: It could not be done; the caller tries again later.
        """
        async with self._turn:
            try:
                await self._load()
                if self._channel is not None:
                    self._channel.send(msgspec.json.encode(Request(fork=request)))
                return (await self._answer()).pid
            except (ServerError, OSError) as error:
                self.begin()
                raise ServerError(f"{error}; another one is being started") from error

    def starter(self, *, target: str, argv: list[str], environ: Mapping[str, str], log: Path) -> Starter:
        """A Unit's way to start."""
        request = Fork(target=target, argv=argv, environ={**self._inherited, **MALLOC, **environ}, log=str(log), supervisor=os.getpid())

        async def start() -> int:
            return await self.fork(request)

        return start

    def close(self) -> None:
        """It ends by itself when nobody listens."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
