"""What goes wrong is told once, with how far the exchange had come; a broken answer never looks whole."""

import asyncio

import pytest

from beyond_ai import FailureStage
from beyond_ai.testing import (
    Close,
    ReadBody,
    Reset,
    ScriptedUpstream,
    Send,
    Until,
    chunk,
    chunked_head,
    close_delimited,
    response_head,
)
from beyond_ai.testing.conformance.on_sockets import SeamRules, on_sockets
from beyond_ai.testing.transport_events import TransportSeam, ask

HALF_HEAD = b"HTTP/1.1 200 OK\r\ncontent-le"


class TransportFailures(SeamRules):
    """The rules about failures."""

    @pytest.mark.parametrize("ending", [Close(), Reset()], ids=["close", "reset"])
    @pytest.mark.parametrize("sent", [b"", HALF_HEAD], ids=["nothing", "half a head"])
    @on_sockets
    async def test_no_answer(
        self, seam: TransportSeam, provider: ScriptedUpstream, sent: bytes, ending: Close | Reset
    ) -> None:
        """A connection that ends before an answer is a failure at the stage SEND, and nothing is repeated."""
        provider.play(ReadBody(), *([Send(sent)] if sent else []), ending)
        heard = seam.open(ask(provider, b"POST", length=2))
        heard.exchange.send(b"{}")
        heard.exchange.send_end()
        await heard.failed(FailureStage.SEND)
        assert heard.told == ["failed"]
        assert len(provider.requests) == 1

    @pytest.mark.parametrize("ending", [Close(), Reset()], ids=["close", "reset"])
    @pytest.mark.parametrize(
        "part",
        [
            response_head(200, [(b"content-length", b"9")]) + b"half",
            chunked_head() + chunk(b"half"),
            chunked_head() + b"9\r\nhalf",
            chunked_head() + chunk(b"half") + b"0\r\n",
            response_head(200, [(b"content-length", b"9")]),
        ],
        ids=["length", "chunks", "half a chunk", "half an end", "head only"],
    )
    @on_sockets
    async def test_answer_that_breaks_off(
        self, seam: TransportSeam, provider: ScriptedUpstream, part: bytes, ending: Close | Reset
    ) -> None:
        """A cut answer never looks whole: what came is told, then the failure at the stage BODY."""
        heard_it = asyncio.Event()
        provider.play(ReadBody(), Send(part), Until(heard_it), ending)
        heard = seam.open(ask(provider))
        await heard.until(lambda: "body" in heard.events or (heard.status == 200 and part.endswith(b"\r\n\r\n")))
        heard_it.set()
        await heard.failed(FailureStage.BODY)
        assert heard.body == (b"half" if b"half" in part else b"")
        assert "end" not in heard.told

    @on_sockets
    async def test_close_delimited_answer_that_is_reset(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """A reset is no end, also where an end of the connection would be one."""
        heard_it = asyncio.Event()
        provider.play(ReadBody(), Send(close_delimited(200, [], b"half")), Until(heard_it), Reset())
        heard = seam.open(ask(provider))
        await heard.until(lambda: heard.body == b"half")
        heard_it.set()
        await heard.failed(FailureStage.BODY)

    @pytest.mark.parametrize(
        "garbage",
        [
            b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
            b"HTTP/1.1 abc OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
            b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        ],
        ids=["other protocol", "status", "header", "two lengths", "negative length"],
    )
    @on_sockets
    async def test_answer_that_is_not_http(
        self, seam: TransportSeam, provider: ScriptedUpstream, garbage: bytes
    ) -> None:
        """What is no HTTP is a failure, and its connection goes."""
        provider.play(ReadBody(), Send(garbage))
        heard = seam.open(ask(provider))
        await heard.failed(FailureStage.SEND)
        assert heard.told == ["failed"]
        await provider.wait_closed()

    @on_sockets
    async def test_malformed_chunk(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """The body up to the defect is told, then the failure."""
        provider.play(ReadBody(), Send(chunked_head() + chunk(b"good")), Send(b"zz\r\nbad\r\n"))
        heard = seam.open(ask(provider))
        await heard.failed(FailureStage.BODY)
        assert heard.body == b"good"
        await provider.wait_closed()
