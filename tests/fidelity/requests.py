"""Rows about the client's request on its way to the provider."""

import asyncio
import random

from tests.fidelity.matrix import BODY, CHAT, JSON, MESSAGES, OK, ONLY_BYO, ONLY_MANAGED, RESPONSES, Group, Lab

from beyond_ai.testing import LAST_CHUNK, ReadBody, Send, Tell, chunk, response_head

GROUP = Group("Requests")

ODD_BODY = (
    b'{ "stream" :true, "stream_options": {"include_usage" : true}, "unknown_field":{"z":1,"a":[1.0,1e2]},\n'
    b'"metadata":{"user":"1"},"tags":["t"] ,'
    b'"model":"gpt-4o","messages":[{"content":"\\u00e9\xc3\xa9","role":"user"}]}\n'
)
BIG = b'{"model":"m","input":"' + random.Random(2).randbytes(8 << 20).hex().encode() + b'"}'
CHUNKED = (b"Transfer-Encoding", b"chunked")


@GROUP.promise("The body is what the client sent: unknown fields, `metadata`, key order, spacing, escapes")
async def request_bytes(lab: Lab) -> None:
    for target in (CHAT, MESSAGES, b"/openai/v1/responses", b"/groq/openai/v1/chat/completions"):
        sent, _ = await lab.relay(lab.ask(body=ODD_BODY, target=target))
        assert bytes(sent.body) == ODD_BODY


@GROUP.promise("A body that is not JSON, or not UTF-8, is the provider's to refuse")
async def request_not_json(lab: Lab) -> None:
    for body in (b'{"model":"\xff\xfe', b"\x00\x01\x02", b"", b"[[[[", b'{"stream":true'):
        sent, _ = await lab.relay(lab.ask(body=body, target=b"/openai/v1/embeddings"))
        assert (bytes(sent.body), sent.complete) == (body, True)


@GROUP.promise("Length or chunks: the same bytes arrive, megabytes of them too")
async def request_framing(lab: Lab) -> None:
    for body, target in ((BODY, CHAT), (BIG, RESPONSES)):
        sent, _ = await lab.relay(lab.ask(body=body, target=target))
        assert sent.body == body
        assert sent.header(b"content-length") == b"%d" % len(body)
    sent, _ = await lab.relay(lab.ask(body=BIG))
    assert sent.body == BIG
    pieces = b"".join(chunk(BIG[start : start + 70_001]) for start in range(0, len(BIG), 70_001))
    sent, _ = await lab.relay(lab.ask([CHUNKED], None) + pieces + LAST_CHUNK)
    assert sent.body == BIG
    assert (sent.header(b"transfer-encoding"), sent.header(b"content-length")) == (b"chunked", None)


@GROUP.promise("The provider has each part of an upload before the client sends the next")
async def request_incremental(lab: Lab) -> None:
    parts = [b'{"model":"gpt-4o",', b'"input":"a', b'b"', b"}"]
    whole = b"".join(parts)
    target = b"/openai/v1/embeddings"
    for declared in (True, False):
        there = [asyncio.Event() for _ in parts]
        sizes = [len(b"".join(parts[: count + 1])) for count in range(len(parts))]
        steps = [step for size, event in zip(sizes, there, strict=True) for step in (ReadBody(size), Tell(event))]
        lab.upstream.play(*steps, ReadBody(), Send(OK))
        async with lab.client() as client:
            framing = (b"Content-Length", b"%d" % len(whole)) if declared else CHUNKED
            await client.send(lab.ask([framing], None, target=target))
            for part, event in zip(parts, there, strict=True):
                await client.send(part if declared else chunk(part))
                await asyncio.wait_for(event.wait(), 5)
            if not declared:
                await client.send(LAST_CHUNK)
            assert (await client.receive()).status == 200
        assert bytes(lab.upstream.requests[-1].body) == whole


