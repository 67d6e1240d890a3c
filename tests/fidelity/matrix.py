"""The fidelity matrix as data: what is promised of the bytes that cross the gateway, each row with its test.

A row is an async function that takes a `Lab`; `promise` puts it on the list. `test_fidelity.py` runs every row for
every kind of key that it holds for, and README.md in this folder shows the list.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.gateway_process import BYO, CALLERS, MANAGED, POOL_KEYS, Caller

from beyond_ai.testing import (
    GatewayProcess,
    ReceivedRequest,
    ScriptedUpstream,
    WireClient,
    WireResponse,
    request,
    response,
)

CHAT: Final = b"/openai/v1/chat/completions"
RESPONSES: Final = b"/openai/v1/responses"
"""Goes up as it comes for every key; a managed Chat request is read first, since it may have to ask for usage."""
MESSAGES: Final = b"/anthropic/v1/messages"
BODY: Final = b'{"model":"gpt-4o","messages":[{"role":"user","content":"Hi"}]}'
OK: Final = response(200, [(b"content-type", b"application/json")], b"{}")
JSON: Final = (b"content-type", b"application/json")
EVENTS: Final = (b"content-type", b"text/event-stream")
ADDED: Final = frozenset({b"x-beyond-request-id", b"x-beyond-provider"})
"""The headers that the gateway adds to a provider's answer."""

Headers = Iterable[tuple[bytes, bytes]]


@dataclass(slots=True)
class Lab:
    """One row's bench: the gateway between a raw client and a scripted provider, and whose key the client has."""

    gateway: GatewayProcess
    upstream: ScriptedUpstream
    caller: Caller

    def client(self) -> WireClient:
        """A raw connection to the gateway, to be entered."""
        return WireClient(self.gateway.host, self.gateway.port)

    @property
    def key(self) -> tuple[bytes, bytes]:
        """The header with the client's key, as an OpenAI client sends it."""
        return b"Authorization", b"Bearer " + self.caller.openai_key.encode()

    def ask(
        self, headers: Headers = (), body: bytes | None = BODY, *, method: bytes = b"POST", target: bytes = CHAT
    ) -> bytes:
        """A whole request with the caller's key; HEADERS come last."""
        return request(method, target, [(b"Host", b"gateway.test"), self.key, JSON, *headers], body)

    async def relay(self, asked: bytes, *answer: bytes) -> tuple[ReceivedRequest, WireResponse]:
        """Send ASKED while the provider answers it with ANSWER; what the provider and what the client got."""
        before = len(self.upstream.requests)
        self.upstream.answer(*(answer or (OK,)))
        async with self.client() as client:
            received = await client.exchange(asked)
        assert not received.broken, f"the answer broke off: {bytes(client.received[-300:])!r}"
        assert len(self.upstream.requests) == before + 1, bytes(client.received)
        return self.upstream.requests[before], received

    async def answer(self, *answer: bytes) -> WireResponse:
        """What the client gets when the provider answers a plain request with ANSWER."""
        _, received = await self.relay(self.ask(), *answer)
        return received

    def pool_key(self, provider: str = "openai") -> bytes:
        """The pool key of PROVIDER."""
        return POOL_KEYS[provider].encode()


Check = Callable[[Lab], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Promise:
    """One row: `id` names it in test runs, `text` says it to a user, `callers` are the kinds of key it holds for."""

    id: str
    group: str
    text: str
    callers: tuple[Caller, ...]
    check: Check = field(repr=False)

    @property
    def holds_for(self) -> str:
        """The kinds of key, as the table writes them."""
        return "managed, BYO" if self.callers == CALLERS else "managed" if self.callers == (MANAGED,) else "BYO"


@dataclass(slots=True)
class Group:
    """Rows that belong together, in the order of their definition."""

    name: str
    promises: list[Promise] = field(default_factory=list)

    def promise(self, text: str, *, callers: tuple[Caller, ...] = CALLERS) -> Callable[[Check], Check]:
        """Put the decorated check on the list, with the function's name as its id."""

        def add(check: Check) -> Check:
            name = getattr(check, "__name__", "").replace("_", "-")
            self.promises.append(Promise(name, self.name, text, callers, check))
            return check

        return add


ONLY_MANAGED: Final = (MANAGED,)
ONLY_BYO: Final = (BYO,)
