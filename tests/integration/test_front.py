"""What the client's listener answers itself: the index, and a 404 for what is nobody's; ids on everything."""

import asyncio

import orjson
import pytest
from tests.fidelity.matrix import BODY, CHAT, OK, Lab
from tests.gateway_process import VIRTUAL_KEY
from tests.integration.exchanges import HOST, OWN_KEY, check_refusal, get, id_of, logged, post

from beyond_ai.testing import ReadBody, Send, WireClient, request
from beyond_ai.version import VERSION


@pytest.mark.parametrize("target", [b"/", b"/?probe=1"])
async def test_the_index_names_program_version_and_providers(wire: WireClient, target: bytes) -> None:
    received = await wire.exchange(get(target))
    index = orjson.loads(received.body)
    assert (received.status, list(index)) == (200, ["name", "version", "providers"])
    assert (index["name"], index["version"]) == ("beyond-ai", VERSION)
    assert index["providers"] == sorted(index["providers"])
    assert {"openai", "anthropic", "azure", "xai"} <= set(index["providers"])
    assert "echo" not in index["providers"]
    assert received.header(b"content-type") == b"application/json"
    assert received.header(b"x-beyond-error-source") is None
    id_of(received)


async def test_head_of_the_index(wire: WireClient) -> None:
    whole = await wire.exchange(get(b"/"))
    head = await wire.exchange(get(b"/", b"HEAD"))
    assert (head.status, head.header(b"content-length")) == (200, b"%d" % len(whole.body))
    assert (await wire.exchange(get(b"/"))).body == whole.body


@pytest.mark.parametrize("method", [b"POST", b"PUT", b"DELETE", b"OPTIONS"])
async def test_the_index_is_for_reading(wire: WireClient, method: bytes) -> None:
    check_refusal(await wire.exchange(get(b"/", method)), 404, "unknown provider")


@pytest.mark.parametrize(
    "target",
    [b"/nobody/v1/chat/completions", b"/v1beta/models", b"/OpenAI/v1/models", b"/v2", b"//v1", b"/v1%2Fmodels"],
)
@pytest.mark.parametrize("body", [None, b"", b"x" * 200_000])
async def test_unknown_paths(wire: WireClient, lab: Lab, target: bytes, body: bytes | None) -> None:
    for _ in range(4):
        check_refusal(await wire.exchange(post(target, body)), 404, "unknown provider")
    assert lab.upstream.connections == []


async def test_an_unknown_path_in_anthropics_shape(wire: WireClient) -> None:
    received = await wire.exchange(post(b"/nobody/v1/messages"))
    assert bytes(received.body) == (
        b'{"type":"error","error":{"message":"unknown provider","type":"invalid_request_error"}}'
    )


ELSEWHERE = (
    "POST /v1/files is not available with a managed key: POST to a generation endpoint, or use your own provider key"
)
REFUSALS = {
    "no key": (post(CHAT, key=None), 401, "missing API key", "authentication_error"),
    "empty key": (post(CHAT, key=(b"Authorization", b"Bearer ")), 401, "missing API key", "authentication_error"),
    "forged": (post(CHAT, key=(b"x-api-key", b"bai_v1.1.x.y")), 401, "invalid API key", "authentication_error"),
    "newer": (post(CHAT, key=(b"x-api-key", b"bai_v3.1.x.y")), 401, "invalid API key", "authentication_error"),
    "encoded": (
        post(CHAT + b"?key=" + VIRTUAL_KEY.replace("_", "%5f").encode()),
        401,
        "invalid API key",
        "authentication_error",
    ),
    "two providers": (
        request(b"POST", b"/v1/models", [HOST, OWN_KEY, (b"x-api-key", b"sk-ant-fake")], b"{}"),
        400,
        "keys of two providers in one request: name the provider in the path",
        "invalid_request_error",
    ),
    "no pool key": (
        post(b"/xai/v1/responses", key=(b"x-api-key", VIRTUAL_KEY.encode())),
        503,
        "no provider key available",
        "api_error",
    ),
    "off the list": (
        post(b"/openai/v1/files", key=(b"api-key", VIRTUAL_KEY.encode())),
        404,
        ELSEWHERE,
        "invalid_request_error",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
async def test_a_refusal_is_answered_logged_and_not_relayed(wire: WireClient, lab: Lab, name: str) -> None:
    sent, status, message, kind = REFUSALS[name]
    received = await wire.exchange(sent)
    request_id = check_refusal(received, status, message, kind)
    assert received.header(b"retry-after") == (b"30" if status == 503 else None)
    await asyncio.to_thread(lab.gateway.wait_until, lambda: len(logged(lab.gateway, request_id)) == 1)
    [line] = logged(lab.gateway, request_id)
    assert (line["message"], line["level"]) == ("request rejected", "WARNING")
    assert (line["status"], line["error_type"]) == (status, kind)
    assert lab.upstream.connections == []
    assert (await wire.exchange(get(b"/"))).status == 200


async def test_every_forged_key_gets_the_same_bytes(wire: WireClient) -> None:
    answers = set()
    for key in (b"bai_", b"bai_v1", b"bai_v2.1.a.b", b"bai_v9.1.a.b", VIRTUAL_KEY[:-1].encode(), b"bai_v1.7.a.b"):
        received = await wire.exchange(post(CHAT, key=(b"Authorization", b"Bearer " + key)))
        own = {b"x-beyond-request-id", b"date"}
        headers = tuple((name, value) for name, value in received.headers if name not in own)
        answers.add((received.status, received.reason, headers, bytes(received.body)))
    assert len(answers) == 1


async def test_ids_are_unique_and_the_providers_own_cannot_take_their_place(lab: Lab) -> None:
    lab.upstream.default = (ReadBody(), Send(OK.replace(b"\r\n\r\n", b"\r\nX-Beyond-Request-Id: spoofed\r\n\r\n", 1)))
    asked = [lab.ask(), get(b"/"), post(b"/nobody"), post(CHAT, key=None), post(b"/mistral/v1")]
    async with lab.client() as client:
        ids = [id_of(await client.exchange(sent)) for sent in asked * 4]
    assert len(set(ids)) == len(ids)
    assert len({one.partition("-")[0] for one in ids}) == 1
    assert BODY not in lab.gateway.stderr.encode()
