"""A gateway whose standard streams are closed, broken or full serves all the same, and counts what it loses."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from tests.fidelity.matrix import OK, RESPONSES, Lab
from tests.gateway_process import MANAGED, gateway_config
from tests.integration.exchanges import metrics
from tests.nats_server import free_port, until

from beyond_ai.testing import GatewayProcess, ReadBody, ScriptedUpstream, Send

BEYOND_AI = Path(sys.executable).with_name("beyond-ai")


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(default=(ReadBody(), Send(OK))) as scripted:
        yield scripted


def redirected(folder: Path, redirections: str) -> Path:
    """A program that runs `beyond-ai` under REDIRECTIONS."""
    script = folder / "redirected"
    script.write_text(f'#!/bin/sh\nexec {BEYOND_AI} "$@" {redirections}\n')
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("stdout", "problem"),
    [
        (">&-", "Bad file descriptor"),
        pytest.param(
            ">/dev/full",
            "No space left on device",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full"),
        ),
    ],
)
async def test_events_that_stdout_does_not_take_are_counted(
    upstream: ScriptedUpstream, tmp_path: Path, stdout: str, problem: str
) -> None:
    """A closed stdout leaves its number to no socket: events do not go there."""
    command = redirected(tmp_path, stdout)
    with GatewayProcess(gateway_config(upstream.authority, "127.0.0.1:9"), folder=tmp_path, command=command) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        async with lab.client() as client:
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
        await until(lambda: "usage events cannot be written to stdout: [Errno" in gateway.stderr)
        assert problem in gateway.stderr
        async with asyncio.timeout(5):
            while (page := await asyncio.to_thread(metrics, gateway))["ai_usage_write_errors_total"] == 0:
                assert gateway.process.poll() is None
                await asyncio.sleep(0.05)
        assert page["ai_usage_write_errors_total"] == 1
        assert page['ai_plugin_events_total{event="stdout",label="failed"}'] == 1


@pytest.mark.parametrize("redirections", ["<&- >&- 2>&-", ""], ids=["all closed", "nobody reads stderr"])
@pytest.mark.parametrize("arguments", [["--workers", "1"], ["--dev"]], ids=["worker", "dev"])
async def test_it_serves_without_anybody_who_reads(tmp_path: Path, redirections: str, arguments: list[str]) -> None:
    port, admin = free_port(), free_port()
    listeners = ["--listen", f"127.0.0.1:{port}", "--metrics-listen", f"127.0.0.1:{admin}"]
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [redirected(tmp_path, redirections), "gateway", *listeners, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("AI_")},
    )
    assert process.stderr is not None
    process.stderr.close()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client, asyncio.timeout(15):
            while True:
                assert process.poll() is None
                try:
                    assert (await client.get("/")).status_code == 200
                    break
                except httpx.ConnectError:
                    await asyncio.sleep(0.05)
            while (await client.get(f"http://127.0.0.1:{admin}/readyz")).status_code != 200:
                assert process.poll() is None
                await asyncio.sleep(0.05)
        process.terminate()
        assert await asyncio.to_thread(process.wait, 10) == 0
    finally:
        process.kill()
        process.wait()
