"""Ceilings, breaker and concurrency cap in a running gateway; their arithmetic is tested in `tests/core/gateway`."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.fidelity.matrix import OK, RESPONSES, Lab
from tests.gateway_process import BYO, MANAGED, gateway_config
from tests.integration.exchanges import metrics

from beyond_ai.testing import GatewayProcess, ReadBody, ScriptedUpstream, Send, Until, WireResponse, response

NOBODY = "127.0.0.1:9"
FAULT = response(500, [], b"broken")


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(default=(ReadBody(), Send(OK))) as scripted:
        yield scripted


@contextlib.asynccontextmanager
async def gateway(upstream: ScriptedUpstream, folder: Path, **settings: int) -> AsyncIterator[Lab]:
    """A gateway with SETTINGS instead of the tests' usual ones."""
    usual = gateway_config(upstream.authority, NOBODY).splitlines()
    kept = [line for line in usual if line.partition(" ")[0] not in settings]
    config = "\n".join([*(f"{name} = {value}" for name, value in settings.items()), *kept])
    with GatewayProcess(config, folder=folder) as process:
        yield Lab(process, upstream, MANAGED)


def refusal(answer: WireResponse) -> tuple[int, bytes | None, bytes | None]:
    return answer.status, answer.header(b"retry-after"), answer.header(b"x-beyond-error-source")


async def statuses(lab: Lab, count: int) -> list[int]:
    """Of COUNT requests, one after the other on one connection."""
    async with lab.client() as client:
        return [(await client.exchange(lab.ask(target=RESPONSES))).status for _ in range(count)]


@pytest.mark.parametrize("ceiling", ["rate_limit_rps", "byo_rate_limit_rps"])
async def test_a_ceiling(upstream: ScriptedUpstream, tmp_path: Path, ceiling: str) -> None:
    async with gateway(upstream, tmp_path, **{ceiling: 5}) as lab:
        own = Lab(lab.gateway, upstream, BYO)
        limited = lab if ceiling == "rate_limit_rps" else own
        seen = await statuses(limited, 40)
        assert seen[:5] == [200] * 5
        assert seen.count(429) >= 25, "they take far less than four seconds"
        async with limited.client() as client:
            answer = await client.exchange(limited.ask(target=RESPONSES))
            while answer.status == 200:
                answer = await client.exchange(limited.ask(target=RESPONSES))
        assert refusal(answer) == (429, b"1", b"gateway")
        assert bytes(answer.body) == b'{"error":{"message":"rate limit exceeded","type":"rate_limit_error"}}'
        other = own if ceiling == "rate_limit_rps" else lab
        assert await statuses(other, 5) == [200] * 5
        reason = ceiling.removesuffix("_rps") if ceiling == "rate_limit_rps" else "rate_limit_byo_global"
        page = await asyncio.to_thread(metrics, lab.gateway)
        assert page[f'ai_rejections_total{{reason="{reason}"}}'] >= 25


async def test_a_provider_that_fails_is_left_alone_until_it_may_be_tried(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    async with gateway(
        upstream, tmp_path, circuit_breaker_threshold=4, circuit_breaker_window_secs=30, circuit_breaker_reset_secs=1
    ) as lab:
        upstream.default = (ReadBody(), Send(FAULT))
        assert await statuses(lab, 4) == [500] * 4
        async with lab.client() as client:
            answer = await client.exchange(lab.ask(target=RESPONSES))
            assert refusal(answer) == (503, b"1", b"gateway")
            elsewhere = await client.exchange(lab.ask(target=b"/groq/openai/v1/responses"))
            assert elsewhere.status == 500
        upstream.default = (ReadBody(), Send(OK))
        async with asyncio.timeout(10):
            while (await statuses(lab, 1)) != [200]:  # noqa: ASYNC110 - the breaker tells nobody that it may be asked
                await asyncio.sleep(0.05)
        assert await statuses(lab, 5) == [200] * 5


async def test_too_many_requests_are_not_a_providers_failure(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    async with gateway(upstream, tmp_path, circuit_breaker_threshold=2) as lab:
        upstream.default = (ReadBody(), Send(response(429, [], b"slow down")))
        assert await statuses(lab, 6) == [429] * 6
        upstream.default = (ReadBody(), Send(OK))
        assert await statuses(lab, 1) == [200]


async def test_one_tenants_requests_at_a_time(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with gateway(upstream, tmp_path, tenant_max_in_flight=2) as lab:
        async with lab.client() as one, lab.client() as two, lab.client() as three:
            for client in (one, two):
                upstream.play(ReadBody(), Until(gate), Send(OK))
                await client.send(lab.ask(target=RESPONSES))
            await upstream.wait_for_requests(2)
            answer = await three.exchange(lab.ask(target=RESPONSES))
            assert refusal(answer) == (429, b"1", b"gateway")
            assert (await statuses(Lab(lab.gateway, upstream, BYO), 1)) == [200]
            gate.set()
            assert [(await client.receive()).status for client in (one, two)] == [200, 200]
        assert await statuses(lab, 3) == [200] * 3


async def test_the_memory_of_all_request_bodies_that_are_held(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    body = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "a" * 80_000}]}).encode()
    async with gateway(upstream, tmp_path, max_buffered_body_bytes=100_000) as lab:
        asked = lab.ask(body=body)
        async with lab.client() as one, lab.client() as two:
            receiving = {}
            for client in (one, two):
                await client.send(asked[:70_000])
                receiving[asyncio.ensure_future(client.receive(within=10))] = client
            done, rest = await asyncio.wait(receiving, return_when=asyncio.FIRST_COMPLETED)
            assert [refusal(task.result()) for task in done] == [(503, b"1", b"gateway")]
            (waiting,) = rest
            refused, held = (receiving[task] for task in (*done, waiting))
            await held.send(asked[70_000:])
            assert (await waiting).status == 200
            await refused.send(asked[70_000:])
            assert (await refused.exchange(asked)).status == 200, "the connection can be used again"
        page = await asyncio.to_thread(metrics, lab.gateway)
        assert page['ai_rejections_total{reason="body_memory"}'] == 1
        assert (await statuses(lab, 3)) == [200] * 3


async def test_a_client_that_leaves_gives_back_what_its_body_held(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "a" * 80_000}]}).encode()
    async with gateway(upstream, tmp_path, max_buffered_body_bytes=100_000) as lab:
        asked = lab.ask(body=body)
        for _ in range(4):
            async with lab.client() as client:
                await client.send(asked[:70_000])
        async with asyncio.timeout(10), lab.client() as client:
            while True:  # the last may not be known to have left
                for part in (asked[:70_000], asked[70_000:]):
                    await client.send(part)
                if (await client.receive()).status == 200:
                    break
