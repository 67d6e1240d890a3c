"""The log of a running gateway: every line about a request has its id, and none has a credential or a query string."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from tests.fidelity.matrix import EVENTS, JSON, OK
from tests.gateway_process import BYO, POOL_KEYS, VIRTUAL_KEY, gateway_config
from tests.integration.exchanges import HOST, OWN_KEY, get, id_of, post

from beyond_ai.testing import (
    Close,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    WireClient,
    WireResponse,
    request,
    response,
    response_head,
)

FORGED = VIRTUAL_KEY[:-4] + "AAAA"
QUERY = "fake-in-the-query"
OPAQUE = "opaque-fake-of-a-team"
SECRETS = (
    VIRTUAL_KEY,
    VIRTUAL_KEY.split(".")[3],
    FORGED,
    BYO.openai_key,
    BYO.anthropic_key,
    QUERY,
    OPAQUE,
    "?x=",
    "?key=",
    *POOL_KEYS.values(),
)

# An auth scheme, a provider and a sink that fail, and quote what they were given when they do.
PLUGIN = """
import asyncio, logging
from beyond_ai import Component, Identity, Provider, UsageQuirk, hookimpl

class Teams:
    managed = True
    asked = 0
    def claims(self, credential): return credential.startswith("opaque-")
    def authenticate(self, credential):
        if credential.endswith("later"):
            return self.later(credential)
        self.asked += credential.endswith("second-time")
        if self.asked == 1:
            return Identity(tenant_id=42)
        raise RuntimeError(f"no such team: {credential}")
    async def later(self, credential):
        raise RuntimeError(f"no such team: {credential}")

class Leaky:
    async def start(self): logging.getLogger("strange").info("GET /v1?key=fake-in-the-query")
    def emit(self, event): raise RuntimeError("POST https://sink.test/rows?token=fake-in-the-query refused")
    async def aclose(self): pass

def quirk(report, counts):
    raise RuntimeError("Authorization: Bearer sk-pool-openai-fake")

@hookimpl
def beyond_auth_schemes():
    yield Component(name="teams", summary="fails", create=lambda context: Teams())

@hookimpl
def beyond_usage_sinks():
    yield Component(name="leaky", summary="fails", create=lambda context: Leaky())

@hookimpl
def beyond_providers():
    yield Provider(name="quirky", authority="AUTHORITY", usage=UsageQuirk(adjust=quirk))
"""

Ask = Callable[[bytes, tuple[bytes, bytes]], bytes]
"""Makes a request of a path and of a header with a key."""


def asking(query: bytes) -> Ask:
    return lambda path, key: post(path + query, key=key)


def in_the_query(path: bytes, key: tuple[bytes, bytes]) -> bytes:
    return post(b"%b?key=%b&x=%b" % (path, key[1].rpartition(b" ")[2], QUERY.encode()), key=None)


def as_a_whole_url(path: bytes, key: tuple[bytes, bytes]) -> bytes:
    return post(b"http://gateway.test%b?x=%b" % (path, QUERY.encode()), key=key)


ASKED: dict[str, Ask] = {
    "plain": asking(b""),
    "query": asking(b"?x=" + QUERY.encode()),
    "key in the query": in_the_query,
    "whole URL": as_a_whole_url,
}
MANAGED_KEY = (b"Authorization", b"Bearer " + VIRTUAL_KEY.encode())


@pytest.fixture(scope="module", params=["json", "human"])
def gateway_log(
    request: pytest.FixtureRequest, upstream_listener: socket.socket, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    """A gateway at debug level, with plugins that fail."""
    folder = tmp_path_factory.mktemp("logs")
    authority = f"127.0.0.1:{upstream_listener.getsockname()[1]}"
    metadata = folder / "strange-1.0.dist-info"
    metadata.mkdir()
    (folder / "strange_plugin.py").write_text(PLUGIN.replace("AUTHORITY", authority))
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: strange\nVersion: 1.0\n")
    groups = {"auth": "teams", "sinks": "leaky", "providers": "quirky"}
    (metadata / "entry_points.txt").write_text(
        "".join(f"[beyond_ai.{group}]\n{name} = strange_plugin\n" for group, name in groups.items())
    )
    config = (
        f'log_level = "debug"\ndeny_store = ""\nsinks = ["stdout", "leaky"]\n{gateway_config(authority, "127.0.0.1:9")}'
    )
    config = config.replace("[pool_keys]", '[pool_keys]\nquirky = "pool-quirky-fake"')
    with GatewayProcess(
        config,
        folder=folder,
        arguments=["--log-format", request.param],
        environment={"PYTHONPATH": str(folder)},
    ) as process:
        yield process


def entries(gateway: GatewayProcess, since: int) -> list[dict[str, str]]:
    """The log lines after the first SINCE characters, in either form, each with what it has of `request_id`."""
    found: list[dict[str, str]] = []
    for line in gateway.stderr[since:].splitlines():
        if line.startswith("{"):
            found.append(orjson.loads(line))
        elif line.startswith("    ") and found:
            found[-1]["exception"] = found[-1].get("exception", "") + line
        elif seen := re.match(r"\S+Z (\w+) (\S+): (.*?)( request_id=(\S+).*)?$", line):
            found.append({"level": seen[1], "logger": seen[2], "message": seen[3], "request_id": seen[5] or ""})
    return found


class Desk:
    """One test's view of the gateway: sends requests and finds what was logged of them."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.since = len(gateway.stderr)

    async def send(self, asked: bytes) -> WireResponse:
        async with WireClient(self.gateway.host, self.gateway.port) as client:
            return await client.exchange(asked)

    async def said(self, request_id: str, *messages: str) -> None:
        """Wait for MESSAGES, the beginnings of as many log lines of the request REQUEST_ID, in any order."""

        def own() -> list[str]:
            return sorted(
                entry["message"] for entry in entries(self.gateway, self.since) if entry.get("request_id") == request_id
            )

        await asyncio.to_thread(self.gateway.wait_until, lambda: len(own()) >= len(messages))
        assert len(own()) == len(messages), own()
        for line, message in zip(own(), sorted(messages), strict=True):
            assert line.startswith(message)

    def check(self) -> None:
        """No line since is without a request id, and none has a secret."""
        new = entries(self.gateway, self.since)
        assert new
        assert [entry for entry in new if not entry.get("request_id")] == []
        text = self.gateway.stderr[self.since :]
        assert [secret for secret in SECRETS if secret in text] == []


