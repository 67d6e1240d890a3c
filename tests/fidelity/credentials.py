"""Rows about keys: a virtual key never reaches a provider, a pool key never reaches a client."""

import gzip

from tests.fidelity.matrix import BODY, CHAT, JSON, MESSAGES, ONLY_MANAGED, Group, Lab
from tests.gateway_process import POOL_KEYS, VIRTUAL_KEY

from beyond_ai.testing import ReadBody, Send, chunked, request, response, response_head

GROUP = Group("Keys")

KEY = VIRTUAL_KEY.encode()
PLACES: list[tuple[list[tuple[bytes, bytes]], bytes]] = [
    ([(b"Authorization", b"Bearer " + KEY)], b""),
    ([(b"authorization", b"bearer  " + KEY)], b""),
    ([(b"Authorization", KEY)], b""),
    ([(b"x-api-key", KEY)], b""),
    ([(b"api-key", KEY)], b""),
    ([(b"X-Goog-Api-Key", KEY)], b""),
    ([], b"?key=" + KEY),
    ([(b"x-api-key", b"sk-fake"), (b"Authorization", b"Bearer " + KEY)], b""),
    ([(b"x-api-key", b"sk-fake"), (b"x-api-key", KEY)], b"?key=fake&key=" + KEY),
    ([(b"Authorization", b"Bearer sk-fake"), (b"Authorization", b"Bearer " + KEY), (b"api-key", b"junk")], b""),
]
"""Where a virtual key may stand: headers and query. Wherever it does, the request is managed."""


def ask(headers: list[tuple[bytes, bytes]], query: bytes = b"", target: bytes = CHAT) -> bytes:
    return request(b"POST", target + query, [(b"Host", b"gateway.test"), JSON, *headers], BODY)


@GROUP.promise(
    "The virtual key is found wherever it stands, and the provider sees none of it, nor of its neighbours",
    callers=ONLY_MANAGED,
)
async def virtual_key_stays_inside(lab: Lab) -> None:
    for headers, query in PLACES:
        sent, received = await lab.relay(ask(headers, query))
        assert received.status == 200
        assert sent.header(b"authorization") == b"Bearer " + lab.pool_key()
        assert not {b"x-api-key", b"api-key", b"x-goog-api-key"} & set(sent.names)
        assert sent.target == b"/v1/chat/completions"
    assert KEY not in lab.upstream.received
    assert b"sk-fake" not in lab.upstream.received


@GROUP.promise(
    "Every spelling of `?key=` is taken out of the query, the other parameters keep place and bytes",
    callers=ONLY_MANAGED,
)
async def key_parameter_is_removed(lab: Lab) -> None:
    queries = {
        b"?key=junk": b"",
        b"?a=1&key=junk&b=%2F": b"?a=1&b=%2F",
        b"?k%65y=junk&a=+&key=more&%6b%65%79=x": b"?a=+",
        b"?key&monkey=1&keys=2&KEY=3": b"?monkey=1&keys=2&KEY=3",
    }
    for query, left in queries.items():
        sent, _ = await lab.relay(ask([(b"Authorization", b"Bearer " + KEY)], query))
        assert sent.target == b"/v1/chat/completions" + left


@GROUP.promise("The pool key goes into the provider's own header, and there only", callers=ONLY_MANAGED)
async def pool_key_placed(lab: Lab) -> None:
    expected = {
        CHAT: (b"authorization", b"Bearer " + lab.pool_key()),
        MESSAGES: (b"x-api-key", lab.pool_key("anthropic")),
        b"/v1/messages": (b"x-api-key", lab.pool_key("anthropic")),
        b"/groq/openai/v1/chat/completions": (b"authorization", b"Bearer " + lab.pool_key("groq")),
        b"/azure/openai/deployments/d/chat/completions": (b"api-key", lab.pool_key("azure")),
    }
    credentials = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"}
    for target, (name, value) in expected.items():
        sent, _ = await lab.relay(ask([(b"x-api-key", KEY)], target=target))
        presented = [(spelled.lower(), text) for spelled, text in sent.headers if spelled.lower() in credentials]
        assert presented == [(name, value)]
        assert bytes(sent.body) == BODY


@GROUP.promise("A client sees the pool key nowhere: not in an answer, not in a refusal", callers=ONLY_MANAGED)
async def pool_key_unseen(lab: Lab) -> None:
    key = (b"Authorization", b"Bearer " + KEY)
    lab.upstream.default = (ReadBody(), Send(response(401, [JSON], b'{"error":{"message":"bad key"}}')))
    targets = (CHAT, b"/openai/v1/models", b"/mistral/v1/chat/completions", b"/xai/v1/chat/completions", b"/nobody/v1")
    for target in targets:
        async with lab.client() as client:
            await client.exchange(ask([key], target=target))
            for pool_key in POOL_KEYS.values():
                assert pool_key.encode() not in client.received


@GROUP.promise(
    "A provider that repeats the pool key in a header does not show it to the client: the header is dropped",
    callers=ONLY_MANAGED,
)
async def pool_key_in_header(lab: Lab) -> None:
    received = await lab.answer(response(200, [(b"x-echo", b"key " + lab.pool_key()), (b"x-stays", b"1")], b"{}"))
    assert lab.pool_key() not in received.head
    assert (received.header(b"x-echo"), received.header(b"x-stays")) == (None, b"1")


@GROUP.promise(
    "Nor one that repeats it in an error's body: it is overwritten, length and all other bytes stay",
    callers=ONLY_MANAGED,
)
async def pool_key_in_error(lab: Lab) -> None:
    key = lab.pool_key()
    before, behind = b'{"error":{"message":"Incorrect API key provided: ', b'. See your account."}}'
    error = before + key + behind
    cut = len(before) + 5
    for answer in (
        response(401, [JSON], error),
        chunked(401, [JSON], [error[:cut], error[cut:]]),
        chunked(401, [JSON], [bytes([byte]) for byte in error]),
    ):
        received = await lab.answer(answer)
        assert key not in received.body
        assert len(received.body) == len(error)
        assert received.body.startswith(before)
        assert received.body.endswith(behind)


@GROUP.promise("Neither kind of key is in the gateway's own output")
async def keys_are_not_logged(lab: Lab) -> None:
    await lab.answer(response(500, [], b"{}"))
    await lab.relay(lab.ask(target=CHAT + b"?a=secret-in-the-query"), response(200, [], b"{}"))
    output = lab.gateway.stdout + lab.gateway.stderr
    for secret in (VIRTUAL_KEY, lab.caller.openai_key, "secret-in-the-query", *POOL_KEYS.values()):
        assert secret not in output


@GROUP.promise(
    "Nor in one that came compressed unasked (it goes on decoded), nor in an interim answer's header",
    callers=ONLY_MANAGED,
)
async def pool_key_in_disguise(lab: Lab) -> None:
    told = b'{"error":{"message":"Incorrect API key provided: %b"}}' % lab.pool_key()
    refusal = response(401, [JSON, (b"Content-Encoding", b"gzip")], gzip.compress(told))
    hint = response_head(103, [(b"X-Debug", lab.pool_key()), (b"Link", b"</a>")])
    lab.upstream.play(ReadBody(), Send(hint + refusal))
    async with lab.client() as client:
        await client.send(lab.ask())
        received = await client.receive()
    assert lab.pool_key() not in client.received
    assert b"</a>" in client.received
    assert bytes(received.body) == told.replace(lab.pool_key(), b"*" * len(lab.pool_key()))
    assert received.header(b"content-encoding") is None
