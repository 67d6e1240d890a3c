"""Creating components: the plugin's table, the guard around `create`, and failure in use."""

import asyncio
from collections.abc import Callable

import pytest

from beyond_ai import AgentHook, ConfigError, Context, PluginError
from beyond_ai.registry import PluginPolicy, Registry, State, load

Install = Callable[..., None]

SOURCE = """
    import sys
    from pydantic import BaseModel, Field, SecretStr
    from beyond_ai import Component, hookimpl

    class Table(BaseModel):
        flush_ms: int = Field(20, ge=1)
        token: SecretStr = SecretStr("")

    class Ledger:
        def __init__(self, context):
            self.table = context.settings(Table)
        async def start(self): pass
        def emit(self, event): pass
        async def aclose(self): pass

    @hookimpl
    def beyond_usage_sinks():
        yield Component(name="ledger", summary="", create=Ledger, config=Table)
        yield Component(name="plain", summary="", create=lambda context: context.config)
        yield Component(name="raises", summary="", create=lambda context: 1 / 0)
        yield Component(name="exits", summary="", create=lambda context: sys.exit(4))
        yield Component(name="partial", summary="", create=lambda context: type("Half", (), {"emit": print})())
"""


@pytest.fixture
def registry(install: Install) -> Registry:
    install("books-dist", {"sinks": {"books": "books_plugin"}}, {"books_plugin": SOURCE}, version="2.0")
    return load(["sink"], PluginPolicy())


def test_a_component_gets_its_own_table(registry: Registry) -> None:
    ledger = registry.create("sink", "ledger", Context(), {"flush_ms": 5})
    assert getattr(ledger, "table").flush_ms == 5  # noqa: B009 - the attribute is the plugin's own
    assert getattr(registry.create("sink", "ledger", Context(), None), "table").flush_ms == 20  # noqa: B009


@pytest.mark.parametrize(
    ("table", "line"),
    [
        ({"flush_ms": "soon"}, "[plugins.books] flush_ms: should be a valid integer"),
        ({"flush_ms": 0}, "[plugins.books] flush_ms: should be greater than or equal to 1"),
        ({"flush_mss": 1}, "[plugins.books] flush_mss: unknown key; did you mean `flush_ms`?"),
        ({"token": ["fake-secret"]}, "[plugins.books] token: should be a valid string"),
    ],
)
def test_a_bad_table_is_refused_by_its_key(registry: Registry, table: dict[str, object], line: str) -> None:
    for refuse in (
        lambda: registry.create("sink", "ledger", Context(), table),
        lambda: registry.check_table("sink", "ledger", table),
    ):
        with pytest.raises(ConfigError) as raised:
            refuse()
        assert raised.value.message.startswith(line)
        assert "fake-secret" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("raises", "`raises` could not be created: ZeroDivisionError: division by zero (books_plugin, line "),
        ("exits", "`exits` could not be created: SystemExit: 4"),
        ("plain", "`plain`: create returned a NoneType, which is no UsageSink: it lacks aclose, emit, start"),
        ("partial", "`partial`: create returned a Half, which is no UsageSink: it lacks aclose, start"),
    ],
)
def test_what_goes_wrong_in_create_names_plugin_and_distribution(registry: Registry, name: str, cause: str) -> None:
    with pytest.raises(PluginError) as raised:
        registry.create("sink", name, Context(), None)
    assert raised.value.message.startswith(f"plugin sink:books of books-dist 2.0: {cause}")


def test_unknown_names_are_key_errors(registry: Registry) -> None:
    for call in (
        lambda: registry.origin("sink", "nobody"),
        lambda: registry.create("sink", "nobody", Context(), None),
        lambda: registry.fail("sink", "nobody", "x"),
    ):
        with pytest.raises(KeyError, match="nobody"):
            call()


def test_a_plugin_that_fails_in_use_leaves_the_tables(registry: Registry) -> None:
    registry.fail("sink", "ledger", "cannot reach its database")
    assert "ledger" not in registry.sinks()
    assert "stdout" in registry.sinks()
    report = registry.origin("sink", "ledger")
    assert (report.state, report.reason) == (State.FAILED, "cannot reach its database")
    assert "ledger" in report.provides
    with pytest.raises(PluginError, match="cannot reach its database"):
        registry.create("sink", "ledger", Context(), None)


def test_a_failure_in_use_is_raised_in_strict_mode(install: Install) -> None:
    install("books-dist", {"sinks": {"books": "books_plugin"}}, {"books_plugin": SOURCE})
    registry = load(["sink"], PluginPolicy(strict=True))
    with pytest.raises(PluginError, match="cannot reach"):
        registry.fail("sink", "books", "cannot reach its database")


def test_agent_hooks_are_made_from_their_table(install: Install) -> None:
    source = """
        from pydantic import BaseModel
        from beyond_ai import AgentHook, Component, hookimpl

        class Table(BaseModel):
            word: str = "please"

        class Polite(AgentHook):
            def __init__(self, context):
                self.word = context.settings(Table).word
            async def prompt_sections(self):
                return [f"Say {self.word}."]

        @hookimpl
        def beyond_agent_hooks():
            yield Component(name="polite", summary="", create=Polite, config=Table)
            yield Component(name="stranger", summary="", create=lambda context: object())
    """
    install("manners-dist", {"agent_hooks": {"manners": "manners_plugin"}}, {"manners_plugin": source})
    registry = load(["agent_hook"], PluginPolicy())
    assert list(registry.agent_hooks()) == ["polite", "stranger"]
    hook = registry.create("agent_hook", "polite", Context(), {"word": "kindly"})
    assert isinstance(hook, AgentHook)
    assert asyncio.run(hook.prompt_sections()) == ["Say kindly."]
    with pytest.raises(PluginError, match="which is no AgentHook"):
        registry.create("agent_hook", "stranger", Context(), None)
