"""What every suite is made of: a plugin, loaded as the programs load it, and rules that name their source."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import ClassVar, Final, Generic, TypeVar, cast

import pytest

from beyond_ai.registry import PluginPolicy, Registry, State, load
from beyond_ai.spec.component import Component, Context
from beyond_ai.spec.kinds import kind_named

AT_ONCE_SECONDS: Final = 0.000_5
"""What a call between two requests may take: a loaded gateway has some thousands of them a second."""

R = TypeVar("R")
T = TypeVar("T")


class RuleBroken(AssertionError):  # noqa: N818 - named for what it says about the plugin
    """A plugin does not keep a rule of its kind. The text says which, where it is written and what was seen."""


@cache
def _loaded(kind: str, plugin: str) -> Registry:
    """The registry with the one PLUGIN of KIND; PluginError, with the reason, for one that would be set aside."""
    return load([kind], PluginPolicy(strict=True), only=plugin)


class Conformance(Generic[R]):
    """The rules of one kind of plugin. Subclasses of its subclasses name a `plugin`, and pytest collects them.

    Attributes:
        kind: the kind, as `beyond-ai plugins list` calls it.
        plugin: the name of the plugin's entry point. Its distribution must be installed.
        offered: the name of the record that is meant, where the plugin offers several.
    """

    kind: ClassVar[str]
    plugin: ClassVar[str]
    offered: ClassVar[str] = ""

    def record(self) -> R:
        """What the plugin offers, loaded by the registry in strict mode; skips where it says that it is unavailable."""
        [report, *_] = [*_loaded(self.kind, self.plugin).reports, None]
        if report is None:
            pytest.fail(
                f"no {self.kind} `{self.plugin}` is installed: name it in the entry points of the group "
                f"{kind_named(self.kind).group}, and install the distribution (`pip install -e .`)",
                pytrace=False,
            )
        if report.state is State.UNAVAILABLE:
            pytest.skip(report.reason)
        records = self._records()
        name = self.offered or (next(iter(records)) if len(records) == 1 else self.plugin)
        if name not in records:
            pytest.fail(
                f"the {self.kind} plugin `{self.plugin}` offers {', '.join(records) or 'nothing'}, and no {name}: set "
                "`offered` to the name of the record that this suite is about",
                pytrace=False,
            )
        return cast(R, records[name])

    def _registry(self) -> Registry:
        return _loaded(self.kind, self.plugin)

    def _records(self) -> dict[str, object]:
        (plugin,) = self._registry().plugins
        return dict(plugin.records)

    def require(self, holds: object, rule: str, where: str, seen: object = "") -> None:
        """Raise RuleBroken unless HOLDS; WHERE is the attribute or method of the kind's file that states RULE."""
        __tracebackhide__ = True
        if not holds:
            raise RuleBroken(self._told(rule, where, seen))

    @contextlib.contextmanager
    def requiring(self, rule: str, where: str, but: tuple[type[Exception], ...] = ()) -> Iterator[None]:
        """Raise RuleBroken, from its cause, for any exception within but those of the types BUT and broken rules."""
        __tracebackhide__ = True
        try:
            yield
        except Exception as error:
            if isinstance(error, (RuleBroken, *but)):
                raise
            raise RuleBroken(self._told(rule, where, f"{type(error).__name__}: {error}")) from error

    @classmethod
    def rule_of(cls, test: str) -> str:
        """What TEST, a method's name, is about, and the file that states it; the report of a failure ends with it."""
        said = " ".join((getattr(cls, test).__doc__ or "").split())
        return f"{test.removeprefix('test_').replace('_', ' ')}. {said}\nThe contract of the kind: {cls.file()}"

    @classmethod
    def file(cls) -> str:
        """The file with the contract of the kind."""
        return kind_named(cls.kind).hooks.__module__.replace(".", "/") + ".py"

    def _told(self, rule: str, where: str, seen: object) -> str:
        lines = [
            f"the {self.kind} `{self.plugin}` breaks a rule of its kind: {rule}",
            f"  written in {self.file()}: {where}",
        ]
        return "\n".join([*lines, f"  seen: {seen}"] if seen != "" else lines)


class ComponentConformance(Conformance[Component[T]]):
    """The rules of a kind whose plugins offer components."""

    def settings(self, folder: Path) -> Mapping[str, object]:  # noqa: ARG002 - for subclasses
        """The plugin's own table, `[plugins.<name>]`; FOLDER is the test's own. Empty by default."""
        return {}

    def context(self, folder: Path) -> Context:  # noqa: ARG002 - for subclasses
        """What the component is given beside its table."""
        return Context()

    def make(self, folder: Path) -> T:
        """The component, made as the programs make it: its table checked, what `create` returns checked."""
        return self.make_with(self.context(folder), folder)

    def make_with(self, context: Context, folder: Path) -> T:
        """The component, made with CONTEXT."""
        registry, component = _loaded(self.kind, self.plugin), self.record()
        return cast(T, registry.create(self.kind, component.name, context, self.settings(folder)))

    def require_at_once(self, took: Sequence[float], method: str, where: str) -> None:
        """Raise RuleBroken unless METHOD, whose calls TOOK so many seconds each, returned at once."""
        median = sorted(took)[len(took) // 2]  # a busy machine spoils some calls, one that blocks is slow in most
        self.require(
            median < AT_ONCE_SECONDS and sum(took) < 10 * AT_ONCE_SECONDS * len(took),
            f"`{method}` returns at once: most calls within {AT_ONCE_SECONDS * 1e3:g} ms",
            where,
            f"{median * 1e3:.2f} ms for most, {sum(took) / len(took) * 1e3:.2f} ms on average",
        )

    def test_it_says_in_a_line_what_it_is(self) -> None:
        """`beyond-ai plugins list` shows the summary."""
        summary = self.record().summary
        self.require(
            summary.strip() and "\n" not in summary,
            "`summary` is one line about it",
            "Component.summary",
            repr(summary),
        )

    def test_it_is_made_anew_each_time(self, tmp_path: Path) -> None:
        """A reload makes a second one while the first still serves."""
        with self.requiring("`create` makes the component, once and again", "Component.create"):
            first, second = self.make(tmp_path), self.make(tmp_path)
        self.require(first is not second, "`create` makes a new component each time", "Component.create")

    def test_settings_that_it_does_not_know_are_refused(self, tmp_path: Path) -> None:
        """A misspelt key must not be passed over."""
        model = self.record().config
        if model is None or model.model_config.get("extra", "forbid") == "allow":
            return
        from beyond_ai.errors import BeyondError

        unknown = {**self.settings(tmp_path), "no_such_setting": 1}
        try:
            _loaded(self.kind, self.plugin).check_table(self.kind, self.record().name, unknown)
        except BeyondError as error:
            self.require(
                "no_such_setting" in str(error), "a mistake in a table is named with its key", "Component.config", error
            )
        else:
            self.require(False, "a key that the model does not declare is an error", "Component.config", "no error")
