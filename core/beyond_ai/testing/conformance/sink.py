"""What every usage sink keeps to: it stands in the event loop's way for no longer than an append."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from beyond_ai.spec.sink import UsageSink
from beyond_ai.testing.conformance.rule import ComponentConformance
from beyond_ai.testing.conformance.samples import odd_events, usage_event

EVENTS: Final = 1_000
CLOSE_SECONDS: Final = 10


class SinkConformance(ComponentConformance[UsageSink]):
    """The rules of usage sinks.

    class TestLedger(SinkConformance):
        plugin = "ledger"

        def settings(self, folder):
            return {"path": str(folder / "ledger.txt")}

        def received(self, folder):
            return [line.split()[0] for line in (folder / "ledger.txt").read_text().splitlines()]
    """

    kind = "sink"

    def received(self, folder: Path) -> Sequence[str]:
        """The request ids of the events that have arrived where the sink of FOLDER writes to, in order."""
        raise NotImplementedError("say what has arrived where the sink writes to: override `received`")

    def test_closing_writes_out_what_is_held(self, tmp_path: Path) -> None:
        """Every event arrives, once and in order."""
        asyncio.run(self._emitted(tmp_path, [usage_event(str(number)) for number in range(100)]))
        expected, arrived = [str(number) for number in range(100)], list(self.received(tmp_path))
        self.require(
            arrived == expected,
            "when `aclose` returns every event has arrived, once and in order",
            "UsageSink.aclose",
            f"{len(arrived)} of 100 arrived: {arrived[:10]}",
        )

    def test_taking_an_event_never_blocks(self, tmp_path: Path) -> None:
        """It is called between two requests: what it takes, every client waits."""
        took = asyncio.run(self._emitted(tmp_path, [usage_event(str(number)) for number in range(EVENTS)]))
        self.require_at_once(took, "emit", "UsageSink.emit")

    def test_an_odd_event_spoils_no_other(self, tmp_path: Path) -> None:
        """A client may call a model anything; what `emit` raises is counted, and the next event must arrive."""
        events = [usage_event("before")]
        for number, odd in enumerate(odd_events()):
            events += [odd, usage_event(f"after-{number}")]
        asyncio.run(self._emitted(tmp_path, events))
        ordinary = [event.request_id for event in events if not event.request_id.startswith("odd-")]
        arrived = [request_id for request_id in self.received(tmp_path) if not request_id.startswith("odd-")]
        self.require(arrived == ordinary, "an event that cannot be written costs no other", "UsageSink.emit", arrived)

    def test_it_may_be_closed_without_an_event(self, tmp_path: Path) -> None:
        """A gateway that nobody asked anything stops as well."""
        asyncio.run(self._emitted(tmp_path, []))
        arrived = list(self.received(tmp_path))
        self.require(arrived == [], "without an event nothing is written", "UsageSink.aclose", arrived)

    async def _emitted(self, folder: Path, events: Sequence[object]) -> list[float]:
        """Start a sink, give it EVENTS as the gateway does, close it; the seconds that each `emit` took."""
        sink = self.make(folder)
        with self.requiring("`start` opens what is needed", "UsageSink.start"):
            await sink.start()
        took: list[float] = []
        for number, event in enumerate(events):
            began = time.perf_counter()
            with contextlib.suppress(Exception):
                sink.emit(event)  # type: ignore[arg-type]
            took.append(time.perf_counter() - began)
            if number % 100 == 99:
                await asyncio.sleep(0)
        with self.requiring(f"`aclose` closes within {CLOSE_SECONDS} seconds", "UsageSink.aclose"):
            await asyncio.wait_for(sink.aclose(), CLOSE_SECONDS)
        return took
