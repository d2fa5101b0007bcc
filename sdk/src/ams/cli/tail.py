"""``ams tail``: steps as they end, live.

The websocket says which tasks changed; a search with the query of the person, restricted to these tasks, says which of their steps are meant. So the
filter is the query language of the platform, and only what matches is read.
"""

import contextlib
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import click
import msgspec
from msgspec import Struct
from rich.console import Console
from rich.text import Text
from websockets.exceptions import ConnectionClosed, WebSocketException
from websockets.sync.client import ClientConnection, connect

from ams.cli.platform import Platform, PlatformError, connection_options
from ams.cli.reading import Failure, as_json, reporting
from ams_contracts.documents import Usage
from ams_contracts.frames import SUBPROTOCOL, TICKET_PREFIX, Refused, Renew, Subscribe, TaskFrame
from ams_contracts.human import count_text, cut, duration_text

REFUSED = Refused.__struct_config__.tag
TASK = TaskFrame.__struct_config__.tag
LOOK_SECONDS = 0.4
SECOND_LOOK_SECONDS = 2.5  # when late words of its steps are searchable
RENEW_SECONDS = 240
TASKS_PER_SEARCH = 50
TASKS_WAITING_MAX = 5_000
PRINTED_MAX = 50_000
STEPS_PER_SEARCH = 500
RETRY_SECONDS = 2.0
PAGES_MAX = 20
STARTED_BEFORE_GAP = timedelta(minutes=10)  # the same, of all tasks while the connection was lost
STARTED_BEFORE = timedelta(hours=24)  # a step that ends now may have started this long ago


class _Message(Struct):
    """What this command needs of ``ams_contracts.frames.ServerMessage``."""

    op: str
    task_id: str = ""
    code: str = ""
    detail: str = ""


class _Step(Struct):
    task_id: str
    step_id: str
    type: str
    name: str
    status: str
    ended_at_us: int | None = None
    duration_us: int | None = None
    model: str | None = None
    usage: Usage | None = None
    cost_usd: str | None = None
    agent: str | None = None
    error: Failure | None = None


class _Page(Struct):
    items: list[_Step]
    next_cursor: str | None = None


class _Ticket(Struct):
    ticket: str


_frames = msgspec.json.Decoder(list[_Message])
_page = msgspec.json.Decoder(_Page)
_ticket = msgspec.json.Decoder(_Ticket)


@click.command()
@click.argument("query", required=False, default="")
@click.option("--json", "json_lines", is_flag=True, help="A line of JSON for each step.")
@click.option("--limit", type=click.IntRange(min=1), help="End after so many steps.")
@connection_options
@reporting
def tail(*, query: str, json_lines: bool, limit: int | None, endpoint: str | None, api_key: str | None) -> None:
    """Print steps as they end, such as: ams tail 'status:error type:tool'. Ends with Ctrl-C."""
    platform = Platform.open(endpoint, api_key)
    follower = Follower(platform, query)
    follower.check()
    console = Console(highlight=False, soft_wrap=True)
    try:
        for number, step in enumerate(follower.steps(), 1):
            if json_lines:
                sys.stdout.write(as_json(step) + "\n")
                sys.stdout.flush()
            else:
                console.print(_line(step))
            if number == limit:
                return
    except KeyboardInterrupt:
        return


