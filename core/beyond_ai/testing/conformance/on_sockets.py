"""Runs a test of a transport in an event loop of its own, between a relay and a scripted provider on real sockets."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import ClassVar

from beyond_ai.testing.transport_events import TransportSeam
from beyond_ai.testing.upstream import ScriptedUpstream


class SeamRules(ABC):
    """Rules that a transport is held to, and what it does of what it may do."""

    keeps_connections: ClassVar[bool] = False
    """whether one exchange after another goes over one connection; then no answer may spoil it for the next"""
    repeats_attempts: ClassVar[bool] = False
    """whether a connection that is refused is tried again"""

    @abstractmethod
    def seam_in(self, folder: Path) -> TransportSeam:
        """The transport, made with what its settings keep in FOLDER."""

    def check_kept(self, provider: ScriptedUpstream) -> None:
        """Whether all went over one connection to PROVIDER, where that is promised."""
        assert len(provider.connections) == 1 or not self.keeps_connections


def on_sockets(test: Callable[..., Coroutine[object, object, None]]) -> Callable[..., None]:
    """TEST, a coroutine that takes `seam` and maybe `provider`, as a plain function: no plugin of pytest is needed."""
    parameters = inspect.signature(test).parameters

    def run(self: SeamRules, tmp_path: Path, **arguments: object) -> None:
        async def between() -> None:
            async with ScriptedUpstream() as provider:
                seam = self.seam_in(tmp_path)
                parts = {"seam": seam, "provider": provider}
                try:
                    await test(self, **{name: parts[name] for name in parts if name in parameters}, **arguments)
                finally:  # before the provider, which would wait for idle connections
                    await seam.aclose()

        asyncio.run(between())

    kept = [parameter for name, parameter in parameters.items() if name not in ("seam", "provider")]
    folder = inspect.Parameter("tmp_path", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    run.__signature__ = inspect.Signature([*kept, folder])  # type: ignore[attr-defined]
    run.__name__, run.__doc__ = test.__name__, test.__doc__
    run.__module__, run.__qualname__ = test.__module__, test.__qualname__
    return run
