"""Rows about the provider's answer on its way to the client."""

import asyncio
import gzip
import random

from tests.fidelity.matrix import ADDED, BODY, CHAT, EVENTS, JSON, ONLY_BYO, ONLY_MANAGED, Group, Lab

from beyond_ai.testing import (
    LAST_CHUNK,
    Close,
    ReadBody,
    Send,
    Until,
    chunk,
    chunked,
    chunked_head,
    close_delimited,
    response,
    response_head,
)

GROUP = Group("Answers")

ODD_JSON = (
    b'{ "zeta" : 1,\n\t"alpha":[ ],"unknown_field":{"b":1.50,"a":1e3},"alpha":null, "usage":{"prompt_tokens":1,'
    b'"completion_tokens":2,"total_tokens":3} ,"text":"\\u0041\\/\xc3\xa9"}\n\n'
)
ODD_EVENTS = (
    b'data: {"id":"1","model":"m","choices":[{"delta":{"content":"a"},"index":0,"finish_reason":null}],"new":{}}\n\n'
    b'data:{"choices":[ {"index":0,"delta":{"content":"b"},"finish_reason":null} ],"created":1,"id":"1"}\n\n'
    b"id: 7\nretry: 3000\nevent: odd\ndata: two\ndata:  lines\n\n"
    b"data: [DONE]\n\n"
)
BIG = random.Random(1).randbytes(8 << 20)


async def same_events(lab: Lab, events: bytes) -> None:
    """An event stream with the body EVENTS arrives byte for byte."""
    received = await lab.answer(chunked(200, [EVENTS], [events]))
    assert bytes(received.body) == events
    assert received.header(b"content-type") == b"text/event-stream"


@GROUP.promise("A JSON body is not parsed and written again: unknown fields, key order, spacing, escapes stay")
async def json_bytes(lab: Lab) -> None:
    for status in (200, 400):
        received = await lab.answer(response(status, [JSON], ODD_JSON))
        assert bytes(received.body) == ODD_JSON


@GROUP.promise("An event stream's bytes are identical: field order, unknown fields, `finish_reason: null`, `id:`")
async def sse_bytes(lab: Lab) -> None:
    await same_events(lab, ODD_EVENTS)


@GROUP.promise("Comments in an event stream (keep-alives) are forwarded")
async def sse_comments(lab: Lab) -> None:
    await same_events(lab, b": OPENROUTER PROCESSING\n\n:\n\n:ping\n" + ODD_EVENTS + b": bye\n\n")


@GROUP.promise("Anthropic's `event: ping` is kept")
async def sse_ping(lab: Lab) -> None:
    await same_events(lab, b'event: ping\ndata: {"type": "ping"}\n\nevent: ping\ndata: {}\n\n' + ODD_EVENTS)


@GROUP.promise("Line ends stay what they were: LF, CRLF, CR, mixed")
async def sse_line_ends(lab: Lab) -> None:
    for end in (b"\r\n", b"\r"):
        await same_events(lab, ODD_EVENTS.replace(b"\n", end))
    await same_events(lab, b'data: {"a":1}\r\n\r\ndata: {"b":2}\r\rdata: {"c":3}\n\r\n')


@GROUP.promise("A last frame without its blank line arrives, and none is invented: no `[DONE]`, no line end")
async def sse_open_end(lab: Lab) -> None:
    await same_events(lab, b'data: {"choices":[]}\n\ndata: {"the":"last"}')


@GROUP.promise("Bytes that are not UTF-8 pass")
async def not_utf8(lab: Lab) -> None:
    await same_events(lab, b'data: {"text":"\xff\xfe\xc3\x28"}\n\n\x00\x80\n\n')
    received = await lab.answer(response(200, [JSON], b'{"model":"\xff","text":"\xed\xa0\x80"}'))
    assert bytes(received.body) == b'{"model":"\xff","text":"\xed\xa0\x80"}'


@GROUP.promise("A compressed body stays compressed, `content-encoding` with it", callers=ONLY_BYO)
async def compressed(lab: Lab) -> None:
    body = gzip.compress(ODD_JSON)
    sent, received = await lab.relay(
        lab.ask([(b"Accept-Encoding", b"gzip")]), response(200, [JSON, (b"content-encoding", b"gzip")], body)
    )
    assert (sent.header(b"accept-encoding"), received.header(b"content-encoding")) == (b"gzip", b"gzip")
    assert bytes(received.body) == body


@GROUP.promise("A body of megabytes arrives whole, whatever its framing")
async def large_answer(lab: Lab) -> None:
    pieces = [BIG[start : start + 100_003] for start in range(0, len(BIG), 100_003)]
    for whole in (response(200, [], BIG), chunked(200, [], pieces)):
        received = await lab.answer(whole)
        assert received.body == BIG


