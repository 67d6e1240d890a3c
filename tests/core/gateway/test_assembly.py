"""Assembly: what settings and plugins come to, and what stops a start."""

import sys
from collections.abc import Mapping

import pytest
from tests.core.gateway.parts import asked

from beyond_ai import BeyondError, ConfigError, PluginError
from beyond_ai.config import Settings
from beyond_ai.gateway import rejection
from beyond_ai.gateway.admission import Ticket
from beyond_ai.gateway.assembly import KINDS, Assembly, assemble
from beyond_ai.gateway.route import Upstream


def settings(**values: object) -> Settings:
    return Settings.model_validate({"no_plugins": True, **values})


async def assembled(*, dev: bool = False, **values: object) -> Assembly:
    return assemble(settings(**values), dev=dev)


def upstream(assembly: Assembly, name: str) -> Upstream:
    return assembly.upstreams[name]


async def test_the_gateway_loads_no_tool_and_no_command() -> None:
    assembly = await assembled()
    assert {report.kind for report in assembly.registry.reports} == set(KINDS)
    assert not {"tool", "command", "agent_hook"} & set(KINDS)


async def test_defaults() -> None:
    assembly = await assembled()
    assert list(assembly.sinks) == ["stdout"]
    assert list(assembly.transports) == ["http1"]
    assert (assembly.dev_credential, assembly.embedded) == (None, ())
    assert len(assembly.upstreams) == 10
    assert {found.pool_headers is None for found in assembly.upstreams.values()} == {True}


async def test_pool_keys_are_presented_as_each_provider_wants_them() -> None:
    pool_keys = {"openai": "sk-fake", "anthropic": ["sk-ant-fake", "sk-ant-second"], "azure": "fake"}
    assembly = await assembled(
        pool_keys=pool_keys,
        provider_authorities={"azure": "azure.test:8443", "anthropic": "[::1]:9"},
        provider_auth_schemes={"azure": "Api_Key"},
    )
    assert upstream(assembly, "openai").pool_headers == [(b"authorization", b"Bearer sk-fake")]
    assert upstream(assembly, "anthropic").pool_headers == [(b"x-api-key", b"sk-ant-fake")]
    assert upstream(assembly, "azure").pool_headers == [(b"api-key", b"fake")]
    assert upstream(assembly, "xai").pool_headers is None
    azure, anthropic = upstream(assembly, "azure"), upstream(assembly, "anthropic")
    assert (azure.host, azure.port, azure.host_header) == ("azure.test", 8443, b"azure.test")
    assert (anthropic.host, anthropic.port, anthropic.host_header) == ("::1", 9, b"[::1]")


async def test_attribution_goes_with_the_pool_key() -> None:
    assembly = await assembled(pool_keys={"openrouter": "sk-or-fake"})
    assert upstream(assembly, "openrouter").pool_headers == [
        (b"authorization", b"Bearer sk-or-fake"),
        (b"HTTP-Referer", b"https://beyond.build"),
        (b"X-OpenRouter-Title", b"Beyond Gateway"),
        (b"X-OpenRouter-Categories", b"cli-agent"),
    ]


async def test_dev_answers_for_every_provider_without_a_pool_key() -> None:
    assembly = await assembled(dev=True, pool_keys={"groq": "gsk-fake"})
    assert set(assembly.embedded) == set(assembly.upstreams) - {"groq", "echo"}
    echo = upstream(assembly, "echo").transport
    assert {name for name, found in assembly.upstreams.items() if found.transport is echo} == {
        *assembly.embedded,
        "echo",
    }
    assert upstream(assembly, "openai").pool_headers == []
    assert upstream(assembly, "groq").pool_headers == [(b"authorization", b"Bearer gsk-fake")]
    assert assembly.dev_credential is not None


async def test_devs_credential_is_accepted_by_that_gateway_alone() -> None:
    first, second = await assembled(dev=True), await assembled(dev=True)
    assert first.dev_credential is not None
    request = asked((b"x-api-key", first.dev_credential.credential.encode()))
    for assembly, expected in ((first, None), (second, rejection.INVALID_KEY)):
        admission = assembly.gateway.admission
        route = admission.route(b"/v1/chat/completions")
        assert route is not None
        ticket = admission.admit(request, route, None)
        assert isinstance(ticket, Ticket)
        assert admission.authenticate(ticket) is expected


async def test_without_dev_the_embedded_provider_is_not_there() -> None:
    assert "echo" not in (await assembled()).upstreams


async def test_a_broken_auth_plugin_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its credentials would otherwise pass for clients' own keys and go to a provider."""
    monkeypatch.setitem(sys.modules, "beyond_ai_plugins.auth.bai", None)  # what an import of it then raises
    with pytest.raises(PluginError, match="plugin auth:bai of beyond-ai"):
        await assembled()


async def test_a_disabled_auth_plugin_is_said_aloud(caplog: pytest.LogCaptureFixture) -> None:
    await assembled(plugins={"disabled": ["auth:bai"]})
    assert "auth plugin bai is disabled" in caplog.text


async def test_without_signing_keys_it_starts_and_says_what_that_means(caplog: pytest.LogCaptureFixture) -> None:
    await assembled()
    assert "no signing keys: managed keys are refused, clients' own keys pass through" in caplog.text


@pytest.mark.parametrize(
    ("values", "message", "hint"),
    [
        ({"scanner": "pyton"}, "scanner: no plugin in use offers pyton; did you mean `python`?", "plugins list"),
        ({"sinks": ["stdout", "kafka"]}, "sinks: no plugin in use offers kafka", "plugins list"),
        ({"transport": "http9"}, "transport: no plugin in use offers http9", "plugins list"),
        ({"provider_dialects": {"openai": "anthropic"}}, "provider_dialects.openai: this is fixed", "remove the line"),
        (
            {"provider_auth_schemes": {"nobody": "bearer"}},
            "provider_auth_schemes.nobody: no such provider",
            "plugins list",
        ),
    ],
)
async def test_a_configuration_that_means_nothing_stops_the_start(
    values: Mapping[str, object], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        assemble(settings(**values))
    assert refused.value.message.startswith(message)
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("disabled", "message", "hint"),
    [
        ("provider:echo", "--dev needs an embedded upstream", "enable the plugin `echo`"),
        ("bai", "--dev needs an auth scheme that can make a credential", "enable the plugin `bai`"),
    ],
)
async def test_dev_says_what_it_lacks(disabled: str, message: str, hint: str) -> None:
    with pytest.raises(BeyondError) as refused:
        assemble(settings(plugins={"disabled": [disabled]}), dev=True)
    assert refused.value.message.startswith(message)
    assert hint in refused.value.hint


async def test_without_any_scanner_nothing_starts() -> None:
    with pytest.raises(BeyondError, match="no scanner can be used"):
        assemble(settings(plugins={"disabled": ["scanner:python", "scanner:simd"]}))


async def test_metrics_have_a_row_for_every_provider() -> None:
    assembly = await assembled(provider_authorities={"local": "127.0.0.1:1"})
    assert set(assembly.gateway.metrics.providers) >= set(assembly.upstreams)
    assert "local" in assembly.gateway.metrics.providers
