"""One discovered plugin: its state on the way from entry point to use, and the report of it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from importlib.metadata import EntryPoint

from beyond_ai.errors import BeyondError, PluginError
from beyond_ai.spec.kinds import Kind


class Unusable(Exception):  # noqa: N818 - named for what it says about the plugin
    """Why a plugin cannot be used; the text is its reason."""


class State(Enum):
    """What became of a plugin."""

    LOADED = "loaded"
    DISABLED = "disabled"
    """left out on purpose: the configuration or the environment says so"""
    UNAVAILABLE = "unavailable"
    """left out because it said so itself: something optional is missing here, and nothing is broken"""
    FAILED = "failed"
    """set aside: something is wrong with it, and the reason says what"""


@dataclass(frozen=True, slots=True)
class PluginReport:
    """One row of `plugins list`.

    `provides`: what it offers, in use or not; `active`: what of it serves, where one of a kind does and was chosen;
    `built_in`: whether its distribution is our own; `load_ms`: what its import and its hook took; `target`: the entry
    point's value.
    """

    kind: str
    name: str
    provides: tuple[str, ...]
    active: tuple[str, ...]
    distribution: str
    version: str
    built_in: bool
    state: State
    reason: str
    load_ms: float
    target: str

    def row(self) -> dict[str, object]:
        """The report as JSON values."""
        lists = {"provides": list(self.provides), "active": list(self.active)}
        return asdict(self) | lists | {"state": self.state.value}


@dataclass(slots=True)
class Plugin:
    """A plugin on its way. Its `state` leaves LOADED once, and then it is out of every table.

    Attributes:
        rank: 0 for `tryfirst`, 2 for `trylast`, else 1; plugins are asked by rank, then by name.
        hooks: names of the hooks that it implements, once registered.
        records: what it offers, by name, in its own order; kept when it is set aside, so that listings can say.
        active: names of those records that were chosen to serve, for kinds of which one serves.
    """

    kind: Kind
    entry_point: EntryPoint
    distribution: str
    version: str
    ours: bool
    state: State = State.LOADED
    reason: str = ""
    load_ms: float = 0.0
    rank: int = 1
    hooks: tuple[str, ...] = ()
    records: Mapping[str, object] = field(default_factory=dict)
    active: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The entry point's name: what configuration and messages call this plugin."""
        return self.entry_point.name

    @property
    def qualified(self) -> str:
        """The name with its kind, as `disabled` takes it: `sink:stdout`."""
        return f"{self.kind.name}:{self.name}"

    @property
    def origin(self) -> str:
        """Distribution and version, for messages."""
        return f"{self.distribution} {self.version}".strip()

    def disable(self, reason: str) -> None:
        """Leave the plugin out on purpose."""
        self.state, self.reason = State.DISABLED, reason

    def leave_out(self, reason: str) -> None:
        """Leave the plugin out because it said itself, with REASON, that it cannot serve here."""
        self.state, self.reason = State.UNAVAILABLE, reason

    def set_aside(self, reason: str, *, strict: bool) -> None:
        """Take the plugin out because of REASON; raise PluginError instead where STRICT."""
        if strict:
            raise self.error(reason)
        self.state, self.reason = State.FAILED, reason

    def error(self, reason: str) -> PluginError:
        """REASON as an error that names this plugin and how to do without it."""
        hint = f'start without it: AI_PLUGINS_DISABLED="{self.qualified}"'
        if not self.ours:
            hint = f"mend or remove {self.distribution}, or {hint}"
        return PluginError(f"plugin {self.qualified} of {self.origin}: {reason}", hint)

    def report(self) -> PluginReport:
        """The plugin as it stands now."""
        return PluginReport(
            kind=self.kind.name,
            name=self.name,
            provides=tuple(self.records),
            active=self.active,
            distribution=self.distribution,
            version=self.version,
            built_in=self.ours,
            state=self.state,
            reason=self.reason,
            load_ms=round(self.load_ms, 3),
            target=self.entry_point.value,
        )


def one_line(error: BaseException) -> str:
    """ERROR as one line: its type, its text and the line of the plugin's code that raised it.

    An expected failure is its text alone: it was written for people.
    """
    text = " ".join(str(error).split())
    if isinstance(error, BeyondError):
        return text
    line = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if len(line) > 300:
        line = f"{line[:297]}..."
    place = place_of(error)
    return f"{line} ({place})" if place else line


def place_of(error: BaseException) -> str:
    """Module and line of the innermost frame that is not the import system's or ours; empty when there is none."""
    place, frame = "", error.__traceback__
    while frame is not None:
        module = str(frame.tb_frame.f_globals.get("__name__", ""))
        if not module.startswith(("importlib", "stevedore", "beyond_ai.registry")) and "<frozen" not in (
            frame.tb_frame.f_code.co_filename
        ):
            place = f"{module}, line {frame.tb_lineno}"
        frame = frame.tb_next
    return place
