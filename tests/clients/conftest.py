"""Stock SDK clients of the gateway: each test runs with a virtual key and with a provider's own, sync and async."""

import os
from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from tests.clients.stock import Sdk
from tests.gateway_process import CALLERS, Caller

from beyond_ai.testing import GatewayProcess


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No variable of the developer's own changes what the SDKs do."""
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "ANTHROPIC_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture(params=CALLERS, ids=str)
def caller(request: pytest.FixtureRequest) -> Caller:
    caller: Caller = request.param
    return caller


@pytest.fixture(params=["sync", "async"])
def flavour(request: pytest.FixtureRequest) -> str:
    flavour: str = request.param
    return flavour


@pytest.fixture
async def openai_sdk(gateway: GatewayProcess, caller: Caller, flavour: str) -> AsyncIterator[Sdk]:
    """`openai` with its base URL changed."""
    make = openai.OpenAI if flavour == "sync" else openai.AsyncOpenAI
    sdk = Sdk(make(base_url=f"{gateway.url}/v1", api_key=caller.openai_key))
    yield sdk
    await sdk.aclose()


@pytest.fixture
async def groq_sdk(gateway: GatewayProcess, caller: Caller, flavour: str) -> AsyncIterator[Sdk]:
    """`openai` on the path of another provider that speaks its wire."""
    make = openai.OpenAI if flavour == "sync" else openai.AsyncOpenAI
    sdk = Sdk(make(base_url=f"{gateway.url}/groq/openai/v1", api_key=caller.openai_key))
    yield sdk
    await sdk.aclose()


@pytest.fixture(params=["", "/anthropic"], ids=["bare", "named"])
async def anthropic_sdk(
    gateway: GatewayProcess, caller: Caller, flavour: str, request: pytest.FixtureRequest
) -> AsyncIterator[Sdk]:
    """`anthropic` with its base URL changed, on the bare path and on the provider's own."""
    make = anthropic.Anthropic if flavour == "sync" else anthropic.AsyncAnthropic
    sdk = Sdk(make(base_url=f"{gateway.url}{request.param}", api_key=caller.anthropic_key))
    yield sdk
    await sdk.aclose()
