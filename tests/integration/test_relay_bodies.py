"""Bodies and their framing, over real sockets; the rows of tests/fidelity hold the rest."""

import asyncio

from tests.fidelity.matrix import BODY, EVENTS, OK, Lab
from tests.integration.exchanges import check_refusal, get, metrics, post

from beyond_ai.gateway.rejection import MAX_BODY
from beyond_ai.testing import (
    LAST_CHUNK,
    Close,
    ReadBody,
    Send,
    Tell,
    Until,
    WireClient,
    chunk,
    chunked_head,
    response,
    response_head,
)

UPLOAD = b"/openai/v1/files"
ZEROS = chunk(bytes(1 << 20))


async def test_interim_answers_pass_ahead_of_the_final_one(lab: Lab) -> None:
    hints = response_head(103, [(b"Link", b"</style.css>"), (b"X-Beyond-A", b"1"), (b"Connection", b"x")])
    lab.upstream.play(ReadBody(), Send(response_head(102) + hints), Send(OK))
    async with lab.client() as client:
        received = await client.exchange(lab.ask())
    assert (received.interim, received.status, bytes(received.body)) == ([102, 103], 200, b"{}")
    interim = bytes(client.received).partition(b"HTTP/1.1 200")[0]
    assert b"\r\nLink: </style.css>\r\n\r\n" in interim
    assert b"x-beyond" not in interim.lower()


async def test_an_old_client_gets_no_interim_answer(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Send(response_head(103)), Send(OK))
    async with lab.client() as client:
        received = await client.exchange(lab.ask().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert (received.interim, received.status) == ([], 200)


async def test_trailers_and_chunk_extensions_end_at_the_gateway(lab: Lab) -> None:
    answer = chunked_head(200, [EVENTS]) + b'3;a="b"\r\nabc\r\n0;x\r\nX-Sum: 1\r\n\r\n'
    asked = lab.ask([(b"Transfer-Encoding", b"chunked"), (b"Trailer", b"X-Sum")], None)
    asked += b"4;name=value\r\nwxyz\r\n0\r\nX-Sum: 2\r\nAuthorization: Bearer other\r\n\r\n"
    sent, received = await lab.relay(asked, answer)
    assert (bytes(sent.body), bytes(received.body)) == (b"wxyz", b"abc")
    assert b"X-Sum" not in lab.upstream.received
    assert b"Bearer other" not in lab.upstream.received


async def test_no_body_and_an_empty_one(lab: Lab) -> None:
    for body, length in ((None, None), (b"", b"0")):
        sent, received = await lab.relay(lab.ask(body=body))
        assert (sent.header(b"content-length"), bytes(sent.body), received.status) == (length, b"", 200)


async def test_an_empty_chunked_body(lab: Lab) -> None:
    asked = lab.ask([(b"Transfer-Encoding", b"chunked")], None) + LAST_CHUNK
    sent, _ = await lab.relay(asked, chunked_head(200) + LAST_CHUNK)
    assert (sent.header(b"transfer-encoding"), bytes(sent.body), sent.complete) == (b"chunked", b"", True)


async def test_an_early_answer_leaves_the_connection_usable_when_little_is_to_come(lab: Lab) -> None:
    lab.upstream.play(ReadBody(4), Send(response(413, [], b"no")), Close())
    lab.upstream.answer(response(200, [], b"next"))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"100000")], None) + BODY)
        early = await client.receive()
        assert (early.status, bytes(early.body), early.complete) == (413, b"no", True)
        await client.send(b" " * (100000 - len(BODY)))
        assert bytes((await client.exchange(lab.ask())).body) == b"next"


async def test_an_early_answer_goes_on_while_the_body_does(lab: Lab) -> None:
    gate = asyncio.Event()
    first = chunked_head(200, [EVENTS]) + chunk(b"early")
    lab.upstream.play(ReadBody(4), Send(first), ReadBody(), Tell(gate), Send(chunk(b"late") + LAST_CHUNK))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"8")], None) + b"1234")
        assert bytes((await client.receive(5)).body) == b"early"
        assert not gate.is_set()
        await client.send(b"5678")
        received = await client.receive()
    assert (bytes(received.body), received.complete) == (b"earlylate", True)
    assert bytes(lab.upstream.requests[0].body) == b"12345678"


