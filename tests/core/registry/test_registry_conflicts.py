"""Two plugins, one name: a rule decides, whatever the order on disk."""

from collections.abc import Callable

import pytest

from beyond_ai import PluginError
from beyond_ai.registry import PluginPolicy, Registry, State, load

Install = Callable[..., None]


def provider(*names: str) -> str:
    yields = "\n".join(f'    yield Provider(name="{name}", authority="api.{name}.example:443")' for name in names)
    return f"from beyond_ai import Provider, hookimpl\n\n@hookimpl\ndef beyond_providers():\n{yields}\n"


def states(registry: Registry, distributions: list[str]) -> list[tuple[State, str]]:
    by_distribution = {report.distribution: report for report in registry.reports}
    return [(by_distribution[name].state, by_distribution[name].reason) for name in distributions]


def install_rivals(install: Install, plugin: str, *, both_called: str | None = None) -> None:
    for name in ("blue", "red"):
        called = both_called or name
        install(f"{name}-dist", {"providers": {called: f"{name}_plugin"}}, {f"{name}_plugin": provider(plugin)})


def test_two_third_parties_of_one_plugin_name_are_both_set_aside(install: Install) -> None:
    install_rivals(install, "acme", both_called="acme")
    registry = load(["provider"], PluginPolicy())
    reason = "provider plugins of {0} 1.0 and {1} 1.0 are both called `acme`; to use this one: "
    reason += '[plugins] prefer = {{ acme = "{0}" }}'
    assert states(registry, ["blue-dist", "red-dist"]) == [
        (State.FAILED, reason.format("blue-dist", "red-dist")),
        (State.FAILED, reason.format("red-dist", "blue-dist")),
    ]
    assert "acme" not in registry.providers()


def test_two_third_parties_that_offer_one_name_are_both_set_aside(install: Install) -> None:
    install_rivals(install, "acme")
    registry = load(["provider"], PluginPolicy())
    found = states(registry, ["blue-dist", "red-dist"])
    assert [state for state, _ in found] == [State.FAILED, State.FAILED]
    assert "both offer `acme`" in found[0][1]
    assert "acme" not in registry.providers()


@pytest.mark.parametrize("both_called", ["acme", None])
def test_the_configuration_names_the_winner(install: Install, both_called: str | None) -> None:
    install_rivals(install, "acme", both_called=both_called)
    registry = load(["provider"], PluginPolicy(prefer={"acme": "Red_Dist"}))
    assert states(registry, ["blue-dist", "red-dist"]) == [
        (State.DISABLED, "`acme` comes from red-dist 1.0, as [plugins] prefer says"),
        (State.LOADED, ""),
    ]
    assert registry.origin("provider", "acme").distribution == "red-dist"


@pytest.mark.parametrize("called", ["openai", "lookalike"])
def test_ours_stays_and_the_newcomer_is_set_aside(install: Install, called: str) -> None:
    install("evil-dist", {"providers": {called: "evil_plugin"}}, {"evil_plugin": provider("openai")})
    registry = load(["provider"], PluginPolicy())
    ((state, reason),) = states(registry, ["evil-dist"])
    assert state is State.FAILED
    assert "evil-dist 1.0 and beyond-ai " in reason
    assert '[plugins] prefer = { openai = "evil-dist" }' in reason
    assert registry.providers()["openai"].authority == "api.openai.com:443"


def test_the_configuration_may_prefer_a_strangers_over_ours(install: Install) -> None:
    install("better-dist", {"providers": {"openai": "better_plugin"}}, {"better_plugin": provider("openai")})
    registry = load(["provider"], PluginPolicy(prefer={"openai": "better-dist"}))
    assert registry.providers()["openai"].authority == "api.openai.example:443"


def test_preferring_someone_who_is_not_there_settles_nothing(install: Install) -> None:
    install_rivals(install, "acme")
    registry = load(["provider"], PluginPolicy(prefer={"acme": "green-dist"}))
    assert {state for state, _ in states(registry, ["blue-dist", "red-dist"])} == {State.FAILED}


def test_a_disabled_plugin_is_no_rival(install: Install) -> None:
    install_rivals(install, "acme")
    registry = load(["provider"], PluginPolicy(disabled=frozenset({"blue"})))
    assert [state for state, _ in states(registry, ["blue-dist", "red-dist"])] == [State.DISABLED, State.LOADED]


def test_who_lost_against_ours_drags_nobody_along(install: Install) -> None:
    install("blue-dist", {"providers": {"blue": "blue_plugin"}}, {"blue_plugin": provider("openai", "acme")})
    install("red-dist", {"providers": {"red": "red_plugin"}}, {"red_plugin": provider("acme")})
    registry = load(["provider"], PluginPolicy())
    assert [state for state, _ in states(registry, ["blue-dist", "red-dist"])] == [State.FAILED, State.LOADED]


def test_one_distribution_against_itself_is_told_to_switch_one_off(install: Install) -> None:
    entries = {"one": "one_plugin", "two": "two_plugin"}
    install("own-dist", {"providers": entries}, {module: provider("acme") for module in entries.values()})
    registry = load(["provider"], PluginPolicy())
    reasons = {report.name: report.reason for report in registry.reports if report.distribution == "own-dist"}
    assert reasons["one"] == (
        "provider plugins one and two of own-dist 1.0 both offer `acme`; "
        'switch one off: [plugins] disabled = ["provider:two"]'
    )


def test_one_name_in_two_kinds_is_no_conflict(install: Install) -> None:
    sink = "from beyond_ai import Component, hookimpl\n\n@hookimpl\ndef beyond_usage_sinks():\n"
    sink += '    yield Component(name="acme", summary="", create=lambda context: None)\n'
    install("blue-dist", {"providers": {"acme": "blue_plugin"}}, {"blue_plugin": provider("acme")})
    install("red-dist", {"sinks": {"acme": "red_plugin"}}, {"red_plugin": sink})
    registry = load(["provider", "sink"], PluginPolicy())
    assert {state for state, _ in states(registry, ["blue-dist", "red-dist"])} == {State.LOADED}


def test_strict_raises_for_a_conflict(install: Install) -> None:
    install_rivals(install, "acme")
    with pytest.raises(PluginError, match="both offer `acme`"):
        load(["provider"], PluginPolicy(strict=True))