@GROUP.promise("Chunks arrive one by one: the client has each before the provider sends the next")
async def incremental(lab: Lab) -> None:
    frames = [b'data: {"n":%d}\n\n' % n for n in range(6)]
    gates = [asyncio.Event() for _ in frames]
    steps = [step for gate, frame in zip(gates, frames, strict=True) for step in (Until(gate), Send(chunk(frame)))]
    done = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(chunked_head(200, [EVENTS])), *steps, Until(done), Send(LAST_CHUNK))
    async with lab.client() as client:
        await client.send(lab.ask())
        head = await client.receive(0)
        assert (head.status, bytes(head.body)) == (200, b""), "the head comes before any of the body"
        for count, gate in enumerate(gates, start=1):
            gate.set()
            received = await client.receive(len(b"".join(frames[:count])))
            assert (bytes(received.body), received.complete) == (b"".join(frames[:count]), False)
        done.set()
        assert (await client.receive()).complete


@GROUP.promise("Half a frame, and half a character, is forwarded as it comes")
async def half_frames(lab: Lab) -> None:
    frame = 'data: {"text":"é"}\n\n'.encode()
    gate = asyncio.Event()
    cut = frame.index(b"\xc3") + 1
    lab.upstream.play(
        ReadBody(),
        Send(chunked_head(200, [EVENTS]) + chunk(frame[:cut])),
        Until(gate),
        Send(chunk(frame[cut:]) + LAST_CHUNK),
    )
    async with lab.client() as client:
        await client.send(lab.ask())
        received = await client.receive(cut)
        assert bytes(received.body) == frame[:cut]
        gate.set()
        assert bytes((await client.receive()).body) == frame


@GROUP.promise("Status and reason phrase are the provider's, known to the RFCs or not")
async def status_and_reason(lab: Lab) -> None:
    for status, reason in (
        (201, b"Created"),
        (299, b"Fine, more or less"),
        (418, b"I'm a teapot"),
        (529, b"Overloaded"),
    ):
        received = await lab.answer(response(status, [JSON], b"{}", reason=reason))
        assert (received.status, received.reason) == (status, reason)


@GROUP.promise("An error's status, body and headers are the provider's own, and not marked as the gateway's")
async def error_verbatim(lab: Lab) -> None:
    body = b'{"error" : {"message":"You exceeded your quota", "type":"insufficient_quota","code":null, "x":1}}\n'
    for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529):
        received = await lab.answer(response(status, [JSON, (b"retry-after", b"20")], body))
        assert (received.status, bytes(received.body)) == (status, body)
        assert received.header(b"retry-after") == b"20"
        assert received.header(b"x-beyond-error-source") is None


async def same_headers(lab: Lab, headers: list[tuple[bytes, bytes]], status: int = 200) -> None:
    """HEADERS arrive in order and spelling, and beside them only what the gateway says that it adds."""
    received = await lab.answer(response(status, headers, b"{}"))
    kept = [field for field in received.headers if field[0].lower() not in ADDED | {b"content-length"}]
    assert kept == headers
    assert received.header(b"content-length") == b"2"


@GROUP.promise("`retry-after`, `retry-after-ms`, `x-should-retry` reach the client")
async def retry_headers(lab: Lab) -> None:
    for status in (429, 503):
        await same_headers(
            lab, [JSON, (b"retry-after", b"1.5"), (b"retry-after-ms", b"1500"), (b"x-should-retry", b"true")], status
        )
    await same_headers(lab, [(b"Retry-After", b"Wed, 21 Oct 2026 07:28:00 GMT"), (b"X-Should-Retry", b"false")], 500)


@GROUP.promise("`x-request-id`, `request-id`, `openai-*`, `cf-ray` reach the client")
async def request_ids(lab: Lab) -> None:
    await same_headers(
        lab,
        [
            (b"x-request-id", b"req_1"),
            (b"request-id", b"req_2"),
            (b"openai-organization", b"org-of-the-provider"),
            (b"openai-processing-ms", b"12"),
            (b"openai-version", b"2020-10-01"),
            (b"CF-RAY", b"8f0-OSL"),
        ],
    )


@GROUP.promise("`x-ratelimit-*` and `anthropic-ratelimit-*` reach the client")
async def ratelimit_headers(lab: Lab) -> None:
    await same_headers(
        lab,
        [
            (b"x-ratelimit-limit-requests", b"500"),
            (b"x-ratelimit-remaining-tokens", b"29999"),
            (b"x-ratelimit-reset-tokens", b"6m0s"),
            (b"anthropic-ratelimit-requests-limit", b"50"),
            (b"anthropic-ratelimit-unified-status", b"allowed_warning"),
            (b"anthropic-ratelimit-unified-7d-reset", b"1760000000"),
        ],
    )