class Follower:
    """Yields the steps of a project that match a query and end from now on, each once."""

    def __init__(self, platform: Platform, query: str) -> None:
        self._platform = platform
        self._query = query.strip()
        self._began_us = self._looked_us = int(time.time() * 1e6)
        self._printed: OrderedDict[str, None] = OrderedDict()
        self._waiting: OrderedDict[str, list[float]] = OrderedDict()

    def check(self) -> None:
        """Raise the error of a wrong query, key or address now."""
        self._platform.get("steps", q=self._query, limit=1)

    def steps(self) -> Iterator[_Step]:
        """Follow until the caller stops. After a lost connection it connects again."""
        while True:
            try:
                with self._connect() as socket:
                    yield from self._follow(socket)
            except (ConnectionClosed, WebSocketException, OSError) as error:
                sys.stderr.write(f"ams tail: the connection was lost ({type(error).__name__}); connecting again\n")
                time.sleep(RETRY_SECONDS)
            except PlatformError as error:
                if 400 <= error.status < 500 and error.status != 429:  # noqa: PLR2004  what a repetition does not change
                    raise
                sys.stderr.write(f"ams tail: {error} Trying again.\n")
                time.sleep(RETRY_SECONDS)

    def _connect(self) -> ClientConnection:
        parts = urlsplit(self._platform.endpoint)
        scheme = "wss" if parts.scheme == "https" else "ws"
        return connect(
            f"{scheme}://{parts.netloc}{parts.path}/api/live",
            subprotocols=[SUBPROTOCOL, f"{TICKET_PREFIX}{self._new_ticket()}"],  # type: ignore[list-item]  a NewType of text
            open_timeout=10,
            max_size=16 * 1024 * 1024,
        )

    def _new_ticket(self) -> str:
        body = msgspec.json.encode({"project_id": self._platform.project_id})
        return _ticket.decode(self._platform.request("POST", "/api/live/tickets", content=body).content).ticket

    def _follow(self, socket: ClientConnection) -> Iterator[_Step]:
        socket.send(as_json(Subscribe(id="tail", list=True)))
        sys.stderr.write(f"following {self._platform.endpoint}; Ctrl-C ends\n")
        renewed = time.monotonic()
        yield from self._search("", STARTED_BEFORE_GAP)  # what happened since the start, or while the connection was lost
        while True:
            if time.monotonic() - renewed > RENEW_SECONDS:
                socket.send(as_json(Renew(id="renew", ticket=self._new_ticket())))
                renewed = time.monotonic()
            with contextlib.suppress(TimeoutError):
                self._take(_frames.decode(socket.recv(timeout=LOOK_SECONDS)))
            due = [task_id for task_id, times in self._waiting.items() if times[0] <= time.monotonic()][:TASKS_PER_SEARCH]
            for task_id in due:
                times = self._waiting[task_id]
                del times[0]
                if not times:
                    del self._waiting[task_id]
            if due:
                yield from self._search(f"task:{','.join(due)}")

    def _take(self, messages: list[_Message]) -> None:
        now = time.monotonic()
        for message in messages:
            if message.op == REFUSED:
                raise PlatformError(f"The live connection was refused: {message.code}. {message.detail}")
            if message.op == TASK:
                looks = self._waiting.get(message.task_id)
                first = min(looks[0], now + LOOK_SECONDS) if looks else now + LOOK_SECONDS
                self._waiting[message.task_id] = [first, now + SECOND_LOOK_SECONDS]
                while len(self._waiting) > TASKS_WAITING_MAX:
                    self._waiting.popitem(last=False)
                    sys.stderr.write("ams tail: more tasks change than can be looked at; some steps are left out\n")

    def _search(self, tasks: str, started_before: timedelta = STARTED_BEFORE) -> Iterator[_Step]:
        """The steps of these tasks (empty: of all) that match and have not been printed, in the order of their ends."""
        query = " ".join(part for part in (f"({self._query})" if self._query else "", tasks) if part)
        start = datetime.fromtimestamp((self._began_us if tasks else self._looked_us) / 1e6, UTC) - started_before
        self._looked_us = int(time.time() * 1e6)
        fresh: list[_Step] = []
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = _page.decode(self._platform.get("steps", q=query, limit=STEPS_PER_SEARCH, cursor=cursor, **{"from": start.isoformat()}))
            fresh += [step for step in page.items if step.ended_at_us is not None and step.ended_at_us >= self._began_us]
            cursor = page.next_cursor
            if cursor is None:
                break
        else:
            sys.stderr.write("ams tail: more steps match than can be read; some are left out. Use a narrower query\n")
        for step in sorted(fresh, key=lambda one: one.ended_at_us or 0):
            key = f"{step.task_id}/{step.step_id}"
            if key in self._printed:
                continue
            self._printed[key] = None
            if len(self._printed) > PRINTED_MAX:
                self._printed.popitem(last=False)
            yield step


def _line(step: _Step) -> Text:
    when = datetime.fromtimestamp((step.ended_at_us or 0) / 1e6).astimezone().strftime("%H:%M:%S")
    style = "red" if step.status == "error" else "green" if step.status == "ok" else "yellow"
    text = Text.assemble((when, "dim"), " ", (f"{step.status:<9}", style), " ", (f"{step.type:<9}", "cyan"), " ", (cut(step.name, 60), "b"))
    facts = [duration_text(step.duration_us)]
    if step.model:
        facts.append(step.model)
    if step.usage is not None and (step.usage.input or step.usage.output):
        facts.append(f"{count_text(step.usage.input or 0)}+{count_text(step.usage.output or 0)} tokens")
    if step.cost_usd is not None:
        facts.append(f"${step.cost_usd.rstrip('0').rstrip('.') or '0'}")
    if step.agent:
        facts.append(step.agent)
    text.append(f" {', '.join(facts)}")
    if step.error is not None:
        text.append(f" {cut(': '.join(part for part in (step.error.type, step.error.message) if part), 120)}", "red")
    text.append(f" {step.task_id}", "dim")
    return text
