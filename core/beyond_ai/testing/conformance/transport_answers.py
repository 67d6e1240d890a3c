"""Answers arrive whole and unchanged, in every framing; requests leave as they were given."""

import gzip

import pytest

from beyond_ai import Headers
from beyond_ai.testing import (
    LAST_CHUNK,
    Close,
    ReadBody,
    ScriptedUpstream,
    Send,
    chunk,
    chunked,
    chunked_head,
    close_delimited,
    response,
    response_head,
)
from beyond_ai.testing.conformance.on_sockets import SeamRules, on_sockets
from beyond_ai.testing.transport_events import TransportSeam, ask

ODD: Headers = [(b"X-Second", b"2"), (b"x-FIRST", b"a"), (b"X-Second", b"again"), (b"Set-Cookie", b"a=1")]


class TransportAnswers(SeamRules):
    """The rules about bytes."""

    @on_sockets
    async def test_answer_with_content_length(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Status, reason, headers and body come as they were sent, repeats and spelling included."""
        provider.answer(response(200, ODD, b"hello", reason=b"Quite Fine"))
        heard = await seam.get(ask(provider))
        assert heard.told == ["head", "body", "end"]
        assert (heard.status, heard.reason, heard.body) == (200, b"Quite Fine", b"hello")
        assert heard.headers == [*ODD, (b"content-length", b"5")]

    @on_sockets
    async def test_empty_answer(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """An answer without a body is a head and an end."""
        provider.answer(response(200, [], b""))
        heard = await seam.get(ask(provider))
        assert heard.told == ["head", "end"]

    @on_sockets
    async def test_chunked_answer_with_extensions_and_trailers(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """The transfer coding is removed, extensions and trailers with it; its header stays."""
        last = b"6;note=1\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n"
        provider.play(ReadBody(), Send(chunked_head(200, ODD)), Send(chunk(b"hello")), Send(last))
        heard = await seam.get(ask(provider))
        assert heard.body == b"hello world"
        assert heard.headers == [*ODD, (b"transfer-encoding", b"chunked")]

    @on_sockets
    async def test_chunked_answer_cut_at_every_byte(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Borders between reads mean nothing."""
        whole = chunked(200, ODD, [b"one", b"two" * 10, b"3"])
        provider.play(ReadBody(), *(Send(whole[i : i + 1]) for i in range(len(whole))))
        heard = await seam.get(ask(provider))
        assert heard.body == b"one" + b"two" * 10 + b"3"

    @on_sockets
    async def test_close_delimited_answer(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """A body without framing ends with its connection, in good order."""
        provider.play(ReadBody(), Send(close_delimited(200, [], b"until ")), Send(b"the end"), Close())
        heard = await seam.get(ask(provider))
        assert heard.told == ["head", "body", "end"]
        assert heard.body == b"until the end"

    @on_sockets
    async def test_http_1_0_answer_without_framing(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """HTTP/1.0 does the same."""
        provider.play(ReadBody(), Send(b"HTTP/1.0 200 OK\r\n\r\nold"), Close())
        heard = await seam.get(ask(provider))
        assert heard.body == b"old"

    @pytest.mark.parametrize("framing", [(b"content-length", b"5"), (b"transfer-encoding", b"chunked")])
    @on_sockets
    async def test_head_has_no_body_whatever_its_headers_say(
        self, seam: TransportSeam, provider: ScriptedUpstream, framing: tuple[bytes, bytes]
    ) -> None:
        """The answer to HEAD ends with its head, and the connection serves on."""
        provider.answer(response_head(200, [framing]))
        provider.answer(response(200, [], b"next"))
        heard = await seam.get(ask(provider, b"HEAD"))
        assert heard.told == ["head", "end"]
        assert heard.headers == [framing]
        assert (await seam.get(ask(provider))).body == b"next"

    @pytest.mark.parametrize("status", [204, 304])
    @on_sockets
    async def test_statuses_without_a_body(self, seam: TransportSeam, provider: ScriptedUpstream, status: int) -> None:
        """204 and 304 end with their head, and the connection serves on."""
        provider.answer(response_head(status, [(b"etag", b'"1"')]))
        provider.answer(response(200, [], b"next"))
        heard = await seam.get(ask(provider))
        assert (heard.told, heard.status) == (["head", "end"], status)
        assert (await seam.get(ask(provider))).body == b"next"
        self.check_kept(provider)

    @on_sockets
    async def test_interim_answers(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Each interim answer is told, before the head."""
        provider.play(
            Send(b"HTTP/1.1 100 Continue\r\n\r\n"),
            ReadBody(),
            Send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(200, [], b"ok")),
        )
        heard = seam.open(ask(provider, b"POST", length=3))
        await heard.until(lambda: bool(heard.interim))
        heard.exchange.send(b"abc")
        heard.exchange.send_end()
        await heard.ended()
        assert heard.interim == [(100, []), (103, [(b"Link", b"</a>")])]
        assert heard.told == ["informational", "informational", "head", "body", "end"]

    @on_sockets
    async def test_upgrade_that_nobody_asked_for(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """101 is a failure."""
        provider.answer(response_head(101, [(b"upgrade", b"other"), (b"connection", b"upgrade")]))
        heard = seam.open(ask(provider))
        await heard.until(lambda: heard.over)
        assert heard.told == ["failed"]
        await provider.wait_closed()

    @on_sockets
    async def test_content_coding_is_left_alone(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """The body stays compressed as it came."""
        packed = gzip.compress(b"packed " * 100)
        provider.answer(response(200, [(b"content-encoding", b"gzip")], packed))
        assert (await seam.get(ask(provider))).body == packed

    @on_sockets
    async def test_large_answer(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Megabytes come whole."""
        body = bytes(range(256)) * 16_384
        provider.answer(chunked(200, [], [body[i : i + 50_000] for i in range(0, len(body), 50_000)]))
        assert (await seam.get(ask(provider))).body == body

    @on_sockets
    async def test_nothing_is_added_to_a_request(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """Target and headers go out as they were given, and nothing else."""
        provider.answer(response(200, [], b""))
        headers: Headers = [(b"Host", b"api.example"), (b"X-UPPER", b"1"), (b"x-lower", b"2"), (b"X-UPPER", b"3")]
        await seam.get(ask(provider, b"PROPFIND", b"/a%2Fb/../c?q=%20&&x", headers))
        assert provider.requests[0].head == (
            b"PROPFIND /a%2Fb/../c?q=%20&&x HTTP/1.1\r\n"
            b"Host: api.example\r\nX-UPPER: 1\r\nx-lower: 2\r\nX-UPPER: 3\r\n\r\n"
        )

    @pytest.mark.parametrize("size", [0, 5])
    @on_sockets
    async def test_request_with_content_length(
        self, seam: TransportSeam, provider: ScriptedUpstream, size: int
    ) -> None:
        """`content_length` frames a body, also one of no bytes."""
        provider.answer(response(200, [], b""))
        heard = seam.open(ask(provider, b"POST", length=size))
        if size:
            heard.exchange.send(b"12345")
        heard.exchange.send_end()
        await heard.ended()
        assert provider.requests[0].values(b"content-length") == [b"%d" % size]
        assert provider.requests[0].body == b"12345"[:size]

    @on_sockets
    async def test_chunked_request(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """`chunked` frames a body of unknown length."""
        provider.answer(response(200, [], b""))
        heard = seam.open(ask(provider, b"POST", chunked=True))
        for piece in (b"one", b"two", b"x" * 100_000):
            heard.exchange.send(piece)
        heard.exchange.send_end()
        await heard.ended()
        request = provider.requests[0]
        assert request.values(b"transfer-encoding") == [b"chunked"]
        assert request.body == b"onetwo" + b"x" * 100_000
        assert request.complete

    @on_sockets
    async def test_redirects_are_passed_on(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """A redirect is an answer."""
        provider.answer(response(307, [(b"location", b"/elsewhere")], b""))
        assert (await seam.get(ask(provider))).status == 307
        assert len(provider.requests) == 1

    @pytest.mark.parametrize("status", [408, 429, 500, 503])
    @on_sockets
    async def test_no_status_is_tried_again(self, seam: TransportSeam, provider: ScriptedUpstream, status: int) -> None:
        """A request that a provider has received is never repeated."""
        provider.answer(response(status, [(b"retry-after", b"0")], b"no"))
        assert (await seam.get(ask(provider))).status == status
        assert len(provider.requests) == 1

    @on_sockets
    async def test_cookies_of_one_answer_are_in_no_other_request(
        self, seam: TransportSeam, provider: ScriptedUpstream
    ) -> None:
        """One tenant must not be taken for another."""
        provider.default = (ReadBody(), Send(response(200, [(b"set-cookie", b"tenant=1; path=/")], b"")))
        await seam.get(ask(provider))
        await seam.get(ask(provider))
        self.check_kept(provider)
        assert b"cookie" not in provider.received.lower()

    @on_sockets
    async def test_unused_parts_of_last_chunk(self, seam: TransportSeam, provider: ScriptedUpstream) -> None:
        """An answer ends with the last byte of its last chunk, wherever that was cut."""
        provider.play(ReadBody(), Send(chunked_head()), Send(chunk(b"a") + LAST_CHUNK[:3]), Send(LAST_CHUNK[3:]))
        provider.answer(response(200, [], b"next"))
        assert (await seam.get(ask(provider))).body == b"a"
        assert (await seam.get(ask(provider))).body == b"next"
        self.check_kept(provider)