@GROUP.promise(
    "Every header passes, in order and spelling, repeats too: `traceparent`, `idempotency-key`, your own",
    callers=ONLY_BYO,
)
async def request_headers(lab: Lab) -> None:
    own = [
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"tracestate", b"vendor=1,other=2"),
        (b"Idempotency-Key", b"stainless-python-retry-1"),
        (b"X-Custom", b"1"),
        (b"OpenAI-Organization", b"org-fake"),
        (b"OpenAI-Beta", b"assistants=v2"),
        (b"anthropic-beta", b"context-1m-2025-08-07, files-api-2025-04-14"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-custom", b"2"),
        (b"Cookie", b"session=fake"),
        (b"User-Agent", b"odd/1 (client)"),
        (b"Accept", b"*/*"),
        (b"Accept-Encoding", b"gzip, br;q=0.5"),
        (b"x-stainless-retry-count", b"0"),
        (b"X-Empty", b""),
        (b"x-latin", b"caf\xe9"),
    ]
    sent, _ = await lab.relay(lab.ask(own))
    kept = [field for field in sent.headers if field[0].lower() not in {b"host", b"content-length"}]
    assert kept == [lab.key, JSON, *own]


@GROUP.promise("The query is verbatim: `?beta=true`, `%2F`, `+`, empty parameters, an empty `?`")
async def query_verbatim(lab: Lab) -> None:
    for query in (b"?beta=true", b"?a=%2F&b=a+b&c=%zz&&d&=e&a=2", b"?", b"?api-version=2024-10-21", b"?x=%E9&monkey=1"):
        sent, _ = await lab.relay(lab.ask(target=CHAT + query))
        assert sent.target == b"/v1/chat/completions" + query


@GROUP.promise("The path is verbatim: percent-encodings, double slashes, dots, odd characters", callers=ONLY_BYO)
async def path_verbatim(lab: Lab) -> None:
    paths = (
        b"/v1/files/a%2Fb%2f%41/content",
        b"/v1//files///x/",
        b"/v1/./a/../b",
        b"/v1/models/org:model@2026;v=1,~(x)!*'$",
        b"/",
        b"/v1/caf%C3%A9",
    )
    for path in paths:
        sent, _ = await lab.relay(lab.ask(body=None, method=b"GET", target=b"/openai" + path))
        assert sent.target == path
    sent, _ = await lab.relay(lab.ask(body=None, method=b"GET", target=b"/v1/models"))
    assert sent.target == b"/v1/models"
    sent, _ = await lab.relay(lab.ask(body=None, method=b"GET", target=b"/openai"))
    assert sent.target == b"/"


@GROUP.promise("Every method passes, with and without a body", callers=ONLY_BYO)
async def methods(lab: Lab) -> None:
    for method in (b"GET", b"DELETE", b"PATCH", b"PUT", b"HEAD", b"OPTIONS", b"POST"):
        for body in (None, BODY):
            answer = response_head(200, [(b"content-length", b"0")])
            sent, received = await lab.relay(
                lab.ask(body=body, method=method, target=b"/openai/v1/files/file-1"), answer
            )
            assert (sent.method, sent.target, bytes(sent.body)) == (method, b"/v1/files/file-1", body or b"")
            assert received.status == 200
            if body is None:
                assert b"transfer-encoding" not in sent.names
                assert sent.header(b"content-length") in (None, b"0")


@GROUP.promise("Hop-by-hop headers stop here, those that `Connection` names included")
async def request_hop_by_hop(lab: Lab) -> None:
    hop = [
        (b"Connection", b"keep-alive, X-Named"),
        (b"Keep-Alive", b"timeout=5"),
        (b"X-Named", b"for the next hop"),
        (b"Proxy-Authorization", b"Basic ZmFrZTpmYWtl"),
        (b"Proxy-Connection", b"keep-alive"),
        (b"TE", b"trailers"),
        (b"Trailer", b"x-later"),
        (b"User-Agent", b"stays"),
    ]
    sent, _ = await lab.relay(lab.ask(hop))
    assert sent.header(b"user-agent") == b"stays"
    dropped = {b"x-named", b"proxy-authorization", b"proxy-connection", b"te", b"trailer", b"keep-alive"}
    assert not dropped & set(sent.names)


@GROUP.promise("The gateway's own namespace, `x-beyond-*`, stays inside")
async def request_private_namespace(lab: Lab) -> None:
    sent, _ = await lab.relay(lab.ask([(b"x-beyond-metadata", b"{}"), (b"X-BEYOND-ODD", b"1")]))
    assert not [name for name in sent.names if name.startswith(b"x-beyond-")]


