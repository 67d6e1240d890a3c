"""What clients may send: malformed, oversized, smuggled, pipelined, old, absolute, expectant."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pytest
from tests.fidelity.matrix import BODY, OK, Lab
from tests.gateway_process import VIRTUAL_KEY
from tests.integration.exchanges import HOST, OWN_KEY, check_refusal, get, id_of, post

from beyond_ai.gateway.client import MAX_HEAD
from beyond_ai.testing import (
    Pause,
    ReadBody,
    ReceivedRequest,
    Script,
    Send,
    Step,
    Tell,
    Until,
    WireClient,
    WireResponse,
    chunk,
    chunked,
    chunked_head,
    request,
    response,
)

CHAT: Final = b"/openai/v1/chat/completions"
START: Final = b"POST " + CHAT + b" HTTP/1.1\r\nHost: gateway.test\r\nAuthorization: Bearer sk-fake\r\n"
HUGE: Final = 3 << 20


async def last_answer(lab: Lab, sent: bytes) -> WireResponse:
    """The only answer to SENT, after which the gateway closes."""
    async with lab.client() as client:
        received = await client.exchange(sent)
        assert received.header(b"connection") == b"close"
        assert await client.wait_closed() == b""
    return received


MALFORMED: Final = {
    "no http": b"GARBAGE\r\n\r\n",
    "tls hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
    "unknown method": START.replace(b"POST", b"STEAL") + b"\r\n",
    "unknown version": START.replace(b"HTTP/1.1", b"HTTP/4.2") + b"\r\n",
    "space in the target": START.replace(b"/chat", b"/ch at") + b"\r\n",
    "header without a colon": START + b"nonsense\r\n\r\n",
    "space before the colon": START + b"X-A : 1\r\n\r\n",
    "space in a header's name": START + b"X A: 1\r\n\r\n",
    "control character in a value": START + b"X-A: a\x00b\r\n\r\n",
    "length that is no number": START + b"Content-Length: two\r\n\r\n{}",
    "negative length": START + b"Content-Length: -2\r\n\r\n{}",
    "length beyond any": START + b"Content-Length: 99999999999999999999999\r\n\r\n{}",
    "two lengths": START + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two equal lengths": START + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
    "length and chunked": START + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": START + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=list(MALFORMED))
async def test_malformed_requests_are_answered_and_never_relayed(lab: Lab, sent: bytes) -> None:
    check_refusal(await last_answer(lab, sent), 400, "malformed HTTP request")
    assert lab.upstream.connections == []


async def test_a_body_that_turns_out_malformed_is_refused(lab: Lab) -> None:
    started = asyncio.Event()
    lab.upstream.play(ReadBody(4), Tell(started), Until(asyncio.Event()))
    async with lab.client() as client:
        await client.send(START + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n")
        await asyncio.wait_for(started.wait(), 5)
        received = await client.exchange(b"zz\r\n")
        check_refusal(received, 400, "malformed HTTP request")
        assert received.header(b"connection") == b"close"
        await client.wait_closed()
    await lab.upstream.wait_closed()
    assert not lab.upstream.requests[0].complete


async def test_nonsense_behind_a_request_does_not_hurt_its_answer(lab: Lab) -> None:
    gate = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(chunked(200, [], [b"first"])[:-5]), Until(gate), Send(b"0\r\n\r\n"))
    async with lab.client() as client:
        await client.send(lab.ask())
        await client.receive(5)
        await client.send(b"\x00\x01 nonsense\r\n\r\n")
        async with lab.client() as other:  # answered after the gateway has read the nonsense, which came first
            await other.exchange(get(b"/"))
        gate.set()
        received = await client.receive()
        assert (bytes(received.body), received.complete) == (b"first", True)
        await client.wait_closed()


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip,chunked", b"chunked, chunked", b"xchunked, chunked"])
async def test_transfer_codings_that_nobody_here_undoes(lab: Lab, coding: bytes) -> None:
    received = await last_answer(lab, START + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
    assert received.status in (400, 501)
    assert lab.upstream.connections == []


@pytest.mark.parametrize("coding", [b"gzip", b"identity", b"chunked, gzip", b"xchunked", b"chunked;q=1"])
async def test_a_coding_that_does_not_end_in_chunked_has_no_end(lab: Lab, coding: bytes) -> None:
    """RFC 9112, section 6.3: such a request cannot be framed, it is refused."""
    received = await last_answer(lab, START + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n")
    assert received.status in (400, 501)
    assert received.header(b"x-beyond-error-source") == b"gateway"
    assert lab.upstream.connections == []


@pytest.mark.parametrize(
    "filler",
    [b"X-Long: " + b"x" * MAX_HEAD + b"\r\n", b"X-Many: 1\r\n" * (MAX_HEAD // 11 + 1)],
    ids=["one long", "many"],
)
async def test_a_head_that_is_too_large(lab: Lab, filler: bytes) -> None:
    check_refusal(await last_answer(lab, START + filler + b"\r\n"), 431, "request head too large")
    assert lab.upstream.connections == []


async def test_a_target_that_is_too_large(lab: Lab) -> None:
    sent = get(CHAT + b"?" + b"x" * MAX_HEAD)
    check_refusal(await last_answer(lab, sent), 431, "request head too large")


async def test_a_large_head_within_the_limit_is_relayed(lab: Lab) -> None:
    value = b"x" * (MAX_HEAD - 4096)
    sent, received = await lab.relay(lab.ask([(b"X-Long", value)]))
    assert (sent.header(b"x-long"), received.status) == (value, 200)


@pytest.mark.parametrize("target", [CHAT, b"/v1/realtime", b"/nobody/v1", b"/"])
@pytest.mark.parametrize("protocol", [b"websocket", b"h2c"])
async def test_upgrades_are_refused_everywhere(lab: Lab, target: bytes, protocol: bytes) -> None:
    headers = [HOST, OWN_KEY, (b"Connection", b"Upgrade"), (b"Upgrade", protocol), (b"Sec-WebSocket-Version", b"13")]
    check_refusal(await last_answer(lab, request(b"GET", target, headers)), 400, "protocol upgrades are not supported")
    assert lab.upstream.connections == []


async def test_tunnels_are_refused(lab: Lab) -> None:
    received = await last_answer(lab, b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n\r\n")
    check_refusal(received, 400, "protocol upgrades are not supported")


async def test_http_0_9_gets_an_answer_that_it_can_read(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Send(chunked(200, [], [b"a", b"b"])))
    async with lab.client() as client:
        received = await client.exchange(b"GET /openai/v1/models?key=sk-fake\r\n\r\n")
    assert (received.status, bytes(received.body), received.complete) == (200, b"ab", True)
    assert received.header(b"transfer-encoding") is None


async def test_http2_without_tls_is_refused(lab: Lab) -> None:
    received = await last_answer(lab, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    assert received.status == 400


async def test_an_upgrade_header_alone_is_no_upgrade(lab: Lab) -> None:
    sent, received = await lab.relay(lab.ask([(b"Upgrade", b"h2c")]))
    assert (sent.header(b"upgrade"), received.status) == (None, 200)


@dataclass(frozen=True)
class Piece:
    """One request of a pipeline, and what its answer must be."""

    sent: bytes
    status: int
    body: bytes


def relayed(number: int, *, chunked_body: bool = False) -> Piece:
    target = CHAT + b"?n=%d" % number
    if chunked_body:
        head = request(b"POST", target, [HOST, OWN_KEY, (b"Transfer-Encoding", b"chunked")])
        sent = head + chunk(b"a" * number) + chunk(b"b") + b"0\r\n\r\n"
    else:
        sent = post(target, b"c" * number * 100)
    return Piece(sent, 200, b"answer to ?n=%d" % number)


def refused(sent: bytes, status: int, message: bytes, kind: bytes) -> Piece:
    return Piece(sent, status, b'{"error":{"message":"%b","type":"%b"}}' % (message, kind))


FORGED: Final = (b"Authorization", b"Bearer " + VIRTUAL_KEY[:-4].encode() + b"AAAA")
UNKNOWN: Final = refused(post(b"/nobody/v1", b"x" * 50), 404, b"unknown provider", b"invalid_request_error")
NO_KEY: Final = refused(post(CHAT, b"x" * 3000, key=None), 401, b"missing API key", b"authentication_error")
INVALID: Final = refused(post(CHAT, BODY, key=FORGED), 401, b"invalid API key", b"authentication_error")
UNREACHABLE: Final = refused(post(b"/mistral/v1/x"), 502, b"provider could not be reached", b"api_error")
INDEX: Final = Piece(get(b"/"), 200, b'{"name":"beyond-ai"')
INDEX_HEAD: Final = Piece(get(b"/", b"HEAD"), 200, b"")
PIPELINES: Final = {
    "two": [relayed(1), relayed(2)],
    "ten": [relayed(number) for number in range(10)],
    "front first": [INDEX, relayed(1), INDEX],
    "refused first": [NO_KEY, relayed(1), INVALID, relayed(2)],
    "refusals alone": [NO_KEY, UNKNOWN, INVALID, NO_KEY],
    "mixed": [
        relayed(1), INDEX, NO_KEY, relayed(2, chunked_body=True), UNKNOWN, INDEX_HEAD, INVALID, UNREACHABLE,
        relayed(3), relayed(4, chunked_body=True),
    ],
}  # fmt: skip


async def play_pipeline(lab: Lab, pieces: Sequence[Piece], *cuts: int) -> None:
    """Send all of PIECES, in segments that end at CUTS, and check that each is answered, in order."""

    def respond(asked: ReceivedRequest) -> Script:
        return (ReadBody(), Send(response(200, [], b"answer to ?" + asked.target.partition(b"?")[2])))

    lab.upstream.default = respond
    whole = b"".join(piece.sent for piece in pieces)
    ids = []
    async with lab.client() as client:
        for start, end in zip((0, *cuts), (*cuts, len(whole)), strict=True):
            await client.send(whole[start:end])
            await asyncio.sleep(0)
        for piece in pieces:
            received = await client.receive(head_only=piece.sent.startswith(b"HEAD "))
            assert (received.status, received.complete) == (piece.status, True)
            assert bytes(received.body).startswith(piece.body)
            ids.append(id_of(received))
    assert len(set(ids)) == len(pieces)
    assert len(lab.upstream.requests) == sum(piece.status == 200 and b"?n=" in piece.sent for piece in pieces)
    assert all(asked.complete for asked in lab.upstream.requests)


@pytest.mark.parametrize("name", PIPELINES)
async def test_requests_in_one_segment_are_answered_in_order(lab: Lab, name: str) -> None:
    await play_pipeline(lab, PIPELINES[name])


@pytest.mark.parametrize("size", [1000, 333, 97])
async def test_wherever_the_segments_end(lab: Lab, size: int) -> None:
    pieces = PIPELINES["mixed"]
    await play_pipeline(lab, pieces, *range(size, sum(len(piece.sent) for piece in pieces), size))


async def test_byte_by_byte(lab: Lab) -> None:
    pieces = [relayed(1, chunked_body=True), UNKNOWN, relayed(1)]
    await play_pipeline(lab, pieces, *range(1, sum(len(piece.sent) for piece in pieces)))


async def test_the_last_body_of_a_pipeline_may_still_be_on_its_way(lab: Lab) -> None:
    lab.upstream.answer(response(200, [], b"one"))
    lab.upstream.answer(response(200, [], b"two"))
    second = lab.ask([(b"Content-Length", b"300000")], None)
    async with lab.client() as client:
        await client.send(lab.ask() + second + b"x" * 1000)
        assert bytes((await client.receive()).body) == b"one"
        await client.send(b"x" * 299000)
        assert bytes((await client.receive()).body) == b"two"
    assert len(lab.upstream.requests[1].body) == 300000


async def test_a_pipeline_behind_a_close_is_not_served(lab: Lab) -> None:
    lab.upstream.answer(OK)
    async with lab.client() as client:
        await client.send(lab.ask([(b"Connection", b"close")]) + lab.ask())
        received = await client.receive()
        assert (received.status, received.header(b"connection")) == (200, b"close")
        assert await client.wait_closed() == b""
    assert len(lab.upstream.requests) == 1


async def test_malformed_bytes_behind_a_good_request(lab: Lab) -> None:
    lab.upstream.answer(OK)
    async with lab.client() as client:
        await client.send(lab.ask() + b"\x00nonsense\r\n\r\n")
        assert (await client.receive()).status == 200
        await client.wait_closed()


async def test_a_client_that_leaves_behind_its_pipeline(lab: Lab) -> None:
    """Only the request under way was given to a provider, and that is let go as soon as it says more."""
    gone = asyncio.Event()
    more: list[Step] = [Pause(0.02), Send(chunk(b"more"))] * 100
    lab.upstream.play(ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(gone), *more)
    async with lab.client() as client:
        await client.send(lab.ask() * 3)
        await client.receive(5)
    gone.set()
    await lab.upstream.wait_closed(within=1)
    assert len(lab.upstream.requests) == 1


@pytest.mark.parametrize(
    ("version", "connection", "stays"),
    [
        (b"HTTP/1.1", None, True),
        (b"HTTP/1.1", b"keep-alive", True),
        (b"HTTP/1.1", b"close", False),
        (b"HTTP/1.1", b"Close", False),
        (b"HTTP/1.1", b"x, close", False),
        (b"HTTP/1.0", None, False),
        (b"HTTP/1.0", b"close", False),
        (b"HTTP/1.0", b"keep-alive", True),
    ],
)
@pytest.mark.parametrize("target", [CHAT, b"/nobody/v1", b"/", b"/mistral/v1"])
async def test_who_keeps_the_connection(
    lab: Lab, target: bytes, version: bytes, connection: bytes | None, stays: bool
) -> None:
    lab.upstream.default = (ReadBody(), Send(OK))
    headers = [HOST, OWN_KEY, *([(b"Connection", connection)] if connection else [])]
    sent = request(b"GET", target, headers).replace(b"HTTP/1.1", version, 1)
    async with lab.client() as client:
        received = await client.exchange(sent)
        assert received.complete
        if stays and (version == b"HTTP/1.1" or target in (CHAT, b"/mistral/v1")):
            assert received.header(b"connection") in (None, b"keep-alive")
            assert version == b"HTTP/1.1" or received.header(b"connection") == b"keep-alive"
            assert (await client.exchange(sent)).complete
        else:
            assert received.header(b"connection") == b"close"
            assert await client.wait_closed() == b""


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        (b"http://gateway.test/openai/v1/models?a=b", b"/v1/models?a=b"),
        (b"HTTPS://other.test:8443/openai/v1/x", b"/v1/x"),
        (b"http://[::1]:80/openai", b"/"),
    ],
)
async def test_absolute_targets(lab: Lab, target: bytes, forwarded: bytes) -> None:
    sent, received = await lab.relay(request(b"GET", target, [HOST, OWN_KEY]))
    assert (sent.target, received.status) == (forwarded, 200)


async def test_an_absolute_target_without_a_path_is_the_index(wire: WireClient) -> None:
    assert (await wire.exchange(get(b"http://gateway.test"))).status == 200


@pytest.mark.parametrize("target", [b"*", b"openai/v1/models", b"ftp://x/openai/v1"])
async def test_other_targets_are_nobodys(wire: WireClient, target: bytes) -> None:
    method = b"OPTIONS" if target == b"*" else b"GET"
    received = await wire.exchange(request(method, target, [HOST, OWN_KEY]))
    assert received.status in (400, 404)
    assert received.header(b"x-beyond-error-source") == b"gateway"


async def test_expect_is_relayed_and_the_body_waits_for_the_provider(lab: Lab) -> None:
    lab.upstream.play(Send(b"HTTP/1.1 100 Continue\r\n\r\n"), ReadBody(), Send(OK))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Expect", b"100-continue"), (b"Content-Length", b"4")], None))
        assert (await client.receive_interim()).interim == [100]
        await client.send(b"body")
        assert (await client.receive()).status == 200
    assert bytes(lab.upstream.requests[0].body) == b"body"


async def test_a_refused_expectation_gets_no_100(lab: Lab) -> None:
    headers = [HOST, (b"Expect", b"100-continue"), (b"Content-Length", b"4")]
    received = await last_answer(lab, request(b"POST", CHAT, headers))
    check_refusal(received, 401, "missing API key", "authentication_error")
    assert received.interim == []


async def test_an_expectation_that_the_provider_refuses(lab: Lab) -> None:
    """The client will not send its body: nothing that follows may be taken for it."""
    lab.upstream.play(Send(response(417, [], b"no")))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Expect", b"100-continue"), (b"Content-Length", b"4")], None))
        received = await client.receive()
        assert (received.interim, received.status, bytes(received.body)) == ([], 417, b"no")
        assert received.header(b"connection") == b"close"


@pytest.mark.parametrize("size", [1, 5000, 900_000])
async def test_a_refusal_keeps_the_connection_when_little_is_unread(lab: Lab, size: int) -> None:
    refused = request(b"POST", CHAT, [HOST, (b"Content-Length", b"%d" % size)])
    lab.upstream.answer(OK)
    async with lab.client() as client:
        received = await client.exchange(refused)
        check_refusal(received, 401, "missing API key", "authentication_error")
        assert received.header(b"connection") is None
        await client.send(bytes(size))
        assert (await client.exchange(lab.ask())).status == 200


async def test_a_refusal_closes_when_much_is_unread_and_is_still_read(lab: Lab) -> None:
    sent = request(b"POST", CHAT, [HOST, (b"Content-Length", b"%d" % HUGE)])
    async with lab.client() as client:
        await client.send(sent)
        sending = asyncio.ensure_future(client.send(bytes(HUGE)))
        received = await client.receive()
        check_refusal(received, 401, "missing API key", "authentication_error")
        assert received.header(b"connection") == b"close"
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_refused_chunked_body_is_read_up_to_a_limit(lab: Lab) -> None:
    head = request(b"POST", CHAT, [HOST, (b"Transfer-Encoding", b"chunked")])
    async with lab.client() as client:
        check_refusal(await client.exchange(head), 401, "missing API key", "authentication_error")
        sending = asyncio.ensure_future(client.send(chunk(bytes(65536)) * (HUGE // 65536)))
        assert await client.wait_closed() == b""
        sending.cancel()
        await asyncio.wait([sending])


async def test_an_empty_line_ahead_of_a_request_is_passed_over(lab: Lab) -> None:
    """RFC 9112, section 2.2."""
    _, received = await lab.relay(b"\r\n" + lab.ask())
    assert received.status == 200


async def test_a_connection_that_says_nothing_is_no_error(wire: WireClient, lab: Lab) -> None:
    before = lab.gateway.stderr
    await wire.aclose()
    async with lab.client() as client:
        await client.send(b"POST /openai/v1/chat/com")
    async with lab.client() as client:
        assert (await client.exchange(get(b"/"))).status == 200
    assert "Traceback" not in lab.gateway.stderr.removeprefix(before)
