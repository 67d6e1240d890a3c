"""The gateway beside other people's distributions: the good one serves, the broken ones change nothing."""

import os
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest
from tests.gateway_process import PUBLIC_KEY, VIRTUAL_KEY
from tests.integration.conftest import LOOPBACK
from tests.plugins_installed.conftest import BROKEN, InstalledPlugins, build_wheel, new_environment, pip_install

from beyond_ai.testing import Answer, GatewayProcess, ThreadedUpstream, chat

GOOD = """
    import json, sys
    from beyond_ai import Component, Provider, hookimpl

    class Tally:
        def __init__(self): self.tokens = 0
        async def start(self): sys.stderr.write("tally: started\\n")
        def emit(self, event):
            self.tokens += event.output_tokens
            sys.stderr.write(f"tally: {event.provider} {self.tokens}\\n")
        async def aclose(self): sys.stderr.write(f"tally: closed at {self.tokens}\\n")

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443", base_path="/v1")

    @hookimpl
    def beyond_usage_sinks():
        yield Component(name="tally", summary="counts", create=lambda context: Tally())
"""
SINK = """
    from beyond_ai import Component, hookimpl

    class Failing:
        async def start(self):
            if "NAME" == "stuck":
                raise OSError("no route")
        def emit(self, event): raise OSError("disk full")
        async def aclose(self): raise OSError("disk gone")

    def create(context):
        if "NAME" == "hopeless":
            raise OSError("no licence")
        return Failing()

    @hookimpl
    def beyond_usage_sinks():
        yield Component(name="NAME", summary="fails in its own way", create=create)
"""
FAILING_SINKS = ("leaky", "stuck", "hopeless")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugins:
    """A virtual environment with a good distribution and one that is broken in every way."""
    folder = tmp_path_factory.mktemp("third_party")
    made = new_environment(folder / "venv")
    entry = {"acme": "acme_provider"}
    good = build_wheel(folder, "acme-provider", "1.2.3", {"acme_provider": GOOD}, {"providers": entry, "sinks": entry})
    names = {module.removeprefix("acme_").replace("_", "-"): module for module in BROKEN if module != "acme_command"}
    broken = build_wheel(folder, "acme-broken", "0.1", BROKEN, {"providers": names})
    modules = {f"acme_{name}": SINK.replace("NAME", name) for name in FAILING_SINKS}
    sinks = build_wheel(
        folder, "acme-sinks", "2.0", modules, {"sinks": {name: f"acme_{name}" for name in FAILING_SINKS}}
    )
    pip_install(made, good, broken, sinks)
    return made


@pytest.fixture(scope="module")
def acme() -> Iterator[ThreadedUpstream]:
    with ThreadedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def serving(
    environment: InstalledPlugins, acme: ThreadedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = f"""{LOOPBACK}
workers = 1
upstream_tls = false
sinks = ["stdout", "hopeless", "stuck", "leaky", "tally"]

[signing_keys]
1 = "{PUBLIC_KEY}"

[pool_keys]
acme = "pool-acme-fake"

[provider_authorities]
acme = "{acme.authority}"
"""
    gateway = GatewayProcess(config, folder=tmp_path_factory.mktemp("serving"), command=environment.command)
    with gateway:
        yield gateway
    assert "tally: closed at 14" in gateway.stderr
    assert "usage sink leaky could not be closed: OSError: disk gone" in gateway.stderr
    assert "Traceback" not in gateway.stderr


def reported(serving: GatewayProcess, line: str) -> bool:
    return line in serving.stderr


def ask(serving: GatewayProcess) -> httpx.Response:
    headers = {"authorization": f"Bearer {VIRTUAL_KEY}"}
    return httpx.post(f"{serving.url}/acme/v1/chat/completions", json={"model": "acme-1"}, headers=headers)


def test_the_good_provider_serves_and_every_good_sink_gets_every_event(
    serving: GatewayProcess, acme: ThreadedUpstream
) -> None:
    for total in (7, 14):
        acme.answer(chat.response(Answer(output_tokens=7)))
        answer = ask(serving)
        assert (answer.status_code, answer.headers["x-beyond-provider"]) == (200, "acme")
        event = serving.wait_usage_event(answer.headers["x-beyond-request-id"])
        assert (event["provider"], event["output_tokens"]) == ("acme", 7)
        serving.wait_until(partial(reported, serving, f"tally: acme {total}\n"))
    [first, _] = acme.requests
    assert (first.target, first.header(b"authorization")) == (b"/v1/chat/completions", b"Bearer pool-acme-fake")


def test_a_sink_that_fails_is_counted(serving: GatewayProcess) -> None:
    page = httpx.get(f"{serving.admin_url}/metrics").text
    assert "ai_usage_write_errors_total 2.0" in page
    assert "usage sink leaky: OSError: disk full" in serving.stderr


def test_the_admin_page_shows_who_failed_and_why(serving: GatewayProcess) -> None:
    rows = {(row["kind"], row["name"]): row for row in httpx.get(f"{serving.admin_url}/plugins").json()}
    assert (rows["provider", "acme"]["state"], rows["provider", "acme"]["version"]) == ("loaded", "1.2.3")
    broken = [row for row in rows.values() if row["distribution"] == "acme-broken"]
    assert len(broken) == len(BROKEN) - 1
    assert all(row["state"] == "failed" and row["reason"] for row in broken)
    assert rows["provider", "openai"]["state"] == "loaded"
    assert rows["sink", "acme"]["state"] == "loaded"
    assert {name: rows["sink", name]["reason"] for name in FAILING_SINKS} == {
        "leaky": "",
        "stuck": "could not start: OSError: no route",
        "hopeless": "`hopeless` could not be created: OSError: no licence (acme_hopeless, line 13)",
    }


def test_a_sink_that_cannot_start_is_set_aside(serving: GatewayProcess) -> None:
    assert "usage sink stuck could not start: OSError: no route" in serving.stderr
    assert "OSError: no licence" in serving.stderr
    assert "tally: started" in serving.stderr


def test_strict_refuses_to_start_beside_a_broken_one(environment: InstalledPlugins, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(LOOPBACK)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
    done = subprocess.run(
        [environment.command, "gateway", "-c", file],
        env={**inherited, "AI_PLUGINS_STRICT": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert "acme-broken" in done.stderr
    assert "Traceback" not in done.stderr
