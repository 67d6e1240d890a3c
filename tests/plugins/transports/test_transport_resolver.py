"""Names are looked up once, kept for a while, and old answers outlive a resolver that is down."""

import asyncio
import socket
import threading

import pytest

from beyond_ai_plugins.transports.http1 import resolver as module
from beyond_ai_plugins.transports.http1.resolver import MAX_NAMES, Resolver


class Names:
    """The system's resolver, counted, and out of order on demand."""

    def __init__(self) -> None:
        self.asked: list[object] = []
        self.down = False
        self.go = threading.Event()
        self.go.set()

    def getaddrinfo(self, host: object, port: object, *_args: object, **_options: object) -> list[object]:
        self.asked.append(host)
        assert self.go.wait(5)
        if self.down:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr(socket, "getaddrinfo", names.getaddrinfo)
    return names


async def test_answer_is_kept(names: Names) -> None:
    resolver = Resolver()
    first = await resolver.resolve("a.test", 443)
    assert first == [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 443))]
    assert await resolver.resolve("a.test", 443) == first
    assert names.asked == ["a.test"]


async def test_old_answer_is_asked_for_again(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)
    resolver = Resolver()
    await resolver.resolve("a.test", 443)
    await resolver.resolve("a.test", 443)
    assert names.asked == ["a.test", "a.test"]


async def test_old_answer_serves_while_the_resolver_is_down(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)
    resolver = Resolver()
    known = await resolver.resolve("a.test", 443)
    names.down = True
    assert await resolver.resolve("a.test", 443) == known
    monkeypatch.setattr(module, "STALE", 0.0)
    with pytest.raises(socket.gaierror):
        await resolver.resolve("a.test", 443)


async def test_failure_is_not_kept(names: Names) -> None:
    names.down = True
    resolver = Resolver()
    with pytest.raises(socket.gaierror):
        await resolver.resolve("a.test", 443)
    names.down = False
    assert await resolver.resolve("a.test", 443)


async def test_one_look_up_serves_all_who_wait(names: Names) -> None:
    names.go.clear()
    resolver = Resolver()
    waiting = [asyncio.create_task(resolver.resolve("a.test", 443)) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    names.go.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert all(isinstance(result, list) for result in results[1:])
    assert names.asked == ["a.test"]


async def test_look_up_has_a_limit(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOKUP_TIMEOUT", 0.05)
    names.go.clear()
    try:
        with pytest.raises(TimeoutError):
            await Resolver().resolve("a.test", 443)
    finally:
        names.go.set()


async def test_names_are_bounded(names: Names) -> None:
    resolver = Resolver()
    for number in range(MAX_NAMES + 5):
        await resolver.resolve(f"{number}.test", 443)
    assert len(resolver._answers) == MAX_NAMES
    await resolver.resolve(f"{MAX_NAMES}.test", 443)
    assert len(names.asked) == MAX_NAMES + 5
    await resolver.resolve("0.test", 443)
    assert len(names.asked) == MAX_NAMES + 6
