"""The store: scans the bucket, follows it, resumes after a break, and looks now and then for what left without a word.

What it promises: once the set was read it is never emptied by an error; no update is lost over a break; an entry that
went without a word (expired on a server that writes no markers, history cut, bucket made anew) goes from the set too.
"""

import asyncio
import contextlib
import logging
from pathlib import Path
from typing import Final

from beyond_ai import BeyondError, DenyReason, DenyScope, DenySource, DenyUpdater, NatsSettings
from beyond_ai_plugins.deny.nats.bucket import Bucket, BucketState, LostError, connected, opened
from beyond_ai_plugins.deny.nats.entries import Update, is_removal, parse_key, parse_value
from beyond_ai_plugins.deny.nats.feed import Feed
from beyond_ai_plugins.deny.nats.login import shown
from beyond_ai_plugins.deny.nats.plugin import NatsConfig
from beyond_ai_plugins.deny.nats.snapshot import Stored, update_records
from beyond_ai_plugins.deny.nats.snapshot_file import SnapshotFile

SCAN_WAIT: Final = 30.0
"""Seconds for the next entries of a scan to come."""

CHECK_WAIT: Final = 2.0
"""Seconds for the server to answer a request of `check`, which is given ten in all."""

BATCH: Final = 256
"""Updates that are applied in one go, before requests have their turn."""

_log = logging.getLogger(__name__)


class Backoff:
    """How long to wait before the next attempt: doubles, and begins anew after a watch that lasted."""

    def __init__(self, first: float, most: float) -> None:
        self._first = first
        self._most = most
        self._next = first

    def wait(self, lived: float) -> float:
        """Seconds to wait, after an attempt whose watch lived for LIVED seconds.

        A connection that is made and breaks at once is no reason to hurry: only one that lasted the longest wait is.
        """
        if lived >= self._most:
            self._next = self._first
        seconds = self._next
        self._next = min(self._most, 2 * seconds)
        return seconds


