"""What the admin listener shows of a gateway that is one process, and when that gateway wants traffic."""

import itertools
import re
from dataclasses import asdict
from typing import get_args

import pytest
from tests.gateway_process import PUBLIC_KEY
from tests.nats_server import until

from beyond_ai.config import Settings
from beyond_ai.gateway.admin_view import BreakerStatus, Unready, why_not_ready
from beyond_ai.gateway.alone import ProcessView
from beyond_ai.gateway.assembly import Assembly, assemble
from beyond_ai.gateway.breaker import Permit

SIGNING = {"1": PUBLIC_KEY}
POOL_KEYS = {"openai": "sk-pool-openai-fake", "groq": "gsk-pool-groq-fake"}


@pytest.mark.parametrize(
    ("draining", "managed", "breakers", "reason"),
    [
        (False, True, ["closed"], None),
        (False, True, ["off"], None),
        (False, True, ["half_open"], None),
        (False, True, ["open", "half_open"], None),
        (False, True, ["open", "open", "closed"], None),
        (False, True, ["open"], "circuit_open"),
        (False, True, ["open", "open"], "circuit_open"),
        (False, True, [], "no_pool_keys"),
        (False, False, [], None),
        (False, False, ["open"], None),
        (True, True, ["closed"], "draining"),
        (True, True, ["open"], "draining"),
        (True, True, [], "draining"),
        (True, False, [], "draining"),
    ],
)
def test_readiness(draining: bool, managed: bool, breakers: list[BreakerStatus], reason: Unready | None) -> None:
    assert why_not_ready(draining=draining, managed=managed, breakers=breakers) == reason


def test_readiness_in_words() -> None:
    """Every combination, against what the operator's page says."""
    states = get_args(BreakerStatus)
    assert set(states) == {"closed", "open", "half_open", "off"}
    lists = [list(row) for length in range(4) for row in itertools.product(states, repeat=length)]
    for draining, managed, breakers in itertools.product((False, True), (False, True), lists):
        refused_all = managed and not [state for state in breakers if state != "open"]
        reason = why_not_ready(draining=draining, managed=managed, breakers=breakers)
        assert (reason is not None) == (draining or refused_all)
        assert reason in (None, *get_args(Unready))


async def assembled(*, dev: bool = False, **values: object) -> Assembly:
    return assemble(Settings.model_validate({"no_plugins": True, **values}), dev=dev)


def view_of(assembly: Assembly, *, draining: bool = False) -> ProcessView:
    return ProcessView(assembly, lambda: draining, lambda: None)


def fail(assembly: Assembly, name: str) -> None:
    """Have one request to the provider NAME fail."""
    breaker = assembly.upstreams[name].breaker
    assert breaker is not None
    permit = breaker.allow()
    assert isinstance(permit, Permit)
    permit.failure()


async def test_ready_while_one_provider_can_be_reached_on_a_pool_key() -> None:
    assembly = await assembled(
        signing_keys=SIGNING,
        pool_keys=POOL_KEYS,
        circuit_breaker_threshold=1,
        circuit_breaker_reset_secs=0.1,
    )
    view = view_of(assembly)
    assert view.not_ready() is None
    fail(assembly, "openai")
    fail(assembly, "anthropic")  # has no pool key: says nothing about virtual keys
    assert view.not_ready() is None
    fail(assembly, "groq")
    await until(lambda: view.not_ready() is None)
    assert "half_open" in {row.breaker for row in view.providers() if row.pool_key}
    groq = assembly.upstreams["groq"].breaker
    assert groq is not None
    await until(lambda: isinstance(groq.allow(), Permit))
    assert {row.name: row.breaker for row in view.providers()}["groq"] == "half_open", "one is trying"


async def test_not_ready_while_every_provider_with_a_pool_key_is_failing() -> None:
    assembly = await assembled(signing_keys=SIGNING, pool_keys=POOL_KEYS, circuit_breaker_threshold=1)
    view = view_of(assembly)
    fail(assembly, "openai")
    fail(assembly, "groq")
    assert view.not_ready() == "circuit_open"
    states = {row.name: row.breaker for row in view.providers()}
    assert (states["openai"], states["groq"], states["anthropic"]) == ("open", "open", "closed")
    assert view_of(assembly, draining=True).not_ready() == "draining"


async def test_signing_keys_without_any_pool_key_are_not_ready() -> None:
    assert view_of(await assembled(signing_keys=SIGNING)).not_ready() == "no_pool_keys"


async def test_a_gateway_for_clients_own_keys_is_ready() -> None:
    assembly = await assembled()
    assert view_of(assembly).not_ready() is None
    assert view_of(assembly, draining=True).not_ready() == "draining"


async def test_with_dev_every_virtual_key_is_served_by_the_embedded_provider() -> None:
    assert view_of(await assembled(dev=True, signing_keys=SIGNING)).not_ready() is None


async def test_providers_as_they_are_reached() -> None:
    assembly = await assembled(
        pool_keys=POOL_KEYS,
        circuit_breaker_threshold=0,
        provider_authorities={"azure": "azure.test:8443", "openai": "[::1]:9"},
        provider_dialects={"azure": "anthropic"},
    )
    rows = view_of(assembly).providers()
    assert [row.name for row in rows] == sorted(assembly.upstreams)
    by_name = {row.name: asdict(row) for row in rows}
    assert by_name["openai"] == {
        "name": "openai",
        "authority": "[::1]:9",
        "dialect": "openai",
        "transport": "http1",
        "breaker": "off",
        "pool_key": True,
    }
    assert by_name["azure"] == {
        "name": "azure",
        "authority": "azure.test:8443",
        "dialect": "anthropic",
        "transport": "http1",
        "breaker": "off",
        "pool_key": False,
    }
    assert not re.search("fake", repr(rows)), "a pool key"


async def test_with_dev_the_transport_is_the_one_that_answers() -> None:
    rows = view_of(await assembled(dev=True, pool_keys=POOL_KEYS)).providers()
    assert {row.name for row in rows if row.transport == "http1"} == set(POOL_KEYS)
    assert {row.transport for row in rows} == {"http1", "echo"}
