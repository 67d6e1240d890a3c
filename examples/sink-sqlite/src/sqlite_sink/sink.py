"""The `sqlite` sink: events wait in a bounded queue, and a thread writes them in batches.

Nothing of SQLite's happens in the event loop. A database that is locked or full holds up that thread alone: it tries
the same batch again, the queue fills, and what does not fit any more is dropped and counted. A request id is written
once, however often its event comes.
"""

import asyncio
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from beyond_ai import Component, Context, UsageEvent, UsageSink, hookimpl
from sqlite_sink.table import INSERT, SCHEMA, Row, row

CLOSE_SECONDS: Final = 8.0
"""How long closing writes on; the gateway gives a sink ten seconds."""
RETRY_SECONDS: Final = 0.5

_log = logging.getLogger("beyond_ai.sqlite_sink")


class SqliteSettings(BaseModel):
    """The table `[plugins.sqlite]`."""

    model_config = ConfigDict(extra="forbid")

    path: Path = Field(default=Path("usage.db"), description="the database; made if it is not there")
    flush_ms: int = Field(default=200, ge=0, le=60_000, description="milliseconds that events are gathered")
    batch_events: int = Field(default=1_000, ge=1, description="events of one transaction, at most")
    queue_events: int = Field(default=50_000, ge=1, description="events that may wait; more are dropped")
    busy_ms: int = Field(default=5_000, ge=0, description="milliseconds that another writer is waited for")


class SqliteSink:
    """Writes events to the database at `settings.path`. `count` is told of each that was `dropped` or `failed`."""

    def __init__(self, settings: SqliteSettings, count: Callable[[str, str], None]) -> None:
        self._settings = settings
        self._count = count
        self._queue: queue.Queue[UsageEvent] = queue.Queue(settings.queue_events)
        self._closing = threading.Event()
        self._give_up_at = float("inf")
        self._writer = threading.Thread(target=self._write, name="usage-sqlite", daemon=True)
        self._complained: set[str] = set()

    async def start(self) -> None:
        """Make the table and start the writer. Raises sqlite3.Error for a path that holds no database."""
        await asyncio.to_thread(self._prepare)
        self._writer.start()

    def emit(self, event: UsageEvent) -> None:
        """Queue EVENT, or drop it when the queue is full."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            self._lose(1, "dropped", "the database is too slow: usage events are dropped")

    async def aclose(self) -> None:
        """Write what is queued, for at most `CLOSE_SECONDS`."""
        self._give_up_at = time.monotonic() + CLOSE_SECONDS
        self._closing.set()
        if self._writer.is_alive():
            await asyncio.to_thread(self._writer.join)

    def _prepare(self) -> None:
        with closing(self._connect()) as database:
            database.execute("PRAGMA journal_mode = WAL")
            database.executescript(SCHEMA)

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._settings.path, timeout=self._settings.busy_ms / 1000, isolation_level=None)
        database.execute("PRAGMA synchronous = NORMAL")  # in WAL mode safe against all but a power cut's last moments
        return database

    def _write(self) -> None:
        with closing(self._connect()) as database:
            for batch in self._batches():
                self._insert(database, list(self._rows(batch)))

    def _rows(self, batch: list[UsageEvent]) -> Iterator[Row]:
        for event in batch:
            try:
                yield row(event)
            except Exception as error:  # noqa: BLE001 - one that is odd must not cost the others
                self._lose(1, "failed", f"a usage event is none: {type(error).__name__}: {error}")

    def _batches(self) -> Iterator[list[UsageEvent]]:
        """Batches as they come, until the sink closes and nothing is queued."""
        while True:
            try:
                batch = [self._queue.get(timeout=0.1)]
            except queue.Empty:
                if self._closing.is_set():
                    return
                continue
            self._closing.wait(self._settings.flush_ms / 1000)
            while len(batch) < self._settings.batch_events and not self._queue.empty():
                batch.append(self._queue.get())
            yield batch

    def _insert(self, database: sqlite3.Connection, rows: list[Row]) -> None:
        """Write ROWS in one transaction, however long it takes; those that cannot be written by the end are failed."""
        while True:
            try:
                _insert_all(database, rows)
                return
            except sqlite3.OperationalError as error:  # locked, full, read-only: it may pass
                if time.monotonic() + RETRY_SECONDS > self._give_up_at:
                    self._lose(len(rows), "failed", f"usage events cannot be written: {error}")
                    return
                self._complain("retried", f"{self._settings.path}: {error}; trying again")
                time.sleep(RETRY_SECONDS)
            except Exception as error:  # noqa: BLE001 - a value that SQLite does not take
                if len(rows) == 1:
                    self._lose(1, "failed", f"a usage event cannot be written: {type(error).__name__}: {error}")
                    return
                for single in rows:
                    self._insert(database, [single])
                return

    def _lose(self, events: int, label: str, message: str) -> None:
        for _ in range(events):
            self._count("sqlite", label)
        self._complain(label, message)

    def _complain(self, label: str, message: str) -> None:
        if label not in self._complained:
            self._complained.add(label)
            _log.error("%s (said once; ai_plugin_events_total counts what is lost)", message)


def _insert_all(database: sqlite3.Connection, rows: list[Row]) -> None:
    try:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(INSERT, rows)
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _create(context: Context) -> SqliteSink:
    return SqliteSink(context.settings(SqliteSettings), context.count)


@hookimpl
def beyond_usage_sinks() -> Iterator[Component[UsageSink]]:
    """Offer SQLite."""
    yield Component(name="sqlite", summary="rows in a SQLite database", create=_create, config=SqliteSettings)
