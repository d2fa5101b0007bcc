"""A process that imports what every service imports, once, and forks the services from itself.

Five Python services import for some two seconds of CPU each; forked, they start in milliseconds and share the memory of what was imported.
The supervisor starts it as ``python -m ams_local.fork_server DESCRIPTOR`` while the servers boot, and speaks to it over that socket, one JSON
``Request`` and one ``Answer`` a message.

A forked service is handed to the supervisor as its child (the supervisor adopts orphans), so it outlives a fork server that is killed, and
does not outlive the supervisor. Nothing here starts a thread, an event loop or a connection before the fork.
"""

import gc
import importlib
import os
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Struct, field

from ams_local.process import die_with_parent

MESSAGE_BYTES_MAX = 262_144


class Fork(Struct, kw_only=True):
    """A request: run this function in a process of its own.

    Attributes:
        target: ``package.module:function``, called with ``argv``.
        argv: Its one argument.
        environ: The whole environment of the process.
        log: The file that its output is appended to.
        supervisor: The process that becomes its parent.
    """

    target: str
    argv: list[str]
    environ: dict[str, str]
    log: str
    supervisor: int


class Load(Struct, kw_only=True):
    """A request: import these, and answer when that is done."""

    modules: list[str]


class Request(Struct, kw_only=True):
    """Exactly one of the two."""

    fork: Fork | None = None
    load: Load | None = None


class Answer(Struct, kw_only=True):
    """``pid`` of what was forked; ``missing`` are modules that could not be imported, with the reason.

    While the fork server imports, it sends one answer before each module, with its name in ``importing`` and its number in ``imported``.
    """

    pid: int = 0
    importing: str = ""
    imported: int = 0
    missing: dict[str, str] = field(default_factory=dict)


def load(modules: list[str], report: Callable[[str, int], None]) -> dict[str, str]:
    """Import modules, and report each before it is imported. A failure is reported and not fatal: the service that needs the module fails by itself, with its own log."""
    missing: dict[str, str] = {}
    gc.disable()  # a collection while nothing can be garbage yet costs a fifth of the import
    for number, name in enumerate(modules):
        report(name, number)
        try:
            importlib.import_module(name)
        except Exception as error:  # noqa: BLE001  whatever an import raises
            missing[name] = f"{type(error).__name__}: {error}"
    gc.collect()
    gc.freeze()  # the collector of a child never touches, and so never copies, what was imported
    gc.enable()
    return missing


def _become(request: Fork, between: int) -> None:
    """In the new process: wait until the supervisor is the parent, take the environment, run."""
    os.setsid()
    while os.getppid() == between:  # for microseconds: it ends at once, and only then are we the supervisor's
        time.sleep(0.001)
    die_with_parent(signal.SIGKILL)
    if os.getppid() != request.supervisor:
        os._exit(1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    log = os.open(request.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    os.environ.clear()
    os.environ.update(request.environ)
    module, _, function = request.target.partition(":")
    sys.argv = [module, *request.argv]
    main: Callable[[list[str]], Any] = getattr(importlib.import_module(module), function)
    main(request.argv)


def fork(request: Fork, channel: socket.socket) -> int:
    """Start a process that is the supervisor's child.

    Returns:
        Its process id.
    """
    reader, writer = os.pipe()
    between = os.fork()
    if between == 0:
        middle = os.getpid()
        child = os.fork()
        if child != 0:
            os.write(writer, str(child).encode())
            os._exit(0)
        os.close(reader)
        os.close(writer)
        channel.close()
        code = 0
        try:
            _become(request, middle)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
            if isinstance(end.code, str):
                sys.stderr.write(end.code + "\n")
        except BaseException:  # noqa: BLE001  the last place that can report it
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writer)
    os.waitpid(between, 0)
    with os.fdopen(reader, "rb") as file:
        return int(file.read())


def main() -> None:
    """Serve requests until the supervisor closes the channel."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the supervisor's
    channel = socket.socket(fileno=int(sys.argv[1]))
    channel.set_inheritable(False)
    decode = msgspec.json.Decoder(Request).decode

    def report(module: str, number: int) -> None:
        channel.send(msgspec.json.encode(Answer(importing=module, imported=number)))

    while message := channel.recv(MESSAGE_BYTES_MAX):
        request = decode(message)
        answer = Answer()
        if request.load is not None:
            answer = Answer(missing=load(request.load.modules, report))
        elif request.fork is not None:
            answer = Answer(pid=fork(request.fork, channel))
        channel.send(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