async def test_an_early_answer_to_a_great_body_ends_the_connection_in_order(lab: Lab) -> None:
    """The client can still be sending when the answer comes: it must get to read it."""
    lab.upstream.play(ReadBody(4), Send(response(413, [], b"no")), Close())
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"%d" % (8 << 20))], None) + BODY)
        early = await client.receive()
        assert (early.status, bytes(early.body)) == (413, b"no")
        sending = asyncio.ensure_future(client.send(bytes(4 << 20)))
        assert await client.wait_closed() == b""
        sending.cancel()
        await asyncio.wait([sending])


async def test_a_declared_body_over_the_limit_is_refused_at_once(lab: Lab) -> None:
    before = metrics(lab.gateway)['ai_rejections_total{reason="body_too_large"}']
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"%d" % (MAX_BODY + 1))], None, target=UPLOAD))
        received = await client.receive()
        check_refusal(received, 413, "request body too large")
        assert received.header(b"connection") == b"close"
        assert await client.wait_closed() == b""
    assert lab.upstream.requests == []
    assert metrics(lab.gateway)['ai_rejections_total{reason="body_too_large"}'] == before + 1


async def test_a_declared_body_at_the_limit_is_relayed(lab: Lab) -> None:
    started = asyncio.Event()
    lab.upstream.play(ReadBody(1), Tell(started), Until(asyncio.Event()))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"%d" % MAX_BODY)], None, target=UPLOAD) + b"x")
        await asyncio.wait_for(started.wait(), 5)
    assert lab.upstream.requests[0].header(b"content-length") == b"%d" % MAX_BODY
    await lab.upstream.wait_closed(within=2)


async def test_a_body_that_grows_over_the_limit_is_refused_while_it_comes(lab: Lab) -> None:
    lab.upstream.play(Until(asyncio.Event()))
    async with lab.client() as client:
        await client.send(lab.ask([(b"Transfer-Encoding", b"chunked")], None, target=UPLOAD))
        for _ in range(100):
            await client.send(ZEROS)
        assert client.received == b""
        await client.send(chunk(b"x"))
        received = await client.receive(within=20)
        check_refusal(received, 413, "request body too large")
    await lab.upstream.wait_closed()
    [sent] = lab.upstream.requests
    assert (sent.aborted, sent.complete) == (True, False)
    assert MAX_BODY * 0.9 < len(sent.body) <= MAX_BODY


async def test_a_client_that_leaves_takes_everything_with_it(lab: Lab) -> None:
    def under_way() -> tuple[float, float]:
        page = metrics(lab.gateway)
        return page["ai_requests_in_flight"], page["ai_active_streams"]

    started = chunked_head(200, [EVENTS]) + chunk(b"data: 1\n\n")
    lab.upstream.play(ReadBody(), Send(started), Until(asyncio.Event()))
    assert await asyncio.to_thread(under_way) == (0, 0)
    async with lab.client() as client:
        await client.send(lab.ask())
        await client.receive(5)
        assert await asyncio.to_thread(under_way) == (1, 1)
    await lab.upstream.wait_closed(within=2)
    assert await asyncio.to_thread(under_way) == (0, 0)


async def test_a_client_that_half_closes_still_gets_its_answer_or_a_close(lab: Lab, wire: WireClient) -> None:
    """RFC 9112, section 9.6, leaves it to the server whether a half-closed connection is answered."""
    lab.upstream.answer(OK)
    await wire.send(post(b"/openai/v1/models"))
    await lab.upstream.wait_for_requests(1)
    wire._writer.write_eof()
    received = await wire.receive()
    assert received.complete or received.broken


async def test_get_with_a_body(lab: Lab) -> None:
    sent, received = await lab.relay(lab.ask(method=b"GET", body=b"query"))
    assert (sent.method, bytes(sent.body), received.status) == (b"GET", b"query", 200)


async def test_head_keeps_the_connection_in_step(lab: Lab) -> None:
    lab.upstream.answer(response_head(200, [(b"Content-Length", b"5000")]))
    lab.upstream.answer(response(200, [], b"after"))
    async with lab.client() as client:
        head = await client.exchange(lab.ask(method=b"HEAD", body=None))
        assert (head.status, head.header(b"content-length"), bytes(head.body)) == (200, b"5000", b"")
        assert bytes((await client.exchange(lab.ask())).body) == b"after"
        assert (await client.exchange(get(b"/"))).status == 200
