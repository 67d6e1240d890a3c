"""A plugin that says itself that it cannot serve here is left out, and is no failure."""

from collections.abc import Callable

import pytest

from beyond_ai import ConfigError, PluginError
from beyond_ai.config import Settings
from beyond_ai.gateway.assembly import assemble
from beyond_ai.registry import PluginPolicy, State, load

Install = Callable[..., None]

WITHOUT_DRIVER = """
    from beyond_ai import Unavailable, hookimpl

    @hookimpl
    def {hook}():
        raise Unavailable("needs the driver:\\n  install acme-driver")
"""


@pytest.mark.parametrize(
    ("kind", "group", "hook"),
    [("scanner", "scanners", "beyond_scanners"), ("sink", "sinks", "beyond_usage_sinks")],
)
def test_it_is_left_out_with_its_reason(install: Install, kind: str, group: str, hook: str) -> None:
    install("acme", {group: {"acme": "acme_driverless"}}, {"acme_driverless": WITHOUT_DRIVER.format(hook=hook)})
    registry = load([kind], PluginPolicy(strict=True))
    (report,) = [report for report in registry.reports if report.name == "acme"]
    assert (report.state, report.reason) == (State.UNAVAILABLE, "needs the driver: install acme-driver")
    assert report.provides == ()


def test_an_auth_plugin_that_is_left_out_stops_the_start(install: Install) -> None:
    source = WITHOUT_DRIVER.format(hook="beyond_auth_schemes")
    install("acme", {"auth": {"acme": "acme_driverless"}}, {"acme_driverless": source})
    with pytest.raises(PluginError, match=r"plugin auth:acme of acme 1.0: needs the driver: install acme-driver"):
        assemble(Settings())


def test_one_that_is_asked_for_stops_the_start_with_its_reason(install: Install) -> None:
    source = WITHOUT_DRIVER.format(hook="beyond_observers")
    install("acme", {"observers": {"acme": "acme_driverless"}}, {"acme_driverless": source})
    with pytest.raises(ConfigError, match=r"^observers: acme: needs the driver: install acme-driver$"):
        assemble(Settings(observers=("acme",)))
