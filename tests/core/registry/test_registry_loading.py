"""Import, registration and description are guarded one by one: whatever one plugin does, the others load."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from beyond_ai import PluginError
from beyond_ai.registry import PluginPolicy, PluginReport, Registry, State, load
from beyond_ai.spec.kinds import KINDS

Install = Callable[..., None]

GOOD = """
    from beyond_ai import Provider, hookimpl

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443")
"""


def provider(attributes: str) -> str:
    return GOOD.replace('name="acme", authority="api.acme.example:443"', attributes)


def report(registry: Registry, name: str) -> PluginReport:
    return next(report for report in registry.reports if report.name == name)


BROKEN = {
    "import_error": ("import nowhere_to_be_found", "needs module nowhere_to_be_found, which is not installed"),
    "raises": ("1 / 0", "import failed: ZeroDivisionError: division by zero (raises_plugin, line 1)"),
    "exits": ("raise SystemExit(3)", "called sys.exit(3) at import"),
    "asserts": ("assert 1 == 2, 'not today'", "import failed: AssertionError: not today (asserts_plugin, line 1)"),
    "syntax": ("def (", "import failed: SyntaxError: invalid syntax"),
    "no_hook": (
        "x = 1",
        "implements no hook of beyond_ai.providers; expected a function `beyond_providers` marked with hookimpl",
    ),
    "unmarked": ("def beyond_providers(): yield", "function `beyond_providers` is not marked with hookimpl"),
    "signature": (
        "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(settings): yield",
        "wrong signature: ",
    ),
    "typo": (
        "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_provider(): yield",
        "unknown hook `beyond_provider`; did you mean `beyond_providers`?",
    ),
    "newer": (
        "from beyond_ai import hookimpl\nBEYOND_AI_API = 2\n@hookimpl\ndef beyond_from_the_future(): yield",
        "needs plugin API 2, this is 1: upgrade beyond-ai",
    ),
    "api_text": ("BEYOND_AI_API = 'two'", "BEYOND_AI_API must be an integer, not str"),
    "hook_raises": (
        "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers():\n  yield from ()\n  raise OSError('gone')",
        "`beyond_providers` raised OSError: gone (hook_raises_plugin, line 5)",
    ),
    "hook_exits": (
        "import sys\nfrom beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(): sys.exit('bye')",
        "`beyond_providers` raised SystemExit: bye (hook_exits_plugin, line 4)",
    ),
    "wrapper": (
        "from beyond_ai import hookimpl\n@hookimpl(wrapper=True)\ndef beyond_providers(): return (yield)",
        "`beyond_providers` is marked as a wrapper; it must yield records of its own",
    ),
    "is_async": (
        "from beyond_ai import hookimpl\n@hookimpl\nasync def beyond_providers(): return []",
        "`beyond_providers` must not be async: mark a plain function that yields records",
    ),
    "returns_none": (
        "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(): pass",
        "`beyond_providers` returns a NoneType: yield records, or nothing to offer nothing",
    ),
    "returns_one": (
        provider('name="acme", authority="a:1"').replace("yield", "return"),
        "`beyond_providers` returns one Provider: yield it",
    ),
    "wrong_type": (
        "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(): yield {'name': 'acme'}",
        "`beyond_providers` yields a dict where a Provider is expected",
    ),
    "twice": (
        provider('name="acme", authority="a:1"') + '        yield Provider(name="acme", authority="b:1")',
        "`beyond_providers` yields `acme` twice",
    ),
    "bad_name": (
        provider('name="ac me", authority="a:1"'),
        "`beyond_providers` yields the name 'ac me': use letters, digits, -, _ and .",
    ),
    "bad_authority": (
        provider('name="acme", authority="https://acme.example"'),
        "provider `acme`: 'https://acme.example' is not HOST:PORT, for example api.example.com:443",
    ),
    "bad_path": (
        provider('name="acme", authority="a:1", bare_paths=("v9",)'),
        "provider `acme`: path 'v9' must start with / and not end with one",
    ),
    "bare_text": (
        provider('name="acme", authority="a:1", bare_paths="/v9"'),
        "provider `acme`: bare_paths must be a tuple of strings",
    ),
    "bad_dialect": (
        provider('name="acme", authority="a:1", dialect="openai"'),
        "provider `acme`: dialect must be one of Dialect.OPENAI, Dialect.ANTHROPIC",
    ),
    "bad_header": (
        provider('name="acme", authority="a:1", pool_headers=(("x-title", "a\\nb"),)'),
        "provider `acme`: pool_headers: 'x-title' is not a header with a printable ASCII value",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_is_set_aside_with_its_reason_and_alone(install: Install, case: str) -> None:
    source, reason = BROKEN[case]
    install("good-dist", {"providers": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    install("bad-dist", {"providers": {case: f"{case}_plugin"}}, {f"{case}_plugin": source}, version="0.3")

    registry = load(["provider"], PluginPolicy())

    bad = report(registry, case)
    assert bad.state is State.FAILED
    assert bad.reason.startswith(reason)
    assert "\n" not in bad.reason
    assert (bad.distribution, bad.version, bad.target) == ("bad-dist", "0.3", f"{case}_plugin")
    assert report(registry, "good").state is State.LOADED
    assert registry.providers()["acme"].authority == "api.acme.example:443"


@pytest.mark.parametrize("case", ["import_error", "exits", "asserts", "no_hook", "hook_raises", "bad_authority"])
def test_strict_raises_where_a_plugin_would_be_set_aside(install: Install, case: str) -> None:
    source, reason = BROKEN[case]
    install("bad-dist", {"providers": {case: f"{case}_plugin"}}, {f"{case}_plugin": source}, version="0.3")
    with pytest.raises(PluginError) as raised:
        load(["provider"], PluginPolicy(strict=True))
    assert raised.value.message.startswith(f"plugin provider:{case} of bad-dist 0.3: {reason}")
    assert f'AI_PLUGINS_DISABLED="provider:{case}"' in raised.value.hint


def test_control_c_is_nobodys_failure(install: Install) -> None:
    install("slow-dist", {"providers": {"slow": "slow_plugin"}}, {"slow_plugin": "raise KeyboardInterrupt"})
    with pytest.raises(KeyboardInterrupt):
        load(["provider"], PluginPolicy())


def test_an_entry_point_to_nowhere_says_so(install: Install) -> None:
    install(
        "hollow-dist",
        {"providers": {"hollow": "hollow_plugin.inner", "attr": "attr_plugin:missing"}},
        {"attr_plugin": ""},
    )
    registry = load(["provider"], PluginPolicy())
    assert report(registry, "hollow").reason == "its entry point names a module that is not installed: hollow_plugin"
    assert "has no attribute 'missing'" in report(registry, "attr").reason


def test_a_plugin_may_be_an_object_and_serve_several_kinds(install: Install) -> None:
    source = """
        from beyond_ai import Component, Provider, hookimpl

        class Plugin:
            @hookimpl
            def beyond_providers(self):
                return [Provider(name="acme", authority="api.acme.example:443")]

            @hookimpl
            def beyond_usage_sinks(self):
                yield Component(name="ledger", summary="", create=lambda context: None)

            @hookimpl(optionalhook=True)
            def beyond_of_a_later_version(self):
                pass

        plugin = Plugin()
    """
    entry = {"acme": "object_plugin:plugin"}
    install("acme-dist", {"providers": entry, "sinks": entry}, {"object_plugin": source})
    registry = load(["provider", "sink"], PluginPolicy())
    assert {"acme"} == {found.name for found in registry.reports if found.distribution == "acme-dist"}
    assert "acme" in registry.providers()
    assert "ledger" in registry.sinks()
    assert registry.origin("sink", "ledger").name == "acme"


def test_order_is_tryfirst_then_name_then_trylast(install: Install) -> None:
    def plugin(option: str, name: str) -> str:
        return f"""
            from beyond_ai import Component, hookimpl

            @hookimpl({option})
            def beyond_auth_schemes():
                yield Component(name="{name}-b", summary="", create=lambda context: None)
                yield Component(name="{name}-a", summary="", create=lambda context: None)
        """

    options = {"zebra": "tryfirst=True", "ape": "trylast=True", "mouse": "", "lion": ""}
    install(
        "zoo",
        {"auth": {name: f"{name}_plugin" for name in options}},
        {f"{name}_plugin": plugin(option, name) for name, option in options.items()},
    )
    policy = PluginPolicy(disabled=frozenset({"bai", "byo"}))
    schemes = load(["auth"], policy).auth_schemes()
    assert list(schemes) == ["zebra-b", "zebra-a", "lion-b", "lion-a", "mouse-b", "mouse-a", "ape-b", "ape-a"]


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (PluginPolicy(disabled=frozenset({"boom"})), "switched off by [plugins] disabled or AI_PLUGINS_DISABLED"),
        (
            PluginPolicy(disabled=frozenset({"provider:boom"})),
            "switched off by [plugins] disabled or AI_PLUGINS_DISABLED",
        ),
        (PluginPolicy(third_party=False), "third-party plugins are off (AI_NO_PLUGINS)"),
        (PluginPolicy(allow=("other-dist",)), "boom-dist is not among [plugins] allow"),
    ],
)
def test_a_plugin_left_out_by_policy_is_not_imported(install: Install, policy: PluginPolicy, reason: str) -> None:
    install("boom-dist", {"providers": {"boom": "boom_plugin"}}, {"boom_plugin": GOOD})
    registry = load(["provider"], policy)
    assert (report(registry, "boom").state, report(registry, "boom").reason) == (State.DISABLED, reason)
    assert "boom_plugin" not in sys.modules
    assert report(registry, "openai").state is State.LOADED


def test_allow_compares_distributions_as_the_index_does(install: Install) -> None:
    install("Acme.Dist", {"providers": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    registry = load(["provider"], PluginPolicy(allow=("acme_dist",)))
    assert report(registry, "good").state is State.LOADED


def test_disabling_another_kind_of_that_name_changes_nothing(install: Install) -> None:
    install("good-dist", {"providers": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    registry = load(["provider"], PluginPolicy(disabled=frozenset({"sink:good"})))
    assert report(registry, "good").state is State.LOADED


def test_new_entry_points_of_a_known_distribution_are_seen_at_once(install: Install, tmp_path: Path) -> None:
    install("grows-dist", {"providers": {"good": "good_plugin"}}, {"good_plugin": GOOD, "more_plugin": "x = 1"})
    load(["provider"], PluginPolicy())
    listed = tmp_path / "site" / "grows_dist-1.0.dist-info" / "entry_points.txt"
    stamp = os.stat(listed).st_mtime
    listed.write_text(listed.read_text() + "more = more_plugin\n")
    os.utime(listed, (stamp, stamp))  # within the resolution of stevedore's cache
    assert report(load(["provider"], PluginPolicy()), "more").state is State.FAILED


def test_distributions_in_the_working_folder_are_not_plugins(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("local-dist", {"providers": {"local": "local_plugin"}}, {"local_plugin": GOOD})
    assert report(load(["provider"], PluginPolicy()), "local").state is State.LOADED
    monkeypatch.chdir(tmp_path / "site")
    assert "local" not in {found.name for found in load(["provider"], PluginPolicy()).reports}


def test_one_plugin_can_be_loaded_alone(install: Install) -> None:
    install(
        "two-dist",
        {"providers": {"good": "good_plugin", "bad": "bad_plugin"}},
        {"good_plugin": GOOD, "bad_plugin": "1/0"},
    )
    registry = load(["provider"], PluginPolicy(), only="good")
    assert [found.name for found in registry.reports] == ["good"]
    assert "bad_plugin" not in sys.modules


def test_every_plugin_of_our_own_loads() -> None:
    registry = load([kind.name for kind in KINDS], PluginPolicy(third_party=False))
    left_out = {found.name: found.state for found in registry.reports if found.state is not State.LOADED}
    # where there is no C compiler, or the extra is not installed
    assert left_out.items() <= {"simd": State.UNAVAILABLE, "otel": State.UNAVAILABLE}.items()
    assert set(registry.auth_schemes()) == {"bai", "byo"}
    assert "python" in registry.scanners()
    assert "stdout" in registry.sinks()
    assert {"http1", "httpx", "echo"} <= set(registry.transports())
    assert len(registry.providers()) >= 11
