"""A scheme that has to ask elsewhere: the body waits, and is nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from tests.fidelity.matrix import JSON, OK, RESPONSES
from tests.gateway_process import gateway_config
from tests.integration.exchanges import HOST, check_refusal

from beyond_ai.testing import GatewayProcess, ReadBody, ScriptedUpstream, Send, WireClient, request

PLUGIN = """
import asyncio
from beyond_ai import CannotVerify, Component, Identity, InvalidCredential, hookimpl

class Teams:
    managed = True

    def claims(self, credential):
        return credential.startswith("team-")

    def authenticate(self, credential):
        if credential == "team-down":
            raise CannotVerify
        return self.ask(credential)

    async def ask(self, credential):
        await asyncio.sleep(0.05)
        if credential == "team-bad":
            raise InvalidCredential("no such team")
        if credential == "team-away":
            raise CannotVerify("nobody answers")
        return Identity(tenant_id=int(credential.removeprefix("team-")))

@hookimpl
def beyond_auth_schemes():
    yield Component(name="teams", summary="asks elsewhere", create=lambda context: Teams())
"""


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as scripted:
        yield scripted


@pytest.fixture
def gateway(tmp_path: Path, upstream: ScriptedUpstream) -> Iterator[GatewayProcess]:
    metadata = tmp_path / "teams-1.0.dist-info"
    metadata.mkdir()
    (tmp_path / "teams_auth.py").write_text(PLUGIN)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: teams\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[beyond_ai.auth]\nteams = teams_auth\n")
    config, environment = gateway_config(upstream.authority, "127.0.0.1:9"), {"PYTHONPATH": str(tmp_path)}
    with GatewayProcess(config, folder=tmp_path, environment=environment) as process:
        yield process


def asked(team: bytes, body: bytes) -> bytes:
    return request(b"POST", RESPONSES, [HOST, (b"Authorization", b"Bearer team-" + team), JSON], body)


async def test_the_body_of_a_refused_request_is_gone(gateway: GatewayProcess, upstream: ScriptedUpstream) -> None:
    async with WireClient(gateway.host, gateway.port) as client:
        refused = await client.exchange(asked(b"bad", b'{"model":"refused"}'))
        check_refusal(refused, 401, "invalid API key", "authentication_error")
        upstream.answer(OK)
        assert (await client.exchange(asked(b"1", b'{"model":"second"}'))).status == 200
    assert [bytes(got.body) for got in upstream.requests] == [b'{"model":"second"}']


@pytest.mark.parametrize("team", [b"down", b"away"])
async def test_one_that_cannot_ask_refuses_for_the_moment(
    gateway: GatewayProcess, upstream: ScriptedUpstream, team: bytes
) -> None:
    async with WireClient(gateway.host, gateway.port) as client:
        refused = await client.exchange(asked(team, b'{"model":"later"}'))
        check_refusal(refused, 503, "API keys cannot be verified now", "api_error")
        assert refused.header(b"retry-after") == b"5"
        upstream.answer(OK)
        assert (await client.exchange(asked(b"1", b'{"model":"second"}'))).status == 200
    assert "Traceback" not in gateway.stderr


@pytest.mark.parametrize("apart", [False, True])
async def test_two_at_once_keep_their_bodies(gateway: GatewayProcess, upstream: ScriptedUpstream, apart: bool) -> None:
    first, second = asked(b"1", b'{"model":"first"}'), asked(b"2", b'{"model":"second"}')
    async with WireClient(gateway.host, gateway.port) as client:
        for _ in range(2):  # the second time the first one's head is known
            for _ in range(2):
                upstream.play(ReadBody(), Send(OK))
            if apart:
                await client.send(first)
                await asyncio.sleep(0)
                await client.send(second)
            else:
                await client.send(first + second)
            assert [(await client.receive()).status for _ in range(2)] == [200, 200]
    assert [bytes(got.body) for got in upstream.requests] == [b'{"model":"first"}', b'{"model":"second"}'] * 2
    events = await gateway.usage_events(4)
    assert [event["tenant_id"] for event in events] == [1, 2, 1, 2]
