"""The echo transport keeps the contract of `beyond_ai.spec.transport`: order, pacing, pause, abort, limits."""

import asyncio
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from beyond_ai import Component, Context, Headers, Transport, UpstreamExchange, UpstreamFailure, UpstreamRequest
from beyond_ai.spec.transport import FailureStage
from beyond_ai_providers.echo import exchange as exchange_module
from beyond_ai_providers.echo.exchange import EchoExchange, EchoTransport
from beyond_ai_providers.echo.service import MAX_BODY
from beyond_ai_providers.echo.transport import EchoSettings, beyond_transports

CHAT = b"/v1/chat/completions"
QUESTION = orjson.dumps({"model": "m", "messages": [{"role": "user", "content": "one two three"}], "stream": True})
BOUND = 10.0


class Recorder:
    """Hears an exchange: `log` names the events in order; `at(event)` may act in the middle of one."""

    def __init__(self, act: Callable[[str, "Recorder"], None] = lambda _event, _recorder: None) -> None:
        self.log: list[str] = []
        self.times: list[float] = []
        self.status = 0
        self.headers: Headers = []
        self.body = bytearray()
        self.failure: UpstreamFailure | None = None
        self.exchange: UpstreamExchange | None = None
        self.changed = asyncio.Event()
        self.act = act

    def note(self, event: str) -> None:
        self.log.append(event)
        self.times.append(asyncio.get_running_loop().time())
        self.changed.set()
        self.act(event, self)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(BOUND):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def until_over(self) -> None:
        await self.until(lambda: self.log[-1:] in (["end"], ["failed"]))

    def upstream_connect_retry(self) -> None:
        self.note("connect_retry")

    def upstream_informational(self, status: int, headers: Headers) -> None:
        self.note("informational")

    def upstream_head(self, status: int, reason: bytes, headers: Headers) -> None:
        self.status, self.headers = status, headers
        self.note("head")

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        self.body += data
        self.note("body")

    def upstream_end(self) -> None:
        self.note("end")

    def upstream_failed(self, failure: UpstreamFailure) -> None:
        self.failure = failure
        self.note("failed")

    def upstream_pause(self) -> None:
        self.note("pause")

    def upstream_resume(self) -> None:
        self.note("resume")


def echo(delay_ms: float = 0, **settings: int) -> EchoTransport:
    return EchoTransport(EchoSettings(delay_ms=delay_ms, **settings))


def open_exchange(
    transport: EchoTransport,
    recorder: Recorder,
    body: bytes | None = QUESTION,
    *,
    method: bytes = b"POST",
    target: bytes = CHAT,
    length: int | None = None,
    chunked: bool = False,
) -> UpstreamExchange:
    """Open an exchange and send BODY, when there is one."""
    request = UpstreamRequest(
        provider="echo",
        method=method,
        target=target,
        headers=[(b"Host", b"echo.invalid")],
        host="echo.invalid",
        port=443,
        tls=True,
        content_length=length if length is not None or body is None or chunked else len(body),
        chunked=chunked,
    )
    exchange = transport.open(request, recorder)
    recorder.exchange = exchange
    if body is not None:
        exchange.send(body)
        exchange.send_end()
    return exchange