@pytest.fixture
def desk(gateway_log: GatewayProcess) -> Iterator[Desk]:
    made = Desk(gateway_log)
    yield made
    made.check()


@pytest.mark.parametrize("spelling", ASKED)
@pytest.mark.parametrize("key", [MANAGED_KEY, OWN_KEY], ids=["managed", "byo"])
async def test_refusals_and_failures(
    desk: Desk, upstream: ScriptedUpstream, spelling: str, key: tuple[bytes, bytes]
) -> None:
    ask = ASKED[spelling]
    behind = ["usage sink leaky: RuntimeError: "] if key is MANAGED_KEY else []
    answer = await desk.send(ask(b"/nowhere/v1/chat/completions", key))
    await desk.said(id_of(answer), "request rejected")
    answer = await desk.send(ask(b"/mistral/v1/chat/completions", key))
    assert answer.status == 502
    await desk.said(id_of(answer), "mistral: connect failure: 127.0.0.1:9: ", "request rejected", *behind)
    upstream.play(ReadBody(), Close())
    answer = await desk.send(ask(b"/openai/v1/responses", key))
    assert answer.status == 502
    await desk.said(id_of(answer), "openai: send failure: ", "request rejected", *behind)
    upstream.play(ReadBody(), Send(response_head(200, [EVENTS, (b"content-length", b"99")]) + b"data: "), Close())
    answer = await desk.send(ask(b"/openai/v1/responses", key))
    assert answer.broken
    await desk.said(id_of(answer), "openai: body failure: ", *behind)
    forged = (key[0], b"Bearer " + FORGED.encode())
    answer = await desk.send(ask(b"/openai/v1/chat/completions", forged))
    assert answer.status == 401
    await desk.said(id_of(answer), "request rejected")


@pytest.mark.parametrize("spelling", ASKED)
@pytest.mark.parametrize("when", ["at-once", "later"])
async def test_an_auth_scheme_that_quotes_the_credential(desk: Desk, spelling: str, when: str) -> None:
    key = (b"Authorization", f"Bearer {OPAQUE}-{when}".encode())
    answer = await desk.send(ASKED[spelling](b"/openai/v1/chat/completions", key))
    assert answer.status == 500
    await desk.said(id_of(answer), "auth scheme failed: refused", "request rejected")
    await asyncio.to_thread(desk.gateway.wait_until, lambda: "no such team: ***" in desk.gateway.stderr[desk.since :])


