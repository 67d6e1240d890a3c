"""Each example is built, installed by pip, passes its own tests there, and does its work in a real gateway or agent."""

import os
import re
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.agent.agent_process import Place
from tests.examples.distributions import DISTRIBUTIONS, environment_with_all
from tests.gateway_process import PUBLIC_KEY, VIRTUAL_KEY
from tests.plugins_installed.conftest import InstalledPlugins

from beyond_ai.testing import (
    AgentRun,
    GatewayProcess,
    Reply,
    ScriptedModel,
    ThreadedUpstream,
    json_response,
    response,
    says,
    sse,
    sse_frame,
    tool_call,
    uses,
)

KEY = ec.generate_private_key(ec.SECP256R1())


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugins:
    return environment_with_all(tmp_path_factory.mktemp("examples"))


@pytest.fixture(scope="module")
def upstream() -> Iterator[ThreadedUpstream]:
    """Acme, and the issuer."""
    with ThreadedUpstream() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(
    environment: InstalledPlugins, upstream: ThreadedUpstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[GatewayProcess]:
    config = f"""
listen = "127.0.0.1:0"
metrics_listen = "127.0.0.1:0"
workers = 1
upstream_tls = false
sinks = ["stdout", "sqlite"]
[signing_keys]
1 = "{PUBLIC_KEY}"
[pool_keys]
acme = "pool-acme-fake"
[provider_authorities]
acme = "{upstream.authority}"
[plugins.sqlite]
path = "{tmp_path_factory.mktemp("rows") / "usage.db"}"
flush_ms = 0
[plugins.oidc]
issuer = "https://login.example.com/"
audience = "llm-gateway"
jwks_url = "http://{upstream.authority}/jwks"
"""
    folder = tmp_path_factory.mktemp("gateway")
    with GatewayProcess(config, folder=folder, command=environment.command) as process:
        yield process
    assert "Traceback" not in process.stderr


@pytest.mark.parametrize("folder", DISTRIBUTIONS, ids=lambda folder: folder.name)
def test_each_passes_its_own_tests_where_it_is_installed(environment: InstalledPlugins, folder: Path) -> None:
    words = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", str(folder / "pyproject.toml")]
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "AI_"))}
    done = subprocess.run(
        [str(environment.python), *words, str(folder / "tests")],
        cwd=environment.folder, env=environ, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout


def test_all_are_in_use_and_say_what_may_be_set(environment: InstalledPlugins) -> None:
    assert environment.run("plugins", "check").returncode == 0
    for name, key in (
        ("oidc", "jwks_url"),
        ("sqlite", "queue_events"),
        ("http_get", "allow"),
        ("git_checkpoint", "harmless"),
    ):
        assert f"  {key}:\n    type: " in environment.run("plugins", "show", name).stdout


def ask(gateway: GatewayProcess, key: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(
        f"{gateway.url}/acme/v1/chat/completions", json={"model": "acme-1", "stream": True}, headers=headers
    )


def answer_of_acme() -> bytes:
    usage = {"prompt_tokens": 10, "cached_prompt_tokens": 90, "completion_tokens": 5, "charged_usd": 0.00030}
    frames = [{"model": "acme-1", "choices": []}, {"model": "acme-1", "choices": [], "x_acme": {"usage": usage}}]
    return sse([*map(sse_frame, frames), sse_frame(b"[DONE]")])


def rows(path: Path) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT request_id, tenant_id, vpc_id, input_tokens, provider FROM usage").fetchall()


def test_acme_is_metered_and_the_event_becomes_a_row(
    gateway: GatewayProcess, upstream: ThreadedUpstream, tmp_path: Path
) -> None:
    upstream.answer(answer_of_acme())
    answer = ask(gateway, VIRTUAL_KEY)
    assert answer.status_code == 200, answer.text
    request_id = answer.headers["x-beyond-request-id"]
    event = gateway.wait_usage_event(request_id)
    counts = ("input_tokens", "cache_read_tokens", "output_tokens", "upstream_cost_usd")
    assert [event[name] for name in counts] == [100, 90, 5, "0.0003"]
    [path] = re.findall(r'path = "(.*)"', gateway._config.read_text())
    expected = (request_id, "42", "7", 100, "acme")
    gateway.wait_until(lambda: expected in rows(Path(path)))


def test_a_token_of_the_issuer_is_served_and_a_forged_one_is_not(
    gateway: GatewayProcess, upstream: ThreadedUpstream
) -> None:
    public = {**jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "1", "alg": "ES256"}
    claims = {"iss": "https://login.example.com/", "aud": "llm-gateway", "exp": time.time() + 60, "tenant_id": 43}
    token = jwt.encode(claims, KEY, "ES256", headers={"kid": "1"})
    before = len(upstream.requests)
    upstream.answer(json_response({"keys": [public]}))
    upstream.answer(answer_of_acme())
    answer = ask(gateway, token)
    assert answer.status_code == 200, answer.text
    assert gateway.wait_usage_event(answer.headers["x-beyond-request-id"])["tenant_id"] == 43
    fetched, asked = upstream.requests[before:]
    assert (fetched.target, asked.header(b"authorization")) == (b"/jwks", b"Bearer pool-acme-fake")
    forged = jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", headers={"kid": "1"})
    assert ask(gateway, forged).status_code == 401


@pytest.fixture
def place(environment: InstalledPlugins, tmp_path: Path) -> Place:
    for name in ("work", "home"):
        (tmp_path / name).mkdir()
    return Place(tmp_path / "work", tmp_path / "home", "", VIRTUAL_KEY, via=(str(environment.python),))


def run(
    place: Place, environment: InstalledPlugins, *turns: Reply, words: tuple[str, ...] = ()
) -> tuple[AgentRun, list[str]]:
    """A run of the installed agent, asked of a scripted model; also what its tools said."""
    with ScriptedModel(*turns) as model:
        place.gateway_url = model.url
        done = subprocess.run(
            [environment.command, *place.words("--no-session", *words, "go")],
            cwd=place.cwd, env=place.environ(), stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=30, check=False,
        )  # fmt: skip
        results = [result.content for result in model.asked[-1].results] if model.asked else []
    return AgentRun(done.returncode, done.stdout, done.stderr), results


def test_the_agent_gets_a_page_only_where_its_user_allows_it(
    place: Place, environment: InstalledPlugins, upstream: ThreadedUpstream
) -> None:
    turns = (uses(tool_call("http_get", url=f"http://{upstream.authority}/page")), says("done"))
    ran, [refused] = run(place, environment, *turns)
    assert ran.code == 0, ran
    assert refused == "Not allowed: 127.0.0.1 is this machine: only public addresses may be asked."
    config = place.home / ".beyond-ai" / "config.toml"
    config.parent.mkdir(exist_ok=True)
    config.write_text('[plugins.http_get]\nallow = ["127.0.0.0/8"]\n')
    upstream.answer(response(200, [(b"content-type", b"text/plain")], b"a page"))
    ran, [text] = run(place, environment, *turns)
    assert ran.code == 0, ran
    assert text.endswith("\n\na page")
    config.write_text('[plugins.http_get]\nalow = ["127.0.0.0/8"]\n')
    ran, _ = run(place, environment)
    assert ran.code == 2, ran
    assert "[plugins.http_get] alow: unknown key; did you mean `allow`?" in ran.stderr


def test_what_the_agent_wrote_is_rolled_back(place: Place, environment: InstalledPlugins) -> None:
    turns = (uses(tool_call("write", path="a.txt", content="the agent's\n")), says("done"))
    ran, _ = run(place, environment, *turns)
    assert ran.code == 0, ran
    assert ran.stderr.count("is in no git repository: no checkpoints are made") == 1
    subprocess.run(["git", "init", "--quiet"], cwd=place.cwd, check=True)
    place.write({"a.txt": "the user's\n"})
    ran, _ = run(place, environment, uses(tool_call("read", path="a.txt")), *turns)
    assert (ran.code, place.tree()) == (0, {"a.txt": b"the agent's\n"}), ran

    def checkpoint(*words: str) -> str:
        command = [str(environment.command), "checkpoint", *words]
        return subprocess.run(command, cwd=place.cwd, capture_output=True, text=True, check=True).stdout

    [line] = checkpoint("list").splitlines()
    assert line.endswith("before write a.txt")
    said = checkpoint("rollback", line.split()[0])
    assert place.tree() == {"a.txt": b"the user's\n"}
    checkpoint("rollback", said.split()[-1])
    assert place.tree() == {"a.txt": b"the agent's\n"}
