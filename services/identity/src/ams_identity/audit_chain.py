"""The hash chain of the audit log: extended by a background task about a second after an entry was committed, and verified on request.

Each project has a chain of its own. A hash covers the one before it and the entry; an address is covered by its MAC, so erasing it breaks nothing. Before the first entry of a month
the end of the chain is written as a checkpoint under a MAC with a key of the root secret: someone who can write the tables, but does not have the key, cannot rewrite an earlier month. Expired
months are verified from the checkpoint that follows them.
"""

import hashlib
import hmac
from collections import defaultdict
from datetime import date, datetime, timedelta

import asyncpg
import msgspec
from msgspec import Struct

from ams_identity.root_secret import RootSecret
from ams_identity.store import audit
from ams_identity.store.audit import NO_PROJECT, Checkpoint, Entry, Link

BATCH_MAX = 1_000
VERIFIED_BATCH = 5_000
LATE_IDS = 10_000  # a transaction that commits late has a smaller id than entries that are in the chain already
EVERY_SECONDS = 1.0
AUDIT_PURPOSE = "audit"
PROJECTS_PAGE = 500


class ChainFault(Struct, frozen=True, kw_only=True):
    """The first fault of a project's chain. ``project_id``: the nil UUID for entries of no project."""

    project_id: str
    seq: int
    reason: str


class ChainReport(Struct, frozen=True, kw_only=True):
    """What a verification found."""

    projects: int
    entries: int
    faults: list[ChainFault]


def entry_hash(previous: bytes, seq: int, entry: Entry) -> bytes:
    """SHA-256 of the previous hash and the entry as a JSON array, so that an exported log can be verified elsewhere."""
    at_us = (entry.at - datetime(1970, 1, 1, tzinfo=entry.at.tzinfo)) // timedelta(microseconds=1)
    mac = entry.address_mac.hex() if entry.address_mac is not None else None
    fields = [seq, entry.audit_id, at_us, entry.action, entry.outcome, entry.user_id, entry.project_id, entry.subject, mac]
    return hashlib.sha256(previous + msgspec.json.encode(fields)).digest()


def address_mac(key: bytes, salt: bytes, address: str) -> bytes:
    """Proves an address that is known; reveals none."""
    return hmac.new(key, salt + address.encode(), hashlib.sha256).digest()


def checkpoint_mac(key: bytes, project_id: str, month: date, seq: int, chain_hash: bytes) -> bytes:
    """The MAC of a checkpoint."""
    return hmac.new(key, f"{project_id} {month.isoformat()} {seq} {chain_hash.hex()}".encode(), hashlib.sha256).digest()


class AuditChain:
    """Extends and verifies the chains of all projects."""

    def __init__(self, pool: asyncpg.Pool, root: RootSecret) -> None:
        self._pool = pool
        self._root = root
        self._after = 0

    @property
    def _key(self) -> bytes:
        return self._root.key(AUDIT_PURPOSE)

    async def extend(self) -> None:
        """Add every committed entry to the chain of its project."""
        while await self._extend_once() == BATCH_MAX:
            pass

    async def _extend_once(self) -> int:
        async with self._pool.acquire() as connection, connection.transaction():
            if not await audit.lock(connection):
                return 0
            entries = await audit.unchained(connection, self._after, BATCH_MAX)
            if not entries:
                self._after = max(0, await audit.newest_chained(connection) - LATE_IDS)
                return 0
            by_project: defaultdict[str, list[Entry]] = defaultdict(list)
            for entry in entries:
                by_project[entry.project_id or NO_PROJECT].append(entry)
            places: list[tuple[str, int, int, bytes]] = []
            for project_id, head in (await audit.heads(connection, list(by_project))).items():
                seq, chain_hash, last_at = head
                for entry in by_project[project_id]:
                    month = entry.at.date().replace(day=1)
                    if last_at is None or last_at.date().replace(day=1) < month:
                        mac = checkpoint_mac(self._key, project_id, month, seq, chain_hash)
                        await audit.add_checkpoint(
                            connection, Checkpoint(project_id=project_id, month=month, seq=seq, hash=chain_hash, mac=mac)
                        )
                        last_at = entry.at
                    seq, chain_hash = seq + 1, entry_hash(chain_hash, seq + 1, entry)
                    places.append((project_id, seq, entry.audit_id, chain_hash))
            await audit.extend(connection, places)
            return len(entries)

    async def verify(self) -> ChainReport:
        """Verify every chain. Returns the first fault of each."""
        faults: list[ChainFault] = []
        projects = entries = 0
        after: str | None = None
        while page := await audit.projects_with_chains(self._pool, after, PROJECTS_PAGE):
            for project_id in page:
                count, fault = await self._verify_project(project_id)
                entries += count
                faults += [fault] if fault is not None else []
            projects += len(page)
            after = page[-1]
        return ChainReport(projects=projects, entries=entries, faults=faults)

    async def _verify_project(self, project_id: str) -> tuple[int, ChainFault | None]:
        checkpoints = {item.seq: item for item in await audit.checkpoints(self._pool, project_id)}
        for item in checkpoints.values():
            if not hmac.compare_digest(item.mac, checkpoint_mac(self._key, project_id, item.month, item.seq, item.hash)):
                return 0, ChainFault(project_id=project_id, seq=item.seq, reason=f"The checkpoint of {item.month:%Y-%m} is not genuine.")
        page = await audit.links(self._pool, project_id, -1, VERIFIED_BATCH)
        seq = page[0].seq - 1 if page else max(checkpoints, default=0)
        if seq not in checkpoints:
            return 0, ChainFault(project_id=project_id, seq=seq + 1, reason="Entries before this one are missing.")
        count, chain_hash = 0, checkpoints[seq].hash
        while page:
            for link in page:
                reason = self._fault(seq, chain_hash, link, checkpoints.get(seq))
                if reason is not None:
                    return count, ChainFault(project_id=project_id, seq=seq + 1, reason=reason)
                seq, chain_hash, count = link.seq, link.hash, count + 1
            page = await audit.links(self._pool, project_id, seq, VERIFIED_BATCH)
        if max(checkpoints, default=0) > seq:
            return count, ChainFault(project_id=project_id, seq=seq + 1, reason="Entries after this place are missing.")
        return count, None

    def _fault(self, seq: int, chain_hash: bytes, link: Link, checkpoint: Checkpoint | None) -> str | None:
        if checkpoint is not None and not hmac.compare_digest(checkpoint.hash, chain_hash):
            return "The chain was rewritten before this place: a checkpoint has another hash."
        if link.seq != seq + 1:
            return "An entry is missing."
        if not hmac.compare_digest(link.hash, entry_hash(chain_hash, link.seq, link.entry)):
            return "The entry, or one before it, was changed."
        if (
            link.address is not None
            and link.entry.address_mac is not None
            and not hmac.compare_digest(link.entry.address_mac, address_mac(self._key, link.salt or b"", link.address))
        ):
            return "The address of the entry was changed."
        return None