@GROUP.promise("`Host` is the provider's, once")
async def host(lab: Lab) -> None:
    sent, _ = await lab.relay(lab.ask())
    assert sent.values(b"host") == [b"127.0.0.1"]
    sent, _ = await lab.relay(lab.ask(target=b"/openrouter/api/v1/chat/completions"))
    assert sent.values(b"host") == [b"localhost"]
    assert sent.target == b"/api/v1/chat/completions"


@GROUP.promise("`Expect: 100-continue` is answered once, and the body follows")
async def expect_continue(lab: Lab) -> None:
    lab.upstream.play(Send(response_head(100)), ReadBody(), Send(OK))
    async with lab.client() as client:
        expects = [(b"Expect", b"100-continue"), (b"Content-Length", b"%d" % len(BODY))]
        await client.send(lab.ask(expects, None, target=RESPONSES))
        await client.receive_interim()
        await client.send(BODY)
        received = await client.receive()
    assert (received.status, received.interim) == (200, [100])
    assert bytes(lab.upstream.requests[-1].body) == BODY


@GROUP.promise("With your own key, every credential goes on as you sent it", callers=ONLY_BYO)
async def own_credentials(lab: Lab) -> None:
    own = [(b"x-api-key", b"sk-fake-2"), (b"api-key", b"fake-3"), (b"X-Goog-Api-Key", b"fake-4")]
    sent, _ = await lab.relay(lab.ask(own, target=CHAT + b"?key=fake-5&k%65y=fake-6"))
    assert [field for field in sent.headers if field in [lab.key, *own]] == [lab.key, *own]
    assert sent.target == b"/v1/chat/completions?key=fake-5&k%65y=fake-6"


@GROUP.promise(
    "On a pool key, only the documented headers go on; answers are asked for uncompressed", callers=ONLY_MANAGED
)
async def allow_list(lab: Lab) -> None:
    refused = [
        (b"OpenAI-Organization", b"org-fake"),
        (b"OpenAI-Project", b"proj-fake"),
        (b"Cookie", b"session=fake"),
        (b"x-goog-user-project", b"fake"),
        (b"X-Forwarded-For", b"10.0.0.1"),
        (b"Forwarded", b"for=10.0.0.1"),
        (b"x-stainless-lang", b"python"),
        (b"X-Custom", b"1"),
        (b"baggage", b"user=1"),
        (b"Accept-Encoding", b"gzip, br"),
    ]
    allowed = [
        (b"Accept", b"text/event-stream"),
        (b"User-Agent", b"client/1"),
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"prompt-caching-2024-07-31"),
        (b"traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (b"tracestate", b"vendor=1"),
    ]
    sent, _ = await lab.relay(lab.ask([*refused, *allowed]))
    by_gateway = {
        (b"host", b"127.0.0.1"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer " + lab.pool_key()),
        (b"content-length", b"%d" % len(BODY)),
    }
    spelled = {(name.lower(), value) for name, value in sent.headers}
    assert spelled == by_gateway | {JSON} | {(name.lower(), value) for name, value in allowed}
    assert len(sent.headers) == len(spelled), "none twice"


@GROUP.promise(
    "A Chat stream is made to ask for its usage, and nothing else in the body moves: one member is added or changed",
    callers=ONLY_MANAGED,
)
async def include_usage(lab: Lab) -> None:
    plain = b'{ "stream" :true,  "unknown_field":{"z":1,"a":[1.0,1e2]},"messages":[] ,\n"model":"gpt-4o" }\n'
    sent, _ = await lab.relay(lab.ask(body=plain))
    assert sent.body == plain.replace(b" }\n", b' ,"stream_options":{"include_usage":true}}\n')
    refused = plain.replace(b'"messages"', b'"stream_options" : {"a":1, "include_usage":false } , "messages"')
    sent, _ = await lab.relay(lab.ask(body=refused))
    assert sent.body == refused.replace(b"false", b"true")


@GROUP.promise("With your own key, or without a stream, a request asks for usage only if you do")
async def own_options(lab: Lab) -> None:
    for body in (BODY, BODY[:-1] + b',"stream":false}', ODD_BODY):
        sent, _ = await lab.relay(lab.ask(body=body))
        assert sent.body == body
    if lab.caller.managed:
        return
    body = BODY[:-1] + b',"stream":true}'
    sent, _ = await lab.relay(lab.ask(body=body))
    assert sent.body == body