async def test_an_auth_scheme_that_fails_on_a_head_that_is_known(desk: Desk, upstream: ScriptedUpstream) -> None:
    upstream.answer(OK)
    asked = post(b"/openai/v1/responses", key=(b"Authorization", f"Bearer {OPAQUE}-second-time".encode()))
    async with WireClient(desk.gateway.host, desk.gateway.port) as client:
        assert (await client.exchange(asked)).status == 200
        answer = await client.exchange(asked)
    assert (answer.status, answer.header(b"x-beyond-error-source")) == (500, b"gateway")
    await desk.said(id_of(answer), "auth scheme failed: refused", "request rejected")


async def test_what_fails_behind_an_answer(desk: Desk, upstream: ScriptedUpstream) -> None:
    upstream.answer(
        response(200, [JSON], b'{"model":"m","usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}')
    )
    answer = await desk.send(post(b"/quirky/v1/chat/completions?x=" + QUERY.encode(), key=MANAGED_KEY))
    await desk.said(id_of(answer), "quirky's usage quirk failed", "usage sink leaky: RuntimeError: ")
    upstream.answer(response(200, [JSON, (b"content-encoding", b"gzip")], b"no gzip"))
    answer = await desk.send(post(b"/openai/v1/responses", key=MANAGED_KEY))
    await desk.said(
        id_of(answer), "openai: answer could not be decoded for metering: ", "usage sink leaky: RuntimeError: "
    )


async def test_what_a_managed_key_may_not_do(desk: Desk) -> None:
    for path in (f"/openai/v1/files/{BYO.openai_key}", f"/xai/v1/chat/completions?key={QUERY}"):
        answer = await desk.send(request(b"POST", path.encode(), [HOST, MANAGED_KEY], b"{}"))
        await desk.said(id_of(answer), "request rejected")


async def test_what_cannot_be_read(desk: Desk) -> None:
    answer = await desk.send(b"GET /v1/models?key=" + QUERY.encode() + b" HTTP/1.1\r\nContent-Length: x\r\n\r\n")
    assert answer.status == 400
    await desk.said(id_of(answer), "request rejected")
    answer = await desk.send(
        get(b"/v1/models?key=" + QUERY.encode(), headers=[(b"Upgrade", b"h2c"), (b"Connection", b"upgrade")])
    )
    await desk.said(id_of(answer), "request rejected")


async def test_an_answer_that_went_well_logs_nothing_for_own_keys(
    gateway_log: GatewayProcess, upstream: ScriptedUpstream
) -> None:
    desk = Desk(gateway_log)
    upstream.answer(OK)
    assert (await desk.send(post(b"/openai/v1/responses?key=" + QUERY.encode()))).status == 200
    answer = await desk.send(get(b"/nowhere"))
    await desk.said(id_of(answer), "request rejected")
    assert len(entries(gateway_log, desk.since)) == 1


def test_the_form_of_a_rejection(gateway_log: GatewayProcess) -> None:
    """The fields are the reference's."""
    line = next(line for line in gateway_log.stderr.splitlines() if "request rejected" in line)
    if line.startswith("{"):
        assert list(orjson.loads(line)) == [
            *("time", "level", "logger", "message"),
            *("request_id", "status", "error_type", "reason"),
        ]
    else:
        assert re.fullmatch(
            r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING beyond_ai\.gateway\.gateway: request rejected "
            r"request_id=\S+ status=\d{3} error_type=\w+ reason=.+",
            line,
        )


def test_nothing_that_was_said_at_the_start_is_a_secret(gateway_log: GatewayProcess) -> None:
    assert [secret for secret in SECRETS if secret in gateway_log.stderr] == []


def test_a_stderr_that_nobody_reads_holds_nothing_up(tmp_path: Path) -> None:
    """A pipe takes 64 KiB; these refusals make three times that."""
    (tmp_path / "gateway.toml").write_text(gateway_config("127.0.0.1:9", "127.0.0.1:9"))
    command: list[str | Path] = [
        Path(sys.executable).with_name("beyond-ai"),
        "gateway",
        "--config",
        tmp_path / "gateway.toml",
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, bufsize=0) as process:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening(process)}") as client:
                for _ in range(800):
                    assert client.post("/openai/v1/responses").status_code == 401
            process.terminate()
            assert process.wait(15) == 0
        finally:
            process.kill()


def listening(process: subprocess.Popen[bytes]) -> int:
    """The port on which PROCESS says that it listens; its stderr is read no further."""
    assert process.stderr is not None
    said = b""
    while not (found := re.search(rb"listening on http://127\.0\.0\.1:(\d+)\n", said)):
        data = process.stderr.read(64)
        assert data, said
        said += data
    return int(found[1])
