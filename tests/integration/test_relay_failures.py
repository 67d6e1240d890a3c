"""When the other side fails: nobody there, silence, resets, nonsense."""

import asyncio
import contextlib
import socket
from pathlib import Path

import pytest
from tests.fidelity.matrix import EVENTS, MESSAGES, OK, Lab
from tests.gateway_process import gateway_config
from tests.integration.exchanges import check_refusal, id_of, logged, metrics, post

from beyond_ai.testing import (
    Close,
    GatewayProcess,
    ReadBody,
    Reset,
    Send,
    Step,
    Until,
    WireClient,
    chunk,
    chunked_head,
    response,
    response_head,
)

FAILED = "upstream failed after receiving the request"


async def test_a_provider_that_cannot_be_reached(lab: Lab) -> None:
    async with lab.client() as client:
        received = await client.exchange(post(b"/mistral/v1/chat/completions"))
        request_id = check_refusal(received, 502, "provider could not be reached", "api_error")
        # Nothing was lost: the connection goes on.
        lab.upstream.answer(OK)
        assert (await client.exchange(lab.ask())).status == 200
    lab.gateway.wait_until(lambda: len(logged(lab.gateway, request_id)) == 2)
    failure, refusal = logged(lab.gateway, request_id)
    assert str(failure["message"]).startswith("mistral: connect failure: ")
    assert (refusal["message"], refusal["status"], refusal["error_type"]) == ("request rejected", 502, "api_error")
    assert refusal["reason"] == "provider could not be reached"


async def test_a_request_that_is_still_being_sent_is_not_silence(impatient: Lab) -> None:
    impatient.upstream.answer(OK)
    async with impatient.client() as client:
        await client.send(impatient.ask([(b"Transfer-Encoding", b"chunked")], None))
        for _ in range(15):  # twice and a half the limit on silence
            await client.send(chunk(b"x"))
            await asyncio.sleep(0.2)  # what is tested is that time passes
        await client.send(b"0\r\n\r\n")
        assert (await client.receive()).status == 200


async def test_the_same_in_anthropics_shape(lab: Lab) -> None:
    async with lab.client() as client:
        received = await client.exchange(post(b"/mistral/v1/messages"))
    assert received.status == 502
    assert bytes(received.body) == (
        b'{"type":"error","error":{"message":"provider could not be reached","type":"api_error"}}'
    )


async def test_a_name_that_does_not_resolve(impatient: Lab) -> None:
    async with impatient.client() as client:
        received = await client.exchange(post(b"/lost/v1/chat/completions"))
    check_refusal(received, 502, "provider could not be reached", "api_error")


async def test_an_unreachable_provider_is_tried_again_before_it_is_given_up(lab: Lab) -> None:
    name = 'ai_connect_retries_total{provider="mistral"}'
    before = metrics(lab.gateway)[name]
    async with lab.client() as client:
        await client.exchange(post(b"/mistral/v1/chat/completions"))
    assert metrics(lab.gateway)[name] > before


async def test_a_silent_provider_is_given_up(impatient: Lab) -> None:
    impatient.upstream.play(ReadBody(), Until(asyncio.Event()))
    async with impatient.client() as client:
        received = await client.exchange(impatient.ask())
        check_refusal(received, 504, "upstream timed out after receiving the request", "api_error")
        assert received.header(b"connection") == b"close"
        assert await client.wait_closed() == b""
    await impatient.upstream.wait_closed()
    assert len(impatient.upstream.requests) == 1
    event = await impatient.gateway.usage_event(id_of(received))
    assert event["outcome"] == "upstream_error"
    assert "upstream_status" not in event


async def test_a_provider_that_falls_silent_in_its_answer(impatient: Lab) -> None:
    impatient.upstream.play(
        ReadBody(), Send(chunked_head(200, [EVENTS]) + chunk(b"data: 1\n\n")), Until(asyncio.Event())
    )
    async with impatient.client() as client:
        await client.send(impatient.ask())
        received = await client.receive()
    assert (received.status, bytes(received.body), received.broken) == (200, b"data: 1\n\n", True)
    event = await impatient.gateway.usage_event(id_of(received))
    assert (event["outcome"], event["upstream_status"]) == ("cut_short", 200)


