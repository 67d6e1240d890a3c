"""What every deny store keeps to: only what its source says changes the set, and nobody waits for it."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from beyond_ai.spec.deny import DenyReason, DenyScope, DenySet, DenyStore
from beyond_ai.testing.conformance.rule import ComponentConformance

START_SECONDS: Final = 2.0
WITHIN: Final = 10.0
"""Seconds in which a change at the source must arrive, and a store must close."""
THERE_BEFORE: Final = 4_200_000_000


class DenyStoreConformance(ComponentConformance[DenyStore]):
    """The rules of deny stores.

    class TestLines(DenyStoreConformance):
        plugin = "lines"

        async def deny(self, folder, scope, number, reason): ...
        async def allow(self, folder, scope, number): ...
    """

    kind = "deny_store"

    async def deny(self, folder: Path, scope: DenyScope, number: int, reason: DenyReason) -> None:
        """Write an entry at the source that the store of FOLDER reads."""
        raise NotImplementedError("write an entry at the store's source: override `deny`")

    async def allow(self, folder: Path, scope: DenyScope, number: int) -> None:
        """Take an entry back there."""
        raise NotImplementedError("take an entry back at the store's source: override `allow`")

    def test_it_says_how_it_is_before_it_was_started(self, tmp_path: Path) -> None:
        """The admin listener asks at any time."""
        store = self.make(tmp_path)
        state = (store.connected, store.ready)
        self.require(
            all(isinstance(value, bool) for value in state),
            "both are True or False",
            "DenyStore.connected, .ready",
            state,
        )

    def test_starting_waits_for_no_source(self, tmp_path: Path) -> None:
        """The first request waits for `start`."""

        async def started() -> float:
            store, denied = self.make(tmp_path), DenySet()
            began = time.monotonic()
            with self.requiring("`start` raises nothing where the source is there", "DenyStore.start"):
                await store.start(denied.updater())
            took = time.monotonic() - began
            await asyncio.wait_for(store.aclose(), WITHIN)
            return took

        took = asyncio.run(started())
        self.require(
            took < START_SECONDS,
            "the source is waited for in a task, not in `start`",
            "DenyStore.start",
            f"{took:.1f} s",
        )

    def test_the_set_is_as_the_source_has_it(self, tmp_path: Path) -> None:
        """What was there before, what comes, what goes; and what is there when the store closes stays."""
        asyncio.run(self._followed(tmp_path))

    async def _followed(self, folder: Path) -> None:
        await self.deny(folder, DenyScope.TENANT, THERE_BEFORE, DenyReason.SPEND)
        store, denied = self.make(folder), DenySet()
        await store.start(denied.updater())
        try:
            await self._until(lambda: denied.reason(THERE_BEFORE, None) is not None, "an entry that was there arrives")
            await self._until(lambda: store.ready, "`ready` once the source was read whole", "DenyStore.ready")
            await self._until(lambda: store.connected, "`connected` while changes arrive", "DenyStore.connected")
            await self.deny(folder, DenyScope.TENANT, 42, DenyReason.FRAUD)
            await self._until(lambda: denied.reason(42, None) is not None, "a new entry arrives")
            await self.allow(folder, DenyScope.TENANT, 42)
            await self._until(lambda: denied.reason(42, None) is None, "an entry that is taken back goes")
        finally:
            with self.requiring(f"`aclose` returns within {WITHIN:g} seconds", "DenyStore.aclose"):
                await asyncio.wait_for(store.aclose(), WITHIN)
        self.require(
            denied.reason(THERE_BEFORE, None), "closing leaves the set as it is", "DenyStore.aclose", "an empty set"
        )

    async def _until(self, condition: Callable[[], object], rule: str, where: str = "DenyStore.start") -> None:
        deadline = time.monotonic() + WITHIN
        while not condition():
            self.require(time.monotonic() < deadline, rule, where, f"not within {WITHIN:g} s")
            await asyncio.sleep(0.005)
