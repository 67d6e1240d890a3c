"""Clients that keep asking, and a provider that counts: so that a lost or doubled request is seen."""

import asyncio
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
from tests.fidelity.matrix import JSON
from tests.gateway_process import BYO

from beyond_ai.testing import GatewayProcess, ReadBody, ReceivedRequest, ScriptedUpstream, Send, WireClient, request
from beyond_ai.testing.connection import Script
from beyond_ai.testing.wire import response

TARGET = "/openai/v1/responses"
KEY = f"Bearer {BYO.openai_key}"


def echo(asked: ReceivedRequest) -> Script:
    """A provider that says which request it answers."""
    return (ReadBody(), Send(response(200, [JSON], asked.header(b"x-number") or b"")))


@dataclass(slots=True)
class Hammer:
    """What the clients asked, and what became of it."""

    gateway: GatewayProcess
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)
    answered: list[int] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)
    farewells: int = 0
    stop: bool = False

    async def raw(self) -> None:
        """Ask on one connection for as long as the gateway keeps it."""
        while not self.stop:
            async with WireClient(self.gateway.host, self.gateway.port) as client:
                while await self._once(client) and not self.stop:
                    pass

    async def _once(self, client: WireClient) -> bool:
        number = next(self.numbers)
        headers = [(b"Host", b"gateway.test"), (b"Authorization", KEY.encode()), JSON, (b"X-Number", b"%d" % number)]
        try:
            answer = await client.exchange(request(b"POST", TARGET.encode(), headers, b"{}"))
        except (OSError, TimeoutError) as error:
            self.lost.append(f"raw {number}: {error!r}")
            return False
        if answer.broken or answer.status != 200 or bytes(answer.body) != b"%d" % number:
            self.lost.append(f"raw {number}: {answer}")
            return False
        self.answered.append(number)
        if answer.header(b"connection") == b"close":
            self.farewells += 1
            return False
        return True

    async def pooled(self, client: httpx.AsyncClient) -> None:
        """Ask with a client that people use, which pools connections and repeats nothing."""
        while not self.stop:
            number = next(self.numbers)
            headers = {"Authorization": KEY, "X-Number": str(number)}
            try:
                answer = await client.post(self.gateway.url + TARGET, headers=headers, content=b"{}")
            except httpx.HTTPError as error:
                self.lost.append(f"httpx {number}: {error!r}")
                continue
            if answer.status_code != 200 or answer.content != b"%d" % number:
                self.lost.append(f"httpx {number}: {answer.status_code} {answer.content!r}")
            else:
                self.answered.append(number)
            await asyncio.sleep(number % 7 * 0.001)

    def check(self, upstream: ScriptedUpstream) -> None:
        """Check that each request was answered once, and reached the provider once."""
        assert not self.lost, self.lost[:5]
        assert len(self.answered) == len(set(self.answered))
        seen = Counter(int(asked.header(b"x-number") or -1) for asked in upstream.requests)
        assert seen == Counter(self.answered)


@asynccontextmanager
async def hammering(gateway: GatewayProcess, raw: int = 12, pooled: int = 6) -> AsyncIterator[Hammer]:
    """Have so many clients ask GATEWAY until the end of the block."""
    hammer = Hammer(gateway)
    async with httpx.AsyncClient(timeout=20) as client, asyncio.TaskGroup() as group:
        for _ in range(raw):
            group.create_task(hammer.raw())
        for _ in range(pooled):
            group.create_task(hammer.pooled(client))
        try:
            yield hammer
        finally:
            hammer.stop = True