async def test_a_client_that_does_not_read_is_given_up(impatient: Lab) -> None:
    """It would hold a provider's connection for as long as it likes."""
    impatient.upstream.play(ReadBody(), Send(response(200, [], bytes(64 << 20))))
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((impatient.gateway.host, impatient.gateway.port))
        client.sendall(impatient.ask())
        connection = await impatient.upstream.wait_closed(within=8)
    assert connection.requests[0].aborted
    impatient.gateway.wait_until(lambda: "client stopped reading" in impatient.gateway.stderr)


@pytest.mark.parametrize(
    "ending",
    [Close(), Reset(), Send(b"nonsense\r\n\r\n"), Send(b"HTTP/1.1 abc\r\n\r\n"), Send(b"\x16\x03\x01\x02\x00\x01")],
    ids=["close", "reset", "nonsense", "bad status", "tls"],
)
async def test_whatever_ends_a_request_it_is_sent_once(lab: Lab, ending: Step) -> None:
    lab.upstream.play(ReadBody(), ending)
    async with lab.client() as client:
        received = await client.exchange(lab.ask())
        check_refusal(received, 502, FAILED, "api_error")
        assert await client.wait_closed() == b""
    assert len(lab.upstream.requests) == 1


async def test_a_provider_that_dies_while_the_body_goes_up(lab: Lab) -> None:
    lab.upstream.play(ReadBody(4), Reset())
    async with lab.client() as client:
        await client.send(lab.ask([(b"Content-Length", b"100000")], None) + b"12345678")
        check_refusal(await client.receive(), 502, FAILED, "api_error")
    assert len(lab.upstream.requests) == 1


async def test_a_failure_in_anthropics_shape(lab: Lab) -> None:
    lab.upstream.play(ReadBody(), Close())
    async with lab.client() as client:
        received = await client.exchange(lab.ask(target=MESSAGES))
    assert bytes(received.body) == b'{"type":"error","error":{"message":"%b","type":"api_error"}}' % FAILED.encode()


async def test_a_failed_answer_of_unknown_length_is_seen_to_be_cut(lab: Lab) -> None:
    """To an HTTP/1.0 client only a reset tells a cut from an end."""
    gate = asyncio.Event()
    lab.upstream.play(ReadBody(), Send(chunked_head(200) + chunk(b"half")), Until(gate), Reset())
    async with lab.client() as client:
        await client.send(lab.ask().replace(b"HTTP/1.1", b"HTTP/1.0", 1))
        received = await client.receive(4)
        gate.set()
        received = await client.receive()
    assert (bytes(received.body), received.broken, received.complete) == (b"half", True, False)


async def test_a_head_without_an_end(impatient: Lab) -> None:
    impatient.upstream.play(ReadBody(), Send(response_head(200, [EVENTS])[:-2]), Until(asyncio.Event()))
    async with impatient.client() as client:
        received = await client.exchange(impatient.ask())
    check_refusal(received, 504, "upstream timed out after receiving the request", "api_error")


async def test_a_client_that_leaves_while_its_provider_is_being_connected_to(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full, contextlib.ExitStack() as stack:
        for _ in range(4):  # whoever comes next gets no answer
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        config = gateway_config(f"127.0.0.1:{full.getsockname()[1]}", "127.0.0.1:9")
        gateway = stack.enter_context(GatewayProcess(config, folder=tmp_path))

        def under_way(count: int) -> None:
            gateway.wait_until(lambda: metrics(gateway)["ai_requests_in_flight"] == count)

        async with WireClient(gateway.host, gateway.port) as client:
            await client.send(post(b"/openai/v1/responses"))
            await asyncio.to_thread(under_way, 1)
        await asyncio.to_thread(under_way, 0)