class NatsDenyStore:
    """Keeps the set as the bucket has it."""

    def __init__(self, settings: NatsSettings, snapshot: Path | None, config: NatsConfig) -> None:
        self.connected = False
        self.ready = False
        self._settings = settings
        self._config = config
        self._snapshot = None if snapshot is None else SnapshotFile(snapshot)
        self._updater: DenyUpdater | None = None
        self._cursor = 0
        self._scanned: BucketState | None = None  # as it was just before the last scan
        self._look_at = 0.0
        self._watching_since: float | None = None
        self._told: str | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self, updater: DenyUpdater) -> None:
        """Put in what the snapshot holds, and begin to watch the bucket."""
        self._updater = updater
        if self._snapshot is not None:
            await self._from_snapshot(self._snapshot, updater)
        self._task = asyncio.create_task(self._run(updater), name="deny-set")

    async def aclose(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            self.connected = False
        if self._snapshot is not None:
            await self._snapshot.aclose()
            self._snapshot = None

    async def check(self) -> DenySource:
        """Log in, and open a watch as `start` does, but neither make the bucket nor read it whole."""
        place = f"NATS at {shown(self._settings)}, bucket {self._settings.bucket}"
        async with opened(self._settings, CHECK_WAIT) as bucket:
            if await bucket.config() is None:
                return DenySource(f"{place}: not there yet, the gateway makes it when it starts")
            feed = await Feed.open(bucket, self._config.heartbeat_secs)
            await feed.aclose()
            return DenySource(f"{place}: can be watched", await bucket.server_time())

    async def _from_snapshot(self, snapshot: SnapshotFile, updater: DenyUpdater) -> None:
        contents = await snapshot.load()
        if contents is None:
            return
        found = Found()
        for key, (value, revision) in contents.entries.items():
            found.take(Update(key.decode("utf-8", "replace"), value, revision or 0, 0))
        updater.replace(found.tenants, found.keys)
        _log.info("deny-set: %d entries from the snapshot %s", len(updater), snapshot.path)

    async def _run(self, updater: DenyUpdater) -> None:
        backoff = Backoff(self._config.retry_secs, self._config.retry_max_secs)
        while True:
            self._watching_since = None
            try:
                await self._session(updater)
            except (LostError, BeyondError) as error:
                self._say_lost(str(error), len(updater))
            except Exception:  # noqa: BLE001 - whatever it is, the set stays and is watched again
                _log.exception("deny-set: watching failed in a way that it should not")
            self.connected = False
            await asyncio.sleep(backoff.wait(self._lived()))

    def _lived(self) -> float:
        """Seconds for which the bucket was followed in the last session."""
        since = self._watching_since
        return 0.0 if since is None else asyncio.get_running_loop().time() - since

    async def _session(self, updater: DenyUpdater) -> None:
        """One connection, from its beginning to its end."""
        async with connected(self._settings, self._config.timeout_secs) as connection:
            bucket = Bucket(connection, self._settings.bucket)
            await bucket.require()
            feed = await self._resumed(bucket) or await self._scan(bucket, updater)
            self.connected = True
            self._watching_since = asyncio.get_running_loop().time()
            self._say_connected(len(updater))
            while True:
                feed = await self._follow(bucket, feed, updater)

    async def _resumed(self, bucket: Bucket) -> Feed | None:
        """A feed of what happened since the last one; None when that cannot be known, or nothing was read yet."""
        if self._scanned is None or not (await bucket.state()).resumes(self._scanned, self._cursor):
            return None
        return await Feed.open(bucket, self._config.heartbeat_secs, after=self._cursor)

    async def _scan(self, bucket: Bucket, updater: DenyUpdater) -> Feed:
        """Read the bucket whole and put it in place of the set. Returns the feed of what follows.

        Entries arrive in the order of their revisions, so the last one's, or the bucket's own where it had none, is the
        one to resume after: 0 only in a bucket that was never written to.
        """
        state = await bucket.state()
        feed = await Feed.open(bucket, self._config.heartbeat_secs)
        found = Found(keep=self._snapshot is not None)
        while not feed.complete or feed.waiting:
            for update in await feed.batch(SCAN_WAIT):
                found.take(update)
        updater.replace(found.tenants, found.keys)
        self._cursor = max(state.last, found.revision)
        self._scanned = state
        self._look_at = asyncio.get_running_loop().time() + self._config.rescan_secs
        self.ready = True
        if self._snapshot is not None:
            await self._snapshot.rebuild(found.kept, self._cursor)
        return feed

    async def _follow(self, bucket: Bucket, feed: Feed, updater: DenyUpdater) -> Feed:
        """Take the next updates, and, when it is time, see whether a scan is due. Returns the feed to go on with."""
        seconds = self._look_at - asyncio.get_running_loop().time()
        if seconds > 0:
            updates = await feed.batch(seconds)
            for at in range(0, len(updates), BATCH):
                await self._apply(updates[at : at + BATCH], updater)
                await asyncio.sleep(0)
            return feed
        self._look_at = asyncio.get_running_loop().time() + self._config.rescan_secs
        if await bucket.state() == self._scanned:
            return feed  # nothing came and nothing left
        await feed.aclose()
        return await self._scan(bucket, updater)

    async def _apply(self, updates: list[Update], updater: DenyUpdater) -> None:
        records: list[bytes] = []
        for update in updates:
            self._cursor = update.revision
            target = parse_key(update.key)
            if target is None:
                continue
            if update.value is None or is_removal(update.value):
                updater.remove(*target)
            else:
                updater.put(*target, parse_value(update.value))
            if self._snapshot is not None:
                records.append(update_records(update))
        if self._snapshot is not None and records:
            await self._snapshot.append(b"".join(records))

    def _say_lost(self, reason: str, size: int) -> None:
        """Log the end of a connection, or the first failure to get one; not each further failure."""
        if self.connected or self._told is None:
            kept = f"its {size} entries stay in force" if size else "nobody is refused by it"
            _log.warning(
                "deny-set: no connection to NATS at %s (%s): %s; trying again in the background",
                shown(self._settings),
                reason,
                kept,
            )
        elif reason != self._told:
            _log.debug("deny-set: still no connection to NATS (%s)", reason)
        self._told = reason

    def _say_connected(self, size: int) -> None:
        _log.info("deny-set: %d entries, following NATS at %s", size, shown(self._settings))


class Found:
    """What a scan has found so far. With KEEP, as stored too, for a snapshot."""

    def __init__(self, *, keep: bool = False) -> None:
        self.tenants: dict[int, DenyReason] = {}
        self.keys: dict[int, DenyReason] = {}
        self.kept: dict[bytes, Stored] = {}
        self.revision = 0
        self._keep = keep

    def take(self, update: Update) -> None:
        """Add one entry, or take it away."""
        self.revision = max(self.revision, update.revision)
        target = parse_key(update.key)
        if target is None:
            return
        scope, number = target
        reasons = self.tenants if scope is DenyScope.TENANT else self.keys
        if update.value is None or is_removal(update.value):
            reasons.pop(number, None)
            self.kept.pop(update.key.encode("ascii"), None)
            return
        reasons[number] = parse_value(update.value)
        if self._keep:
            self.kept[update.key.encode("ascii")] = update.value, update.revision
