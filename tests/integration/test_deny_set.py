"""The deny-set in a running gateway: denied and released over a real NATS, and never in the way where there is none."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fidelity.matrix import MESSAGES, OK, RESPONSES, Lab
from tests.gateway_process import BYO, MANAGED, gateway_config
from tests.integration.exchanges import metrics
from tests.nats_server import NatsServer

from beyond_ai.testing import GatewayProcess, ReadBody, ScriptedUpstream, Send, WireResponse

NOBODY = "127.0.0.1:9"
TENANT = "42"


@pytest.fixture
def nats(tmp_path: Path) -> Iterator[NatsServer]:
    folder = tmp_path / "nats"
    folder.mkdir()
    with NatsServer(folder) as server:
        yield server


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(default=(ReadBody(), Send(OK))) as scripted:
        yield scripted


def config(upstream: ScriptedUpstream, url: str, snapshot: Path | None = None) -> str:
    keep = "" if snapshot is None else f'snapshot_path = "{snapshot}"\n'
    return f'nats_url = "{url}"\n{keep}' + gateway_config(upstream.authority, NOBODY)


def deny(folder: Path, *arguments: str) -> str:
    program = str(Path(sys.executable).with_name("beyond-ai"))
    command = [program, "deny", *arguments, "-c", str(folder / "gateway.toml")]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout


async def ask(lab: Lab, target: bytes = RESPONSES) -> WireResponse:
    async with lab.client() as client:
        return await client.exchange(lab.ask(target=target))


async def becomes(lab: Lab, status: int) -> WireResponse:
    """Ask until the answer has STATUS."""
    ends = time.monotonic() + 5
    while True:
        received = await ask(lab)
        if received.status == status:
            return received
        assert time.monotonic() < ends, received.status


async def test_a_tenant_is_denied_and_released(nats: NatsServer, upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with GatewayProcess(config(upstream, nats.url), folder=tmp_path) as gateway:
        lab, own = Lab(gateway, upstream, MANAGED), Lab(gateway, upstream, BYO)
        assert (await ask(lab)).status == 200
        for reason, status in (("spend", 402), ("fraud", 403)):
            await asyncio.to_thread(deny, tmp_path, "add", TENANT, "--reason", reason)
            refused = await becomes(lab, status)
            body = b'{"error":{"message":"tenant is over limit or suspended","type":"access_denied"}}'
            assert bytes(refused.body) == body
            assert refused.header(b"x-beyond-error-source") == b"gateway"
            assert bytes((await ask(lab, MESSAGES)).body) == b'{"type":"error",' + body[1:]
        assert (await ask(own)).status == 200
        page = await asyncio.to_thread(metrics, gateway)
        assert (page["ai_deny_set_size"], page["ai_nats_connected"]) == (1, 1)
        assert page['ai_rejections_total{reason="deny_spend"}'] >= 2
        await asyncio.to_thread(deny, tmp_path, "remove", TENANT)
        await becomes(lab, 200)


async def test_a_snapshot_is_enforced_while_nats_is_away(
    nats: NatsServer, upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    settings = config(upstream, nats.url, tmp_path / "denied.snapshot")
    with GatewayProcess(settings, folder=tmp_path) as gateway:
        await asyncio.to_thread(deny, tmp_path, "add", TENANT)
        await becomes(Lab(gateway, upstream, MANAGED), 403)
        nats.stop()
        assert (await ask(Lab(gateway, upstream, MANAGED))).status == 403
    with GatewayProcess(settings, folder=tmp_path) as gateway:
        assert (await ask(Lab(gateway, upstream, MANAGED))).status == 403
        assert (await asyncio.to_thread(metrics, gateway))["ai_nats_connected"] == 0


async def test_without_nats_everything_works_and_one_line_says_so(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with GatewayProcess(config(upstream, "nats://127.0.0.1:9"), folder=tmp_path) as gateway:
        assert (await ask(Lab(gateway, upstream, MANAGED))).status == 200
        await asyncio.to_thread(gateway.wait_until, lambda: "127.0.0.1:9" in gateway.stderr)
        said = [line for line in gateway.stderr.splitlines() if "127.0.0.1:9" in line]
        assert len(said) == 1, said
