"""SIGHUP: another configuration on the same sockets, and nobody notices who need not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.fidelity.matrix import OK, RESPONSES, Lab
from tests.gateway_process import BYO, MANAGED, PUBLIC_KEY, gateway_config, workers_of
from tests.integration.exchanges import metrics
from tests.integration.hammer import echo, hammering
from tests.nats_server import until

from beyond_ai.testing import (
    LAST_CHUNK,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    Until,
    WireClient,
    chunk,
    chunked_head,
)

NOBODY = "127.0.0.1:9"


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(default=(ReadBody(), Send(OK))) as scripted:
        yield scripted


def hang_up(gateway: GatewayProcess, folder: Path, config: str, says: str = "reloaded: ") -> None:
    """Give GATEWAY another CONFIG, and wait until it SAYS what became of it."""
    before = gateway.stderr.count(says)
    (folder / "gateway.toml").write_text(config)
    gateway.process.send_signal(signal.SIGHUP)
    gateway.wait_until(lambda: gateway.stderr.count(says) > before, 20)


async def reload(gateway: GatewayProcess, folder: Path, config: str, says: str = "reloaded: ") -> None:
    await asyncio.to_thread(hang_up, gateway, folder, config, says)


async def test_keys_and_plugins_of_the_new_configuration_are_in_use(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = gateway_config(upstream.authority, NOBODY)
    before = config.replace(f'1 = "{PUBLIC_KEY}"', "").replace("sk-pool-openai-fake", "sk-pool-openai-old-fake")
    with GatewayProcess(before, folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        async with lab.client() as client:
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 401
        after = f'{config}\n[plugins]\ndisabled = ["simd"]\n[plugins.stdout]\nflush_ms = 0\n'
        await reload(gateway, tmp_path, after)
        asked, answer = await lab.relay(lab.ask(target=RESPONSES))
        assert (answer.status, asked.header(b"authorization")) == (200, b"Bearer sk-pool-openai-fake")
        rows = (await asyncio.to_thread(httpx.get, f"{gateway.admin_url}/plugins")).json()
        assert [row["state"] for row in rows if row["name"] == "simd"] == ["disabled"]


async def test_the_admin_token_is_changed_by_a_reload(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = gateway_config(upstream.authority, NOBODY)

    async def status(token: str) -> int:
        headers = {"Authorization": f"Bearer {token}"}
        return (await asyncio.to_thread(httpx.get, f"{gateway.admin_url}/providers", headers=headers)).status_code

    old, new = "old-fake-token-0123456789", "new-fake-token-0123456789"
    with GatewayProcess(f'admin_token = "{old}"\n{config}', folder=tmp_path) as gateway:
        assert (await status(old), await status(new)) == (200, 401)
        await reload(gateway, tmp_path, f'admin_token = "{new}"\n{config}')
        assert (await status(old), await status(new)) == (401, 200)


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ("lisen = 1\n", "did you mean `listen`?"),
        ('sinks = ["stdot"]\n', "stdot"),
        ('no_plugins = true\n[plugins]\ndisabled = ["echo"]\n[[\n', "not valid TOML"),
    ],
)
async def test_a_configuration_that_does_not_hold_changes_nothing(
    upstream: ScriptedUpstream, tmp_path: Path, wrong: str, reason: str
) -> None:
    config = gateway_config(upstream.authority, NOBODY)
    with GatewayProcess(config, folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        async with lab.client() as client:
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            workers = workers_of(gateway)
            await reload(gateway, tmp_path, wrong + config, "goes on with the configuration that it has")
            assert reason in gateway.stderr
            answer = await client.exchange(lab.ask(target=RESPONSES))
            assert (answer.status, answer.header(b"connection")) == (200, None)
        assert workers_of(gateway) == workers
        assert (await asyncio.to_thread(httpx.get, f"{gateway.admin_url}/readyz")).status_code == 200
        await reload(gateway, tmp_path, config)
        await until(lambda: not set(workers) & set(workers_of(gateway)))


async def test_what_is_under_way_ends_on_the_old_workers(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    gate = asyncio.Event()
    config = gateway_config(upstream.authority, NOBODY)
    with GatewayProcess(config, folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, BYO)
        old = set(workers_of(gateway))
        stream = (
            ReadBody(),
            Send(chunked_head(200) + chunk(b"first")),
            Until(gate),
            Send(chunk(b"last") + LAST_CHUNK),
        )
        async with lab.client() as streaming, lab.client() as kept, lab.client() as silent:
            assert (await kept.exchange(lab.ask(target=RESPONSES))).header(b"connection") is None
            upstream.play(*stream)
            await streaming.send(lab.ask(target=RESPONSES))
            await streaming.receive(5)
            await reload(gateway, tmp_path, config)
            # An idle connection is not closed under its client's hands: its next answer says that it was the last.
            await asyncio.sleep(1.5)
            for client in (kept, silent):
                answer = await client.exchange(lab.ask(target=RESPONSES))
                assert (answer.status, answer.header(b"connection")) == (200, b"close")
                assert await client.wait_closed() == b""
            assert old <= set(workers_of(gateway))
            gate.set()
            received = await streaming.receive()
            assert (bytes(received.body), received.complete) == (b"firstlast", True)
            # The head promised to keep the connection, so it is good for one more.
            answer = await streaming.exchange(lab.ask(target=RESPONSES))
            assert (answer.status, answer.header(b"connection")) == (200, b"close")
        await until(lambda: not old & set(workers_of(gateway)))
        assert (await asyncio.to_thread(metrics, gateway))["ai_requests_total"] == 5


async def test_under_load_no_request_is_lost_or_doubled(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    upstream.default = echo
    config = gateway_config(upstream.authority, NOBODY).replace("workers = 1", "workers = 2")
    with GatewayProcess(config, folder=tmp_path) as gateway:
        seen = [0.0]
        async with hammering(gateway) as hammer:
            for number in range(4):
                asked = len(hammer.answered)
                await reload(gateway, tmp_path, f"tenant_max_in_flight = {1000 + number}\n{config}")
                await until(lambda asked=asked: len(hammer.answered) > asked + 100)  # type: ignore[misc]
                seen.append((await asyncio.to_thread(metrics, gateway))["ai_requests_total"])
        hammer.check(upstream)
        assert hammer.farewells >= 4
        assert seen == sorted(seen)
        page = await asyncio.to_thread(metrics, gateway)
        assert page["ai_requests_total"] == len(hammer.answered)
        assert page['ai_upstream_responses_total{provider="openai",status="2xx"}'] == len(hammer.answered)
        await until(lambda: len(workers_of(gateway)) == 2)
        assert page["ai_worker_restarts_total"] == 0


async def test_what_a_reload_cannot_change_is_said(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = gateway_config(upstream.authority, NOBODY)
    with GatewayProcess(config, folder=tmp_path) as gateway:
        other = config.replace('metrics_listen = "127.0.0.1:0"', 'metrics_listen = "127.0.0.1:1"')
        await reload(gateway, tmp_path, other.replace("workers = 1", "workers = 2"))
        assert "metrics_listen = 127.0.0.1:1 takes effect at the next start" in gateway.stderr
        assert (await asyncio.to_thread(metrics, gateway))["ai_workers"] == 2


async def test_a_file_that_changed_is_not_read_before_it_is_asked_for(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    with GatewayProcess(gateway_config(upstream.authority, NOBODY), folder=tmp_path) as gateway:
        (tmp_path / "gateway.toml").write_text("this is no TOML")
        os.kill(workers_of(gateway)[0], signal.SIGKILL)
        await until(lambda: "SIGKILL" in gateway.stderr)
        lab = Lab(gateway, upstream, MANAGED)
        _, answer = await lab.relay(lab.ask(target=RESPONSES))
        assert answer.status == 200


async def test_workers_that_do_not_start_leave_the_old_ones_alone(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    config = gateway_config(upstream.authority, NOBODY)
    with GatewayProcess(config, folder=tmp_path) as gateway:
        async with WireClient(gateway.host, gateway.port) as client:
            lab = Lab(gateway, upstream, BYO)
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            # known to be wrong only when the plugin is made
            broken = f'log_format = "human"\n{config}\n[plugins.stdout]\nflush_ms = -1\n'
            await reload(gateway, tmp_path, broken, "goes on with the configuration that it has")
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            assert gateway.stderr.rstrip().endswith("}"), "the log has the form of the configuration that was refused"
