"""The facts of the shipped providers, and that reading them costs nothing."""

import importlib
import subprocess
import sys
from importlib.metadata import entry_points

import pytest

from beyond_ai import Dialect, KeyScheme, Provider

OPENAI, ANTHROPIC = Dialect.OPENAI, Dialect.ANTHROPIC
BEARER, X_API_KEY = KeyScheme.BEARER, KeyScheme.X_API_KEY

FACTS = {
    "openai": ("api.openai.com:443", "/v1", BEARER, OPENAI, ("/v1",), "OPENAI_API_KEY"),
    "anthropic": ("api.anthropic.com:443", "", X_API_KEY, ANTHROPIC, ("/v1/messages",), "ANTHROPIC_API_KEY"),
    "openrouter": ("openrouter.ai:443", "/api/v1", BEARER, OPENAI, (), "OPENROUTER_API_KEY"),
    "fireworks": ("api.fireworks.ai:443", "/inference/v1", BEARER, OPENAI, (), "FIREWORKS_API_KEY"),
    "groq": ("api.groq.com:443", "/openai/v1", BEARER, OPENAI, (), "GROQ_API_KEY"),
    "deepseek": ("api.deepseek.com:443", "/v1", BEARER, OPENAI, (), "DEEPSEEK_API_KEY"),
    "together": ("api.together.ai:443", "/v1", BEARER, OPENAI, (), "TOGETHER_API_KEY"),
    "cerebras": ("api.cerebras.ai:443", "/v1", BEARER, OPENAI, (), "CEREBRAS_API_KEY"),
    "mistral": ("api.mistral.ai:443", "/v1", BEARER, OPENAI, (), "MISTRAL_API_KEY"),
    "xai": ("api.x.ai:443", "/v1", BEARER, OPENAI, (), "XAI_API_KEY"),
    "echo": ("echo.invalid:443", "/v1", BEARER, OPENAI, (), ""),
}


def record(name: str) -> Provider:
    [provider] = importlib.import_module(f"beyond_ai_providers.{name}").beyond_providers()
    assert isinstance(provider, Provider)
    return provider


@pytest.mark.parametrize("name", FACTS)
def test_record_states_the_reference_facts(name: str) -> None:
    provider = record(name)
    assert provider.name == name
    assert (
        provider.authority,
        provider.base_path,
        provider.key_scheme,
        provider.dialect,
        provider.bare_paths,
        provider.key_env,
    ) == FACTS[name]


@pytest.mark.parametrize("name", FACTS)
def test_module_names_its_public_documentation(name: str) -> None:
    provider = record(name)
    module = importlib.import_module(f"beyond_ai_providers.{name}")
    assert provider.documentation.startswith("https://")
    assert provider.documentation in str(module.__doc__)
    assert provider.summary


def test_entry_points_are_these_providers() -> None:
    ours = {point.name: point.value for point in entry_points(group="beyond_ai.providers")}
    for name in FACTS:
        assert ours[name] == f"beyond_ai_providers.{name}"


def test_only_owners_of_bare_paths_claim_keys() -> None:
    for name in FACTS:
        provider = record(name)
        claims = (provider.key_prefixes, provider.key_headers)
        expected = {"openai": (("sk-",), ()), "anthropic": (("sk-ant-",), ("x-api-key",))}
        assert claims == expected.get(name, ((), ()))


def test_openrouter_names_the_application_that_spends_a_pool_key() -> None:
    assert dict(record("openrouter").pool_headers) == {
        "HTTP-Referer": "https://beyond.build",
        "X-OpenRouter-Title": "Beyond Gateway",
        "X-OpenRouter-Categories": "cli-agent",
    }
    assert all(not record(name).pool_headers for name in FACTS if name != "openrouter")


def test_echo_alone_is_embedded_and_needs_no_key() -> None:
    for name in FACTS:
        provider = record(name)
        special = (provider.embedded, not provider.needs_key, provider.transport)
        assert special == ((True, True, "echo") if name == "echo" else (False, False, None))


def test_importing_the_records_imports_nothing_beyond_the_seams() -> None:
    program = (
        "import sys, beyond_ai\n"
        "before = set(sys.modules)\n"
        f"for name in {list(FACTS)!r}: __import__('beyond_ai_providers.' + name)\n"
        "print(sorted(name for name in set(sys.modules) - before if not name.startswith('beyond_ai_providers')))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30)
    assert done.stdout.strip() == "[]"