@GROUP.promise("All other headers too: order, spelling, repeats (`set-cookie`), empty values, bytes above 127")
async def answer_headers(lab: Lab) -> None:
    await same_headers(
        lab,
        [
            (b"Zebra", b"1"),
            (b"set-cookie", b"a=1; Path=/"),
            (b"X-UPPER", b"Mixed Case, and, commas"),
            (b"Set-Cookie", b"b=2; Secure"),
            (b"alpha", b""),
            (b"date", b"Mon, 01 Jan 2001 00:00:00 GMT"),
            (b"server", b"provider/1"),
            (b"x-latin", b"caf\xe9"),
            (b"set-cookie", b"c=3"),
            (b"warning", b'199 - "odd"'),
        ],
    )


@GROUP.promise("Hop-by-hop headers stop here, those that `Connection` names included")
async def answer_hop_by_hop(lab: Lab) -> None:
    hop = [
        (b"Connection", b"keep-alive, X-Named"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Named", b"for the next hop"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"Trailer", b"x-later"),
        (b"TE", b"trailers"),
        (b"x-end-to-end", b"stays"),
    ]
    received = await lab.answer(response(200, hop, b"{}"))
    assert received.header(b"x-end-to-end") == b"stays"
    dropped = {b"x-named", b"proxy-authenticate", b"proxy-connection", b"trailer", b"te"}
    assert not dropped & set(received.names)
    assert b"X-Named" not in received.head


@GROUP.promise("A provider cannot speak for the gateway: its `x-beyond-*` headers are removed")
async def answer_private_namespace(lab: Lab) -> None:
    spoofed = [
        (b"x-beyond-request-id", b"spoofed"),
        (b"X-Beyond-Error-Source", b"gateway"),
        (b"x-beyond-provider", b"spoofed"),
        (b"x-beyond-anything", b"spoofed"),
    ]
    received = await lab.answer(response(200, spoofed, b"{}"))
    assert b"spoofed" not in received.head
    assert received.header(b"x-beyond-request-id")
    assert received.header(b"x-beyond-provider") == b"openai"
    assert received.header(b"x-beyond-error-source") is None


@GROUP.promise("Answers without a body have none: 204, 304; the head of a `HEAD` keeps its length", callers=ONLY_BYO)
async def bodiless(lab: Lab) -> None:
    async with lab.client() as client:
        for status in (204, 304):
            lab.upstream.answer(response_head(status, [(b"x-one", b"1")]))
            received = await client.exchange(lab.ask(body=None, method=b"GET"))
            assert (received.status, bytes(received.body), received.header(b"x-one")) == (status, b"", b"1")
            assert b"transfer-encoding" not in received.names
        lab.upstream.answer(response_head(200, [(b"content-length", b"1234")]))
        received = await client.exchange(lab.ask(body=None, method=b"HEAD"))
        assert (received.status, received.header(b"content-length")) == (200, b"1234")
        lab.upstream.answer(response(200, [], b"the connection is still in step"))
        received = await client.exchange(lab.ask(body=None, method=b"GET"))
        assert bytes(received.body) == b"the connection is still in step"


@GROUP.promise("A body that ends with the connection arrives whole and ends in good order")
async def close_delimited_body(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Send(close_delimited(200, [EVENTS], ODD_EVENTS)), Close())
    async with lab.client() as client:
        received = await client.exchange(lab.ask())
    assert (bytes(received.body), received.complete) == (ODD_EVENTS, True)


@GROUP.promise("A declared length stays declared, an empty body stays empty")
async def framing(lab: Lab) -> None:
    for body in (b"", ODD_JSON):
        received = await lab.answer(response(200, [JSON], body))
        assert received.header(b"content-length") == b"%d" % len(body)
        assert b"transfer-encoding" not in received.names
    received = await lab.answer(chunked(200, [JSON], []))
    assert (bytes(received.body), received.complete) == (b"", True)


@GROUP.promise("An HTTP/1.0 client gets the same bytes, without chunks")
async def old_client(lab: Lab) -> None:
    old = lab.ask().replace(b"POST %b HTTP/1.1" % CHAT, b"POST %b HTTP/1.0" % CHAT)
    assert old.endswith(BODY)
    _, received = await lab.relay(old, chunked(200, [EVENTS], [ODD_EVENTS]))
    assert b"transfer-encoding" not in received.names
    assert bytes(received.body) == ODD_EVENTS


@GROUP.promise(
    "Of a Chat stream that was made to report its usage, that one frame is withheld from a client that did not ask",
    callers=ONLY_MANAGED,
)
async def usage_frame(lab: Lab) -> None:
    frame = b'data: {"id":"1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    answer = ODD_EVENTS + b": ping\n\n" + frame + b"data: [DONE]\n\n"
    for options, seen in ((b"", answer.replace(frame, b"")), (b',"stream_options":{"include_usage":true}', answer)):
        asked = lab.ask(body=BODY[:-1] + b',"stream":true%b}' % options)
        _, received = await lab.relay(asked, chunked(200, [EVENTS], [answer[:99], answer[99:]]))
        assert bytes(received.body) == seen
