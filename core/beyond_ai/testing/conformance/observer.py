"""What every observer keeps to."""

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from beyond_ai.spec.observer import Observer, RequestRecord
from beyond_ai.testing.conformance.rule import ComponentConformance
from beyond_ai.testing.conformance.samples import odd_records, request_record

RECORDS: Final = 1_000
CLOSE_SECONDS: Final = 10


class ObserverConformance(ComponentConformance[Observer]):
    """The rules of observers.

    class TestSlow(ObserverConformance):
        plugin = "slow"
    """

    kind = "observer"

    def test_it_takes_records_of_every_sort(self, tmp_path: Path) -> None:
        """Refused requests have no provider, and clients may send anything."""
        asyncio.run(self._observed(tmp_path, [request_record(), *odd_records()]))

    def test_taking_a_record_never_blocks(self, tmp_path: Path) -> None:
        """It is called between two requests: what it takes, every client waits."""
        took = asyncio.run(self._observed(tmp_path, [request_record(str(number)) for number in range(RECORDS)]))
        self.require_at_once(took, "observe", "Observer.observe")

    def test_it_may_be_closed_without_a_record(self, tmp_path: Path) -> None:
        """A gateway that nobody asked anything stops as well."""
        asyncio.run(self._observed(tmp_path, []))

    async def _observed(self, folder: Path, records: Sequence[RequestRecord]) -> list[float]:
        """Start an observer, give it RECORDS, close it; the seconds that each `observe` took."""
        observer = self.make(folder)
        with self.requiring("`start` opens what is needed", "Observer.start"):
            await observer.start()
        took: list[float] = []
        for record in records:
            began = time.perf_counter()
            with self.requiring("`observe` takes every record", "Observer.observe, RequestRecord"):
                observer.observe(record)
            took.append(time.perf_counter() - began)
        with self.requiring(f"`aclose` closes within {CLOSE_SECONDS} seconds", "Observer.aclose"):
            await asyncio.wait_for(observer.aclose(), CLOSE_SECONDS)
        return took
