"""What waits on disk: the sender's side of the spool.

``on-failure``: events that could not be sent are appended to a segment and read back, oldest first, before newer ones are sent.
``always``: the agent's threads append records (``ams.spool.journal``); a segment is deleted when everything in it was settled, and read
back only when the queue had no room for some of it. In both modes the segments of dead processes are taken over when nothing else is to be sent.
"""

import contextlib
import socket
from collections import Counter, deque
from collections.abc import Sequence
from time import monotonic
from weakref import WeakKeyDictionary

import msgspec

from ams.sending.assemble import Encoded
from ams.sending.rebuild import Rebuilder
from ams.settings import SdkSettings
from ams.spool.frames import SpooledEvent, events_of, frame, pack_value, record_of
from ams.spool.journal import Journal
from ams.spool.segments import SEGMENT_BYTES, Content, Folder, Segment, Taken, read, take
from ams.tracing.ids import bits
from ams.version import __version__
from ams_contracts.events import Producer

ADOPT_SECONDS = 30.0  # between two looks for segments of dead processes
SETTLED_BYTES = 256 * 1024  # a journal of this size is replaced as soon as everything in it was settled


def producer_of(instance_id: str) -> bytes:
    """The contract's ``Producer`` in JSON."""
    return msgspec.json.encode(Producer(sdk="ams-python", version=__version__, instance_id=instance_id, host=socket.gethostname()[:256]))


class Replay:
    """The events of one segment, which is deleted when all of them are settled."""

    def __init__(self, segment: Segment | Taken, producer: bytes, events: list[Encoded]) -> None:
        self.segment = segment
        self.producer = producer
        self.events = deque(events)

    def done(self, count: int) -> None:
        """The first events are settled."""
        for _ in range(count):
            self.events.popleft()
        if not self.events:
            self.segment.delete()


