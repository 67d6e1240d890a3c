"""Requests that repeat the head of the one before on their connection, with other bodies, in other cuts."""

import asyncio
import itertools

import pytest
from tests.fidelity.matrix import CHAT, JSON, OK, RESPONSES, Lab
from tests.integration.exchanges import check_refusal, id_of

from beyond_ai.testing import ReadBody, Send, response


def head(lab: Lab, length: int, target: bytes = RESPONSES) -> bytes:
    return b"POST %b HTTP/1.1\r\nHost: gateway.test\r\n%b: %b\r\nContent-Length: %d\r\n\r\n" % (
        target,
        *lab.key,
        length,
    )


def body(number: int) -> bytes:
    return b'{"model":"m%d","input":"%b"}' % (number, b"a" * number)


@pytest.mark.parametrize("target", [RESPONSES, CHAT])
@pytest.mark.parametrize("cut", ["whole", "body apart", "body in two", "head in two", "bytes"])
async def test_each_body_arrives_and_each_answer_is_its_own(managed: Lab, target: bytes, cut: str) -> None:
    ids = set()
    async with managed.client() as client:
        for number in (3, 30, 300, 3, 5):
            data = head(managed, len(body(number)), target) + body(number)
            border = data.index(b"\r\n\r\n") + 4
            cuts = {"whole": [], "body apart": [border], "body in two": [border + 3], "head in two": [40]}
            borders = [0, *cuts.get(cut, range(1, len(data))), len(data)]
            managed.upstream.play(ReadBody(), Send(response(200, [JSON], b'{"n":%d}' % number)))
            for start, end in itertools.pairwise(borders):
                await client.send(data[start:end])
            received = await client.receive()
            assert bytes(received.body) == b'{"n":%d}' % number
            assert bytes(managed.upstream.requests[-1].body) == body(number)
            assert managed.upstream.requests[-1].header(b"content-length") == b"%d" % len(body(number))
            ids.add(id_of(received))
            event = await managed.gateway.usage_event(id_of(received))
            assert event["requested_model"] == f"m{number}"
    assert len(ids) == 5


async def test_two_at_once_are_answered_in_turn(managed: Lab) -> None:
    async with managed.client() as client:
        for number in (1, 2, 3):
            managed.upstream.answer(response(200, [JSON], b"%d" % number))
        await client.send(head(managed, len(body(1))) + body(1))
        assert bytes((await client.receive()).body) == b"1"
        await client.send(b"".join(head(managed, len(body(number))) + body(number) for number in (2, 3)))
        assert bytes((await client.receive()).body) == b"2"
        assert bytes((await client.receive()).body) == b"3"
    assert [bytes(request.body) for request in managed.upstream.requests[-3:]] == [body(1), body(2), body(3)]


async def test_another_key_is_another_head(managed: Lab) -> None:
    async with managed.client() as client:
        managed.upstream.answer(OK)
        whole = head(managed, 2) + b"{}"
        assert (await client.exchange(whole)).status == 200
        forged = whole.replace(managed.key[1][-4:], b"AAAA")
        check_refusal(await client.exchange(forged), 401, "invalid API key", "authentication_error")
        managed.upstream.answer(OK)
        assert (await client.exchange(whole)).status == 200


async def test_a_length_above_the_limit(managed: Lab) -> None:
    async with managed.client() as client:
        managed.upstream.answer(OK)
        assert (await client.exchange(head(managed, 2) + b"{}")).status == 200
        received = await client.exchange(head(managed, 104_857_601))
        assert (received.status, received.header(b"x-beyond-error-source")) == (413, b"gateway")


async def test_none_at_all(managed: Lab) -> None:
    async with managed.client() as client:
        for _ in range(3):
            managed.upstream.answer(OK)
            assert (await client.exchange(head(managed, 0))).status == 200
            assert bytes(managed.upstream.requests[-1].body) == b""


async def test_a_client_that_leaves_in_the_middle_of_a_body(managed: Lab) -> None:
    async with managed.client() as client:
        managed.upstream.answer(OK)
        assert (await client.exchange(head(managed, 2) + b"{}")).status == 200
        managed.upstream.play(ReadBody())
        await client.send(head(managed, 100) + b'{"model"')
        await managed.upstream.wait_for_requests(len(managed.upstream.requests) + 1)
    async with asyncio.timeout(5):
        await managed.upstream.wait_closed()


async def test_a_refused_head_is_not_known_by_what_follows_it(managed: Lab) -> None:
    """Both come in one piece; the second's key must not be the first's the next time."""
    good = head(managed, 2) + b"{}"
    without = good.replace(b"%b: %b\r\n" % managed.key, b"X-Padding: %b\r\n" % (b"a" * 20))
    async with managed.client() as client:
        managed.upstream.answer(OK)
        await client.send(without + good)
        check_refusal(await client.receive(), 401, "missing API key", "authentication_error")
        assert (await client.receive()).status == 200
        check_refusal(await client.exchange(without), 401, "missing API key", "authentication_error")
        managed.upstream.answer(OK)
        assert (await client.exchange(good)).status == 200
