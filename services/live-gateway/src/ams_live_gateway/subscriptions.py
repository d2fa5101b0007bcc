"""Subscriptions, and how each gets every record of its task once: from the log, from the ring, then live.

A subscription stores ``next_offset``: it was sent everything before it. A live subscription is in ``_followers`` and receives shared messages.
One that cannot be live (it starts far back, or its socket does not keep up) is removed from ``_followers``, catches up at its own pace, and is
added again. There is no await between the last read of the ring and that addition, so no record is skipped.
"""

import asyncio
import re
import time
from collections import defaultdict
from collections.abc import Iterable

import structlog

from ams_contracts.frames import Reset, Stale, Subscribed
from ams_contracts.positions import Position
from ams_contracts.topics import Topic, task_key
from ams_kit.background import Background, BackgroundTask
from ams_kit.bus import BacklogDeletedError, BacklogReader, LogRecord, LogUnavailableError, Tail, partition_of
from ams_kit.telemetry.metrics import LIVE_FRAMES
from ams_live_gateway.encoding import MESSAGE_BYTES_MAX, encode_task_frame, frames_to_messages, position_text, task_sub
from ams_live_gateway.ring import Entry, Ring
from ams_live_gateway.shared_frames import View, view_of
from ams_live_gateway.sockets import SLOW_SECONDS_MAX, Socket

BATCH_SECONDS = 0.05
RECENT_SECONDS = 15.0  # changes of the list between a client's fetch and its subscription
RECENT_TASKS_MAX = 500
RETRY_SECONDS = 1.0
CHUNK_BYTES_MIN = 16 * 1024
SLOW_CHUNK_SECONDS = 1.0
FAST_CHUNK_SECONDS = 0.1
LATE_TASKS_MAX = 500  # pending changes of the list for one slow socket, one per task
LIST = "list"
_TASK_KEY = re.compile(rb"^[^:]+:[0-9a-f]{32}$")

logger = structlog.get_logger(__name__)


class BadCursorError(Exception):
    """The position does not belong to this task in this log."""


