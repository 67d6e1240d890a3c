"""Distributions that are broken, one for each way to be: all are told apart, and the gateway and the agent work."""

import json
import os
import subprocess
from pathlib import Path
from textwrap import dedent
from typing import Final

import httpx
import pytest
from tests.gateway_process import PUBLIC_KEY, VIRTUAL_KEY
from tests.integration.conftest import LOOPBACK
from tests.plugins_installed.conftest import InstalledPlugins, build_wheel, new_environment, pip_install

from beyond_ai.testing import Answer, GatewayProcess, ScriptedModel, ThreadedUpstream, chat, says

HOOKS = """
    from beyond_ai import Provider, Tool, ToolResult, hookimpl
    from pydantic import BaseModel
    class Arguments(BaseModel): pass
    async def run(arguments, context): return ToolResult("")
    BEFORE
    @hookimpl
    def beyond_providers(PARAMETER):
        HOOK
        yield Provider(name="PROVIDER", authority="api.acme.example:443")
    @hookimpl
    def beyond_tools(PARAMETER):
        HOOK
        yield Tool(name="TOOL", description="None.", arguments=Arguments, run=run)
"""


def source(
    before: str = "", *, hook: str = "pass", parameter: str = "", provider: str = "broken", tool: str = "broken"
) -> str:
    """A module with a provider and a tool, and what is wrong with it."""
    text = dedent(HOOKS).replace("BEFORE", before).replace("HOOK", hook).replace("PARAMETER", parameter)
    return text.replace("PROVIDER", provider).replace("TOOL", tool)


SORTS: Final = {
    "import-error": (source("import a_module_that_is_nowhere"), "needs module a_module_that_is_nowhere, which is not"),
    "exit": (source("raise SystemExit('giving up')"), "called sys.exit('giving up') at import"),
    "assert": (source("assert 2 + 2 == 5, 'sums'"), "import failed: AssertionError: sums (acme_assert, line "),
    "signature": (source(parameter="settings"), "wrong signature: "),
    "unknown-hook": (source("@hookimpl\ndef beyond_toools(): yield"), "unknown hook `beyond_toools`; did you mean `be"),
    "clash": (source(provider="openai", tool="read"), " plugins of acme-clash 1.0 and beyond-ai "),
    "raises": (source(hook="raise OSError('no network')"), " raised OSError: no network (acme_raises, line "),
    "hangs": (source(hook="import time; time.sleep(10)"), " did not end in 1 s (acme_hangs, line "),
    "newer": (source("BEYOND_AI_API = 99"), "needs plugin API 99, this is 1: upgrade beyond-ai"),
    "extra": (
        source("import acme_speedups.fast"),
        "needs module acme_speedups, which is not installed: pip install 'acme-extra[fast]'",
    ),
}
AUTH = "import time\nfrom beyond_ai import hookimpl\n@hookimpl\ndef beyond_auth_schemes(): time.sleep(10)"
ENVIRON: Final = {"AI_PLUGINS_LOAD_TIMEOUT_SECS": "1", "AI_PLUGINS_DISABLED": "auth:gate"}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugins:
    folder = tmp_path_factory.mktemp("broken")
    made = new_environment(folder / "venv")
    wheels = []
    for name, (text, _) in SORTS.items():
        module = f"acme_{name.replace('-', '_')}"
        entries = {group: {name: module} for group in ("providers", "tools")}
        extra = ["Provides-Extra: fast", 'Requires-Dist: acme-speedups>=1; extra == "fast"']
        wheels.append(build_wheel(folder, f"acme-{name}", "1.0", {module: text}, entries, extra))
    wheels.append(build_wheel(folder, "acme-gate", "1.0", {"acme_gate": AUTH}, {"auth": {"gate": "acme_gate"}}))
    pip_install(made, *wheels)
    return made


def test_each_is_listed_with_its_distribution_and_the_cause(environment: InstalledPlugins) -> None:
    done = environment.run("plugins", "list", "--json", **ENVIRON)
    assert done.returncode == 0, done.stderr
    rows = {(row["kind"], row["name"]): row for row in json.loads(done.stdout)}
    for name, (_, reason) in SORTS.items():
        for kind in ("provider", "tool"):
            row = rows[kind, name]
            assert (row["state"], row["distribution"], row["version"]) == ("failed", f"acme-{name}", "1.0")
            assert reason in row["reason"]
    assert "failed" not in {row["state"] for row in rows.values() if row["built_in"]}


def test_the_gateway_serves_beside_them(environment: InstalledPlugins, tmp_path: Path) -> None:
    with ThreadedUpstream() as upstream:
        config = f"""{LOOPBACK}
workers = 1
upstream_tls = false
plugins_load_timeout_secs = 1
signing_keys.1 = "{PUBLIC_KEY}"
pool_keys.openai = "pool-openai-fake"
provider_authorities.openai = "{upstream.authority}"
plugins.disabled = ["auth:gate"]
"""
        with GatewayProcess(config, folder=tmp_path, command=environment.command) as gateway:
            upstream.answer(chat.response(Answer(output_tokens=7)))
            headers = {"authorization": f"Bearer {VIRTUAL_KEY}"}
            answer = httpx.post(f"{gateway.url}/v1/chat/completions", json={"model": "m"}, headers=headers)
            assert answer.status_code == 200
            assert gateway.wait_usage_event(answer.headers["x-beyond-request-id"])["output_tokens"] == 7
            rows = {row["name"]: row for row in httpx.get(f"{gateway.admin_url}/plugins").json()}
            assert {rows[name]["state"] for name in SORTS} == {"failed"}
    assert "Traceback" not in gateway.stderr


def test_the_agent_works_beside_them(environment: InstalledPlugins) -> None:
    with ScriptedModel(says("All is well.")) as model:
        done = environment.run(
            *("agent", "run", "--model", "gpt-5", "how are you?"),
            **ENVIRON,
            AI_GATEWAY_URL=model.url,
            AI_AGENT_KEY="sk-fake",
            HOME=str(environment.folder),
        )
    assert (done.returncode, done.stdout) == (0, "All is well.\n"), done.stderr
    assert {"read", "write"} <= set(model.asked[0].tools)
    assert "broken" not in model.asked[0].tools
    for name, (_, reason) in SORTS.items():
        assert f"plugin tool:{name} of acme-{name} 1.0: " in done.stderr
        assert reason in done.stderr


def test_an_auth_plugin_that_hangs_stops_the_start(environment: InstalledPlugins, tmp_path: Path) -> None:
    file = tmp_path / "gateway.toml"
    file.write_text(f'{LOOPBACK}\nworkers = 1\nplugins_load_timeout_secs = 1\n[plugins]\nallow = ["acme-gate"]\n')
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
    done = subprocess.run(
        [environment.command, "gateway", "-c", file],
        env=inherited, capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    reason = "`beyond_auth_schemes` did not end in 1 s (acme_gate, line 4)"
    assert f"error: plugin auth:gate of acme-gate 1.0: {reason}" in done.stderr
