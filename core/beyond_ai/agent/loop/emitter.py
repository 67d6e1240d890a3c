"""To everybody who watches: the sink, and the hooks that see events."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

from beyond_ai.spec.agent_event import AgentEnd, AgentEvent, Notice
from beyond_ai.spec.agent_hook import AgentHook

Emit = Callable[[AgentEvent], Awaitable[None]]
NamedHook = tuple[str, AgentHook]


def overrides(hook: AgentHook, method: str) -> bool:
    """Whether HOOK does something in METHOD."""
    own = getattr(hook, method)
    return getattr(own, "__func__", own) is not getattr(AgentHook, method)


class Emitter:
    """Hands events on, one after the other. A watcher that fails stops nothing; a hook's failure is a notice."""

    def __init__(self, emit: Emit, hooks: Sequence[NamedHook]) -> None:
        self._emit = emit
        self._watching = [(name, hook) for name, hook in hooks if overrides(hook, "on_event")]
        self._reported: set[tuple[str, str]] = set()
        self._order = asyncio.Lock()
        self._ended = False

    def begin(self) -> None:
        """A run begins: what failed in an earlier one is told again."""
        self._reported.clear()
        self._ended = False

    async def __call__(self, event: AgentEvent) -> None:
        """Hand EVENT to everybody. After the end of a run nothing is handed on, whoever says it."""
        async with self._order:
            if isinstance(event, AgentEnd):
                await self._hand_last(event)
            elif not self._ended:
                await self._hand(event)

    async def notice(self, message: str) -> None:
        """Tell people MESSAGE."""
        await self(Notice(message=message))

    async def hook_failed(self, name: str, method: str, error: BaseException | str) -> None:
        """Tell, once a run, that the hook NAME failed in METHOD."""
        if self._first(name, method):
            await self.notice(_failure(name, method, error))

    async def _hand(self, event: AgentEvent) -> None:
        await self._to_sink(event)
        if self._watching:
            for notice in await self._to_hooks(event):
                await self._hand(notice)

    async def _hand_last(self, event: AgentEnd) -> None:
        """Hooks first, so that the sink hears of their failures before EVENT."""
        for notice in await self._to_hooks(event):
            await self._to_sink(notice)
        self._ended = True
        await self._to_sink(event)

    async def _to_sink(self, event: AgentEvent) -> None:
        with suppress(Exception):  # whoever watches does not decide about the run, and cannot be told
            await self._emit(event)

    async def _to_hooks(self, event: AgentEvent) -> list[Notice]:
        """Hand EVENT to hooks; return what people are to be told of them."""
        notices = []
        for name, hook in self._watching:
            try:
                await hook.on_event(event)
            except Exception as error:  # noqa: BLE001 - observers fail open
                if self._first(name, "on_event"):
                    notices.append(Notice(message=_failure(name, "on_event", error)))
        return notices

    def _first(self, name: str, method: str) -> bool:
        known = (name, method) in self._reported
        self._reported.add((name, method))
        return not known


def _failure(name: str, method: str, error: BaseException | str) -> str:
    what = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return f"hook {name} failed in {method} and was passed over: {what}"
