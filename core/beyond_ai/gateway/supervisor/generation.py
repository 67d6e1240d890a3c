"""The workers of one configuration, and the memory that they share. A reload makes another generation."""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from beyond_ai.config import Settings
from beyond_ai.errors import BeyondError
from beyond_ai.gateway import metric_cells
from beyond_ai.gateway.breaker import carry_over
from beyond_ai.gateway.metric_cells import Key, Sum
from beyond_ai.gateway.sections import release, sections
from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.supervisor.backoff import Backoff
from beyond_ai.gateway.supervisor.messages import Leave, Ready, Start
from beyond_ai.gateway.supervisor.process import WorkerProcess, how_ended
from beyond_ai.gateway.supervisor.totals import Totals

_log = logging.getLogger(__name__)

START_SECONDS: Final = 60.0
"""How long all workers may take to their first readiness."""
RETIRE_SECONDS: Final = 5.0
"""How long to wait for workers to say that they accept no more; one that stands still does not say so."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """What a generation runs on: the settings, and the values that they were made of, from which workers make them."""

    settings: Settings
    values: Mapping[str, object]
    workers: int


class Generation:
    """The workers of CONFIGURATION, which accept at LISTENER. Breakers begin as they stand in BEFORE."""

    def __init__(
        self, configuration: Configuration, listener: socket.socket, totals: Totals, before: "Generation | None" = None
    ) -> None:
        self.configuration = configuration
        self.ready: Ready | None = None
        """what the worker that was ready last said"""
        self.rows: SharedRows | None = None
        self.providers: tuple[str, ...] = ()
        self._names: list[Key] = []
        self._listener = listener
        self._totals = totals
        self._before = before
        self._workers: dict[int, WorkerProcess] = {}
        self._left = asyncio.Event()
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def workers(self) -> Sequence[WorkerProcess]:
        """The processes that there are, serving or not."""
        return list(self._workers.values())

    @property
    def serving(self) -> Sequence[WorkerProcess]:
        """Those that serve."""
        return [worker for worker in self._workers.values() if worker.serving]

    async def start(self) -> None:
        """Return when all workers serve. Raises BeyondError, with none left, when one does not."""
        try:
            first = []
            for row in range(self.configuration.workers):
                first.append(self._spawn(row))
                self._keepers.append(asyncio.create_task(self._keep(first[-1])))
            async with asyncio.timeout(START_SECONDS):
                await asyncio.gather(*(asyncio.shield(worker.ready) for worker in first))
        except TimeoutError:
            await self.kill()
            raise BeyondError(f"the workers did not serve within {START_SECONDS:g} s") from None
        except OSError as error:
            await self.kill()
            raise BeyondError(f"the workers could not be started: {error.strerror}") from None
        except BaseException:
            await self.kill()
            raise
        self._before = None

    def leave(self, how: Leave) -> None:
        """Have all workers leave, and start none again."""
        self._left.set()
        for worker in self._workers.values():
            worker.leave(how)

    async def retire(self) -> None:
        """Return when new connections reach no worker of these any more; they leave when what they have has ended."""
        self.leave(Leave("retire"))
        async with asyncio.timeout(RETIRE_SECONDS):
            await asyncio.gather(*(worker.retired() for worker in self.workers))

    async def ended(self) -> None:
        """Return when no worker is left. Only after `leave`, and alone."""
        await asyncio.gather(*self._keepers)
        if self.rows is not None:
            self.rows.close()
            self.rows = None

    async def kill(self) -> None:
        """End all workers at once."""
        self._left.set()
        for worker in self._workers.values():
            worker.kill()
        await self.ended()

    async def publish(self) -> None:
        """Return when all workers have published what they counted."""
        await asyncio.gather(*(worker.publish() for worker in self.serving))

    def add_to(self, total: Sum) -> None:
        """Add what the live workers counted to TOTAL."""
        for worker in self._workers.values():
            total.add(self._names, self._row(worker.row))

    def connected(self) -> bool:
        """Whether every worker that serves follows the source of the deny-set, and there is one."""
        place = self._names.index(("connected",)) if self._names else 0
        return bool(self.serving) and all(self._row(worker.row)[place] for worker in self.serving)

    def reap(self) -> None:
        """Notice which workers have ended."""
        for worker in self._workers.values():
            worker.reap()

    def _row(self, row: int) -> Sequence[float]:
        return () if self.rows is None else self.rows.doubles(metric_cells.SECTION)[row].tolist()

    def _spawn(self, row: int) -> WorkerProcess:
        start = Start(self.configuration.values, first=row == 0 and self.ready is None)
        worker = self._workers[row] = WorkerProcess(
            start, row, self._listener, self._rows_for, alone=self.configuration.workers == 1
        )
        return worker

    def _rows_for(self, providers: Sequence[str]) -> SharedRows:
        """The shared memory; the first worker that knows the PROVIDERS is waited for to make it."""
        if self.rows is None:
            self.providers = tuple(providers)
            self._names = metric_cells.keys(providers)
            self.rows = SharedRows.create(self.configuration.workers, sections(providers))
            if self._before is not None and self._before.rows is not None:
                carry_over(self._before.rows, self._before.providers, self.rows, providers)
        elif tuple(providers) != self.providers:
            raise BeyondError("other providers are installed now than its siblings have: reload with SIGHUP")
        return self.rows

    async def _keep(self, worker: WorkerProcess) -> None:
        """Start a worker again whenever it has ended, until all leave."""
        backoff = Backoff()
        while True:
            self._watch(worker)
            code = await worker.ended
            await worker.last_words()
            self._bury(worker)
            if self._left.is_set():
                return
            row, text = worker.row, how_ended(code)
            delay = backoff.after(time.monotonic() - worker.started)
            _log.error("worker %d (process %d) ended, %s; another one follows in %g s", row, worker.pid, text, delay)
            fresh = await self._respawn(row, delay, backoff)
            if fresh is None:
                return
            worker = fresh

    async def _respawn(self, row: int, delay: float, backoff: Backoff) -> WorkerProcess | None:
        """A new worker in ROW after DELAY seconds, and more if the system has no room for it; None when all leave."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await self._left.wait()
            if self._left.is_set():
                return None
            self._totals.restarts += 1
            try:
                return self._spawn(row)
            except OSError as error:
                delay = backoff.after(0.0)
                _log.error("worker %d could not be started: %s; again in %g s", row, error.strerror, delay)

    def _watch(self, worker: WorkerProcess) -> None:
        def served(ready: "asyncio.Future[Ready]") -> None:
            error = ready.exception()
            if error is None:
                self.ready = ready.result()
            elif isinstance(error, BeyondError) and self.ready is not None:
                for text in error.message.splitlines():
                    _log.error("worker %d could not start: %s", worker.row, text)

        worker.ready.add_done_callback(served)

    def _bury(self, worker: WorkerProcess) -> None:
        """Keep what a dead WORKER counted, and give back what it held."""
        del self._workers[worker.row]
        if self.rows is not None:
            self._totals.bury(self._names, self._row(worker.row), worker.events)
            release(self.rows, worker.row)