class Backlog:
    """All calls but ``journal.write`` are the sender's, or of the thread that has stopped the sender."""

    def __init__(self, settings: SdkSettings, instance_id: str) -> None:
        self._bytes_max = settings.spool_bytes_max
        self._segment_bytes = min(SEGMENT_BYTES, max(4_096, settings.spool_bytes_max // 8))
        self._instance_id = instance_id
        self._producer = producer_of(instance_id)
        self._folder = Folder(settings)
        always = settings.spool == "always"
        self.journal = Journal(self._folder, instance_id, self._producer, sync=settings.spool_fsync) if always else None
        self._current: Segment | None = None
        self._own: deque[Segment] = deque()
        self._counts: dict[Segment, int] = {}
        self._steps: WeakKeyDictionary[Segment, set[int]] = WeakKeyDictionary()
        self._replay: Replay | None = None
        self._adopted: Replay | None = None
        self._rebuilders: dict[str, tuple[Rebuilder, bytes]] = {}
        self._next_look = 0.0
        self._endpoint = settings.endpoint
        self.other_keys = False
        """Also take over what was written under other keys for this endpoint; a person asks for that, who knows that they are one project's."""
        self._ignored: set[str] = set()  # segments that nobody can read now
        self.adopted_events = 0
        self.damaged = 0
        self.lost: Counter[str] = Counter()
        """Events that were dropped from the spool, by task; the sender reports and clears them."""

    @property
    def spooled(self) -> int:
        """Events and records of this process that are on disk only."""
        waiting = sum(self._counts.values()) - (self._counts.get(self._replay.segment, 0) if self._of_own(self._replay) else 0)  # type: ignore[union-attr, arg-type]
        current = self.journal.current.skipped if self.journal is not None and self.journal.current is not None else 0
        return waiting + current + (len(self._replay.events) if self._replay is not None else 0)

    def undelivered_steps(self) -> set[int]:
        """Steps of this process of which at least one event is on disk only. A segment that is being sent counts completely."""
        waiting = [segment for segment in self._steps if not segment.deleted]
        return set[int]().union(*(self._steps[segment] for segment in waiting))

    def _of_own(self, replay: Replay | None) -> bool:
        return replay is not None and isinstance(replay.segment, Segment)

    # -- writing

    def spill(self, events: Sequence[Encoded]) -> int:
        """Write events to disk.

        Returns:
            How many of them, from the first one on, are there.
        """
        for number, event in enumerate(events):
            data = frame(pack_value(SpooledEvent(event.task_id, event.event_id, event.step_id, event.data)))
            segment = self._segment_for(len(data))
            if segment is None or not segment.append(data):
                return number
            self._counts[segment] = self._counts.get(segment, 0) + 1
            if event.step_id:
                self._steps.setdefault(segment, set()).add(event.step_id)
        return len(events)

    def _segment_for(self, size: int) -> Segment | None:
        current = self._current
        if current is not None and not current.full and current.size + size <= self._segment_bytes:
            return current
        self._close_current()
        if self._make_room(size):
            self._current = self._folder.create(self._instance_id, self._producer, journal=False)
        return self._current

    def _close_current(self) -> None:
        if self._current is not None:
            self._own.append(self._current)
            self._current = None

    def _make_room(self, size: int) -> bool:
        """Drop the oldest segments until there is room for another one.

        Returns:
            False when other processes use all of it.
        """
        needed = max(size, self._segment_bytes)
        for path in self._folder.paths():
            if self._folder.size() + needed <= self._bytes_max:
                return True
            own = next((segment for segment in self._own if segment.path == path), None)
            dropped: Segment | Taken | None = own if own is not None else take(path)
            if dropped is None or (self._replay is not None and self._replay.segment is dropped):
                continue  # another process writes to it, or it is being sent
            with contextlib.suppress(OSError):
                self._count_lost(read(path), own.skipped if own is not None else 0)
            if own is not None:
                self._own.remove(own)
                self._counts.pop(own, None)
            dropped.delete()
        return self._folder.size() + needed <= self._bytes_max

    def _count_lost(self, content: Content, skipped: int) -> None:
        """Count what a dropped segment held.

        Args:
            content: Of the segment.
            skipped: Of a journal of this process: the records that the queue refused; the others are in memory.
        """
        if content.header is None:
            return
        if not content.header.journal:
            self.lost.update(event.task_id or "" for event in events_of(content.frames)[0])
            return
        steps = [
            record[1].hex() for record in map(record_of, content.frames) if record and record[0] == "S" and isinstance(record[1], bytes)
        ]
        self.lost.update(steps[-skipped:] if skipped else steps)  # the queue refuses when it is full, so those are rather the last ones

    # -- the journal

    def rotate_journal(self, *, settled: bool) -> Segment | None:
        """Begin a new segment of the journal when the current one is large, damaged, or everything in it was settled.

        Returns:
            The previous one. When everything that was in the queue at this moment is settled, the sender hands it to ``end_journal``.
        """
        journal = self.journal
        if journal is None or journal.closed:
            return None
        current = journal.current
        if current is None:
            if journal.failed and self._make_room(self._segment_bytes):  # the disk or the spool was full
                journal.rotate()
            return None
        large = current.size >= self._segment_bytes or current.full
        if not large and not (settled and (current.skipped or current.size >= SETTLED_BYTES)):
            return None
        return journal.rotate() if self._make_room(self._segment_bytes) else journal.pause()

    def end_journal(self, segment: Segment) -> None:
        """Everything that the queue took while this was the journal's segment is settled."""
        if segment.skipped:
            self._own.append(segment)
            self._counts[segment] = segment.skipped
        else:
            segment.delete()

    # -- reading

    def own(self) -> Replay | None:
        """The oldest events of this process that are on disk only."""
        if self._replay is not None and self._replay.events:
            return self._replay
        if self._replay is not None:
            self._counts.pop(self._replay.segment, None)  # type: ignore[arg-type]  # it is a Segment of this process
            self._replay = None
        if not self._own:
            self._close_current()
        while self._own:
            segment = self._own.popleft()
            replay = self._replay_of(segment)
            if replay is not None:
                self._replay = replay
                return replay
            self._counts.pop(segment, None)
        return None

    def adopted(self, *, at_once: bool = False) -> Replay | None:
        """Events of a dead process.

        Args:
            at_once: Look for further ones now.
        """
        if self._adopted is not None and self._adopted.events:
            return self._adopted
        self._adopted = None
        if monotonic() < self._next_look and not at_once:
            return None
        folders = [self._folder, *(self._folder.siblings() if self.other_keys else [])]
        for taken in (one for folder in folders for one in folder.abandoned()):
            if taken.path.name in self._ignored:
                taken.release()
                continue
            replay = self._replay_of(taken)
            if replay is not None:
                self.adopted_events += len(replay.events)
                self._adopted = replay
                return replay
        self._next_look = monotonic() + ADOPT_SECONDS
        self._rebuilders.clear()
        return None

    def _replay_of(self, segment: Segment | Taken) -> Replay | None:
        """What a segment holds; one that holds nothing is deleted, one that cannot be read now is left alone."""
        try:
            content = read(segment.path)
        except OSError:
            self._ignored.add(segment.path.name)
            segment.release()
            return None
        self.damaged += content.damaged
        header = content.header
        if header is None:
            segment.delete()
            return None
        if header.endpoint != self._endpoint:
            self._ignored.add(segment.path.name)
            segment.release()
            return None
        if header.journal:
            rebuilder, producer = self._rebuilder_of(header.instance_id)
            records = [record_of(one) for one in content.frames]
            events, unreadable = rebuilder.events([record for record in records if record])
            unreadable += sum(not record for record in records)
        else:
            spooled, unreadable = events_of(content.frames)
            producer = header.producer
            events = [Encoded(event.task_id, event.event_id, event.data, event.step_id) for event in spooled]
        self.damaged += unreadable
        if events:
            return Replay(segment, producer, events)
        segment.delete()
        return None

    def _rebuilder_of(self, records_of: str) -> tuple[Rebuilder, bytes]:
        if records_of not in self._rebuilders:
            instance_id = f"{bits(128):032x}"
            self._rebuilders[records_of] = (Rebuilder(instance_id, records_of=records_of), producer_of(instance_id))
        return self._rebuilders[records_of]

    # -- the end

    def close(self, *, settled: bool) -> None:
        """Leave everything that is not settled to the next process.

        Args:
            settled: Everything of the queue was settled, so a journal without skipped frames is not needed any more.
        """
        if self.journal is not None:
            current = self.journal.current
            self.journal.close()
            if current is not None and settled and not current.skipped:
                current.delete()
        self._close_current()
        for segment in (*self._own, *(replay.segment for replay in (self._replay, self._adopted) if replay is not None)):
            segment.release()

    def leave_to_parent(self) -> None:
        """In a forked child: close its copies of the descriptors. The parent's locks stay."""
        self.close(settled=False)