class Subscription:
    """A subscription of one socket to one task. Everything before ``next_offset`` was sent, or is older than requested."""

    def __init__(self, socket: Socket, sub: str, key: bytes, partition: int, next_offset: int) -> None:
        self.socket = socket
        self.sub = sub
        self.key = key
        self.partition = partition
        self.next_offset = next_offset
        self.prev: int | None = None
        self.task: BackgroundTask | None = None
        self.chunk_bytes = MESSAGE_BYTES_MAX
        self.behind_since: float | None = None
        self.view = view_of(socket.grant.share)

    def adapt_chunk(self, seconds: float) -> None:
        """Adapt the size of the next chunk to the time that the client took for the last one."""
        if seconds > SLOW_CHUNK_SECONDS:
            self.chunk_bytes = max(CHUNK_BYTES_MIN, self.chunk_bytes // 2)
        elif seconds < FAST_CHUNK_SECONDS:
            self.chunk_bytes = min(MESSAGE_BYTES_MAX, self.chunk_bytes * 2)


class Hub:
    """All subscriptions of the process."""

    def __init__(
        self,
        ring: Ring,
        tail: Tail,
        backlog: BacklogReader,
        background: Background,
        *,
        steps: Topic,
        tasks: Topic,
        catch_up_records_max: int,
    ) -> None:
        self._ring = ring
        self._tail = tail
        self._backlog = backlog
        self._background = background
        self._steps = steps
        self._tasks = tasks
        self._catch_up_records_max = catch_up_records_max
        self._followers: defaultdict[bytes, set[Subscription]] = defaultdict(set)
        self._lists: defaultdict[str, set[Socket]] = defaultdict(set)
        self._late_lists: dict[Socket, tuple[float, dict[str, bytes]]] = {}
        self._recent: defaultdict[str, dict[str, tuple[float, bytes]]] = defaultdict(dict)
        self._pending: dict[bytes, list[Entry]] = {}
        self._pending_lists: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
        self._flush_handle: asyncio.Handle | None = None
        self._flushed_at = 0.0
        self.sockets: set[Socket] = set()

    # -- from the log ----------------------------------------------------------------------------------------------

    def on_records(self, records: list[LogRecord]) -> None:
        """Receive records of one partition from the tail."""
        if records[0].topic == self._tasks.name:
            self._on_task_records(records)
        else:
            for record in records:
                key = record.key
                if key is None or record.value is None or not _TASK_KEY.match(key):
                    continue  # agents, and records that other producers wrote
                entry = self._ring.add(record.partition, record.offset, key, record.value, record.timestamp_ms)
                if key in self._followers:
                    self._pending.setdefault(key, []).append(entry)
            self._ring.expire(int(time.time() * 1000))
        if (self._pending or self._pending_lists) and self._flush_handle is None:
            self._flush_soon()

    def on_reset(self, topic: str, partition: int, offset: int) -> None:
        """The tail starts a partition, or restarts it after the topic was recreated, which invalidates older positions."""
        if topic != self._steps.name:
            return
        self._ring.reset(partition, offset)
        for subscription in [
            subscription for followers in self._followers.values() for subscription in followers if subscription.partition == partition
        ]:
            self._reset(subscription)

    def on_connectivity(self, caught_up: bool) -> None:
        """The log became unavailable or available again. Sockets stay open and notify their clients."""
        for socket in list(self.sockets):
            socket.send(Stale(stale=not caught_up))

    def _flush_soon(self) -> None:
        """Send immediately when idle, so that a single record does not wait, and at most every 50 ms under load."""
        loop = asyncio.get_running_loop()
        wait = self._flushed_at + BATCH_SECONDS - loop.time()
        self._flush_handle = loop.call_later(wait, self._flush) if wait > 0 else loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_handle = None
        self._flushed_at = asyncio.get_running_loop().time()
        pending, self._pending = self._pending, {}
        for key, entries in pending.items():
            self._flush_task(key, entries)
        lists, self._pending_lists = self._pending_lists, defaultdict(dict)
        for project_id, frames in lists.items():
            self._flush_list(project_id, frames)

    def _flush_task(self, key: bytes, entries: list[Entry]) -> None:
        followers = self._followers.get(key)
        if not followers:
            return
        shared: dict[View, list[tuple[bytes, int]]] = {}
        first, after = entries[0].offset, entries[-1].offset + 1
        sent = 0
        for subscription in list(followers):
            view = subscription.view
            if view not in shared:
                shared[view] = list(frames_to_messages(map(view, entries)))
            messages = shared[view]
            if subscription.next_offset > first:  # while these records were buffered, the subscription caught up to an offset among them
                messages = list(frames_to_messages(view(entry) for entry in entries if entry.offset >= subscription.next_offset))
            if not subscription.socket.has_room(len(messages), sum(len(message) for message, _ in messages)):
                self._remove_follower(subscription)
                subscription.behind_since = time.monotonic()
                self._start_catch_up_loop(subscription)  # it catches up once the client has accepted the queue
                continue
            for message, frames in messages:
                subscription.socket.write(message)
                sent += frames
            subscription.next_offset = max(subscription.next_offset, after)
        LIVE_FRAMES.labels("task").inc(sent)

    # -- a task ----------------------------------------------------------------------------------------------------

    async def follow(self, socket: Socket, request_id: str, task_id: str, after: str | None) -> None:
        """Subscribe a socket to a task. Idempotent. The socket receives ``Subscribed`` before any frame.

        Args:
            socket: The subscriber.
            request_id: The id that the response repeats.
            task_id: A task that does not exist yet, or belongs to another project, sends no frames.
            after: A position as text; ``None`` means now.

        Raises:
            BadCursorError: ``after`` is not a position of this task's partition, or is beyond the end of the log.
        """
        key = task_key(socket.grant.project_id, task_id)
        partition = partition_of(key, self._tail.partitions(self._steps.name))
        offset = self._tail.next_offset(self._steps.name, partition) if after is None else await self._offset_of(after, partition)
        sub = task_sub(task_id)
        known = socket.subs.get(sub)
        if isinstance(known, Subscription):
            socket.send(Subscribed(id=request_id, sub=sub, position=position_text(partition, known.next_offset)))
            return
        if not socket.writer.is_open:  # the socket closed while the end of the log was requested
            return
        subscription = Subscription(socket, sub, key, partition, offset)
        socket.subs[sub] = subscription
        socket.send(Subscribed(id=request_id, sub=sub, position=position_text(partition, offset)))
        self._catch_up(subscription)

    async def _offset_of(self, after: str, partition: int) -> int:
        try:
            position = Position.parse(after)
        except ValueError as error:
            raise BadCursorError from error
        if position.version != self._steps.version or position.partition != partition:
            raise BadCursorError
        if position.offset > self._tail.next_offset(self._steps.name, partition):
            try:
                if position.offset > await self._tail.end_offset(self._steps.name, partition):
                    raise BadCursorError
            except LogUnavailableError:
                pass  # the check is not possible while the log is unavailable; records before the position are skipped
        return position.offset

    def unfollow(self, socket: Socket, sub: str) -> None:
        """End a subscription. Idempotent."""
        if sub == LIST:
            self._unfollow_list(socket)
        subscription = socket.subs.pop(sub, None)
        if isinstance(subscription, Subscription):
            self._remove_follower(subscription)
            if subscription.task is not None:
                subscription.task.cancel()

    def remove_socket(self, socket: Socket) -> None:
        """Remove a closed socket and its subscriptions."""
        for sub in list(socket.subs):
            self.unfollow(socket, sub)
        self.sockets.discard(socket)

    def _remove_follower(self, subscription: Subscription) -> None:
        followers = self._followers.get(subscription.key)
        if followers is not None:
            followers.discard(subscription)
            if not followers:
                del self._followers[subscription.key]

    def _reset(self, subscription: Subscription) -> None:
        """End a subscription whose records are no longer available: the client fetches the task again and subscribes after that position."""
        end = self._tail.next_offset(self._steps.name, subscription.partition)
        subscription.socket.send(Reset(sub=subscription.sub, position=position_text(subscription.partition, end)))
        self.unfollow(subscription.socket, subscription.sub)

    def _catch_up(self, subscription: Subscription) -> None:
        """Continue at ``next_offset``: directly when the ring has all records and they are few, else chunk by chunk."""
        if not self._join_from_ring(subscription):
            self._start_catch_up_loop(subscription)

    def _start_catch_up_loop(self, subscription: Subscription) -> None:
        subscription.task = self._background.spawn(
            "live-catch-up",
            lambda: self._catch_up_loop(subscription),
            on_failure=lambda _: self._reset(subscription),  # the client fetches its task again and subscribes after that position
            may_end=True,
        )

    async def _catch_up_loop(self, subscription: Subscription) -> None:
        while await self._wait_drained(subscription):
            start = self._ring.start(subscription.partition)
            if start is None:  # the tail has not reached this partition yet
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._ring.covers(subscription.partition, subscription.next_offset):
                if self._join_from_ring(subscription):
                    return
                continue
            if start - subscription.next_offset > self._catch_up_records_max:
                subscription.task = None
                self._reset(subscription)
                return
            try:
                chunk = await self._backlog.read(subscription.partition, subscription.key, subscription.next_offset, start)
            except BacklogDeletedError:
                subscription.task = None
                self._reset(subscription)
                return
            except LogUnavailableError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            self._send_entries(subscription, [_entry(record) for record in chunk.records if record.value is not None])
            subscription.next_offset = max(subscription.next_offset, chunk.next_offset)

    async def _wait_drained(self, subscription: Subscription) -> bool:
        started_at = time.monotonic()
        until = None if subscription.behind_since is None else subscription.behind_since + SLOW_SECONDS_MAX
        is_open = await subscription.socket.wait_drained(until)
        subscription.adapt_chunk(time.monotonic() - started_at)
        return is_open

    def _join_from_ring(self, subscription: Subscription) -> bool:
        """Send records of the ring, at most one chunk. True when none are left: the subscription is then live."""
        if not self._ring.covers(subscription.partition, subscription.next_offset):
            return False
        entries = self._ring.since(subscription.key, subscription.next_offset)
        size = 0
        for count, entry in enumerate(entries):
            size += entry.size
            if size > subscription.chunk_bytes and count:
                self._send_entries(subscription, entries[:count])
                return False
        self._send_entries(subscription, entries)
        self._followers[subscription.key].add(subscription)
        subscription.task = subscription.behind_since = None
        return True

    def _send_entries(self, subscription: Subscription, entries: list[Entry]) -> None:
        for entry in entries:
            if entry.prev is None and entry.frame is None:
                entry.prev = subscription.prev
            subscription.prev = entry.offset + 1
        sent = 0
        for message, frames in frames_to_messages(map(subscription.view, entries)):
            subscription.socket.write(message)
            sent += frames
        if entries:
            subscription.next_offset = max(subscription.next_offset, entries[-1].offset + 1)
            LIVE_FRAMES.labels("replay").inc(sent)

    # -- the list --------------------------------------------------------------------------------------------------

    def follow_list(self, socket: Socket, request_id: str) -> None:
        """Subscribe a socket to its project's tasks. It receives the changes of the last seconds first."""
        project_id = socket.grant.project_id
        socket.send(Subscribed(id=request_id, sub=LIST))
        if LIST in socket.subs:
            return
        socket.subs[LIST] = LIST
        self._lists[project_id].add(socket)
        since = time.monotonic() - RECENT_SECONDS
        for message, _ in frames_to_messages(frame for at, frame in self._recent.get(project_id, {}).values() if at >= since):
            socket.write(message)

    def _unfollow_list(self, socket: Socket) -> None:
        self._late_lists.pop(socket, None)
        project_id = socket.grant.project_id
        sockets = self._lists.get(project_id)
        if sockets is not None:
            sockets.discard(socket)
            if not sockets:
                del self._lists[project_id]

    def _on_task_records(self, records: Iterable[LogRecord]) -> None:
        now = time.monotonic()
        for record in records:
            if record.key is None or not _TASK_KEY.match(record.key):
                continue
            project_id, _, task_id = record.key.decode("latin-1").partition(":")
            frame = encode_task_frame(task_id, record.value)
            recent = self._recent[project_id]
            recent.pop(task_id, None)
            recent[task_id] = (now, frame)
            while len(recent) > RECENT_TASKS_MAX or next(iter(recent.values()))[0] < now - RECENT_SECONDS:
                del recent[next(iter(recent))]
            if project_id in self._lists:
                self._pending_lists[project_id][task_id] = frame

    def expire_recent_changes(self) -> None:
        """Drop changes that are too old for a new subscription."""
        since = time.monotonic() - RECENT_SECONDS
        for project_id in [project_id for project_id, recent in self._recent.items() if not any(at >= since for at, _ in recent.values())]:
            del self._recent[project_id]

    def _flush_list(self, project_id: str, frames: dict[str, bytes]) -> None:
        messages = list(frames_to_messages(frames.values()))
        size = sum(len(message) for message, _ in messages)
        for socket in list(self._lists.get(project_id, ())):
            if socket in self._late_lists or not socket.has_room(len(messages), size):
                self._add_late(socket, frames)
                continue
            for message, count in messages:
                socket.write(message)
                LIVE_FRAMES.labels("list").inc(count)

    def _add_late(self, socket: Socket, frames: dict[str, bytes]) -> None:
        """Keep the newest change of each task for a socket whose queue is full, until it has room."""
        _, late = self._late_lists.setdefault(socket, (time.monotonic(), {}))
        late.update(frames)
        if len(late) > LATE_TASKS_MAX:
            socket.close_slow()

    def flush_late_lists(self, at: float) -> None:
        """Send pending changes to slow sockets that have room again, and close those that make no progress.

        Args:
            at: Monotonic seconds.
        """
        for socket, (since, late) in list(self._late_lists.items()):
            if socket.is_drained:
                del self._late_lists[socket]
                for message, count in frames_to_messages(late.values()):
                    socket.write(message)
                    LIVE_FRAMES.labels("list").inc(count)
            elif socket.is_stalled(at) or at - since > SLOW_SECONDS_MAX:
                socket.close_slow()


def _entry(record: LogRecord) -> Entry:
    return Entry(record.partition, record.offset, record.key or b"", None, record.value, len(record.value or b""), record.timestamp_ms)