async def turns(count: int = 50) -> None:
    """Let the event loop run; what was due now has then happened."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_component_is_a_transport_with_checked_settings() -> None:
    [component] = beyond_transports()
    assert isinstance(component, Component)
    assert component.name == "echo"
    made = component.create(Context(config=EchoSettings(delay_ms=0)))
    assert isinstance(made, Transport)
    assert isinstance(component.create(Context()), Transport)
    assert EchoSettings().delay_ms == 10
    with pytest.raises(ValidationError, match="dely_ms"):
        EchoSettings.model_validate({"dely_ms": 1})


async def test_a_whole_exchange_in_order_and_nothing_within_the_calls() -> None:
    recorder, transport = Recorder(), echo()
    open_exchange(transport, recorder)
    assert recorder.log == []
    await recorder.until_over()
    assert recorder.log[0] == "head"
    assert recorder.log[-1] == "end"
    assert set(recorder.log[1:-1]) == {"body"}
    assert len(recorder.log) > 8
    assert recorder.status == 200
    assert recorder.body.endswith(b"data: [DONE]\n\n")
    assert not transport.exchanges


async def test_the_body_may_come_in_pieces_and_chunked() -> None:
    recorder = Recorder()
    exchange = open_exchange(echo(), recorder, None, chunked=True)
    for index in range(len(QUESTION)):
        exchange.send(QUESTION[index : index + 1])
    await turns()
    assert recorder.log == []
    exchange.send_end()
    await recorder.until_over()
    assert b" three" in recorder.body


@pytest.mark.parametrize("length", [None, 0])
async def test_a_request_without_body_is_answered_at_once(length: int | None) -> None:
    recorder = Recorder()
    exchange = open_exchange(echo(), recorder, None, method=b"GET", target=b"/v1/models", length=length)
    assert recorder.log == []
    await recorder.until_over()
    exchange.send_end()
    await turns()
    assert recorder.log == ["head", "body", "end"]


async def test_ids_differ_between_exchanges() -> None:
    transport = echo()
    first, second = Recorder(), Recorder()
    for recorder in (first, second):
        open_exchange(transport, recorder)
        await recorder.until_over()
    assert dict(first.headers)[b"x-request-id"] != dict(second.headers)[b"x-request-id"]


async def test_events_of_a_stream_are_paced() -> None:
    recorder = Recorder()
    open_exchange(echo(delay_ms=20), recorder)
    await recorder.until_over()
    gaps = [later - sooner for sooner, later in zip(recorder.times, recorder.times[1:], strict=False)]
    assert min(gaps) >= 0.019


async def test_pause_holds_everything_back_until_resume() -> None:
    def pause_at_third(_event: str, recorder: Recorder) -> None:
        if len(recorder.log) == 3 and recorder.exchange:
            recorder.exchange.pause()

    recorder = Recorder(pause_at_third)
    exchange = open_exchange(echo(), recorder)
    await recorder.until(lambda: len(recorder.log) == 3)
    await turns()
    assert len(recorder.log) == 3
    exchange.pause()
    exchange.resume()
    assert len(recorder.log) == 3
    exchange.resume()
    await recorder.until_over()
    assert recorder.body.count(b"data: ") == len(recorder.log) - 2
    assert recorder.body.endswith(b"data: [DONE]\n\n")


async def test_pause_stops_a_timer_that_runs() -> None:
    recorder = Recorder()
    exchange = open_exchange(echo(delay_ms=30), recorder)
    assert isinstance(exchange, EchoExchange)
    await recorder.until(lambda: len(recorder.log) == 2)
    timer = exchange.timer
    assert timer
    exchange.pause()
    assert timer.cancelled()
    exchange.resume()
    await recorder.until_over()


async def test_paused_before_the_request_is_whole() -> None:
    recorder = Recorder()
    exchange = open_exchange(echo(), recorder, None, length=len(QUESTION))
    exchange.pause()
    exchange.send(QUESTION)
    exchange.send_end()
    await turns()
    assert recorder.log == []
    exchange.resume()
    await recorder.until_over()
    assert recorder.status == 200


@pytest.mark.parametrize("when", [1, 2, 4])
async def test_nothing_follows_an_abort(when: int) -> None:
    def abort_at(_event: str, recorder: Recorder) -> None:
        if len(recorder.log) == when and recorder.exchange:
            recorder.exchange.abort()

    recorder, transport = Recorder(abort_at), echo()
    exchange = open_exchange(transport, recorder)
    await recorder.until(lambda: len(recorder.log) == when)
    exchange.pause()
    exchange.resume()
    exchange.send(b"more")
    exchange.send_end()
    await turns()
    assert len(recorder.log) == when
    assert not transport.exchanges


async def test_abort_before_anything_and_after_the_end_is_harmless() -> None:
    recorder = Recorder()
    exchange = open_exchange(echo(), recorder)
    exchange.abort()
    await turns()
    assert recorder.log == []
    recorder = Recorder()
    exchange = open_exchange(echo(), recorder)
    await recorder.until_over()
    length = len(recorder.log)
    exchange.abort()
    exchange.resume()
    await turns()
    assert len(recorder.log) == length


async def test_closing_the_transport_aborts_what_is_open() -> None:
    transport = echo()
    recorders = [Recorder() for _ in range(3)]
    for recorder in recorders:
        open_exchange(transport, recorder)
    await recorders[0].until(lambda: len(recorders[0].log) == 2)
    await transport.aclose()
    lengths = [len(recorder.log) for recorder in recorders]
    await turns()
    assert [len(recorder.log) for recorder in recorders] == lengths
    assert not transport.exchanges


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(("target", "kind"), [(CHAT, "invalid_request_error"), (b"/v1/messages", "request_too_large")])
async def test_a_body_over_the_limit_is_refused(
    monkeypatch: pytest.MonkeyPatch, declared: bool, target: bytes, kind: str
) -> None:
    monkeypatch.setattr(exchange_module, "MAX_BODY", 1000)
    recorder = Recorder()
    exchange = open_exchange(
        echo(), recorder, None, target=target, length=1001 if declared else None, chunked=not declared
    )
    if not declared:
        exchange.send(b"x" * 1000)
        await turns()
        assert recorder.log == []
        exchange.send(b"x")
    await recorder.until_over()
    exchange.send(b"x" * 1000)
    exchange.send_end()
    assert recorder.log == ["head", "body", "end"]
    assert recorder.status == 413
    error: Any = orjson.loads(recorder.body)
    assert error["error"]["type"] == kind
    assert isinstance(exchange, EchoExchange)
    assert not exchange.body


def test_the_limit_is_the_gateways() -> None:
    assert MAX_BODY == 104_857_600


async def test_configured_output_limit_reaches_the_answer() -> None:
    recorder = Recorder()
    open_exchange(echo(max_output_tokens=2), recorder)
    await recorder.until_over()
    assert b'"length"' in recorder.body
    assert b"one" not in recorder.body


async def test_a_defect_ends_the_exchange_with_a_failure_for_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object) -> None:
        raise RuntimeError("made for this test")

    monkeypatch.setattr(exchange_module, "serve", broken)
    recorder, transport = Recorder(), echo()
    open_exchange(transport, recorder, target=CHAT + b"?key=sk-fake")
    await recorder.until_over()
    assert recorder.log == ["failed"]
    assert recorder.failure
    assert recorder.failure.stage is FailureStage.SEND
    assert str(recorder.failure.error) == "made for this test"
    assert "sk-fake" not in recorder.failure.message
    assert not transport.exchanges
