"""The suites find what is broken, and say which rule it breaks and where that is written."""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import hypothesis
import pytest
import typer
from pydantic import BaseModel, ConfigDict

from beyond_ai import (
    AgentHook,
    Allow,
    AuthScheme,
    Block,
    Command,
    Identity,
    InvalidCredential,
    Observer,
    Provider,
    RequestRecord,
    ScannerFactory,
    Tool,
    ToolContext,
    ToolResult,
    UsageCounts,
    UsageEvent,
    UsageQuirk,
    UsageSink,
    Verdict,
)
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.testing.conformance import (
    AgentHookConformance,
    AuthConformance,
    CommandConformance,
    ObserverConformance,
    ProviderConformance,
    RuleBroken,
    ScannerConformance,
    SinkConformance,
    ToolConformance,
    tool_use,
)


@pytest.fixture(autouse=True)
def _no_search_for_the_smallest() -> Iterator[None]:
    """What is found is enough here; making it small takes seconds."""
    hypothesis.settings.register_profile("found", phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])
    hypothesis.settings.load_profile("found")
    yield
    hypothesis.settings.load_profile("default")


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: int = 1


class Lax(BaseModel):
    count: int = 1


async def fine(arguments: BaseModel, context: ToolContext) -> ToolResult:
    return ToolResult("fine")


async def chatty(arguments: BaseModel, context: ToolContext) -> ToolResult:
    print("working")
    return ToolResult("fine")


async def boundless(arguments: BaseModel, context: ToolContext) -> ToolResult:
    return ToolResult("word " * 100_000)


async def broken(arguments: BaseModel, context: ToolContext) -> ToolResult:
    raise KeyError("count")


async def deaf(arguments: BaseModel, context: ToolContext) -> ToolResult:
    await asyncio.to_thread(time.sleep, 1.6)
    return ToolResult("late")


async def trespasser(arguments: BaseModel, context: ToolContext) -> ToolResult:
    (context.cwd / "a.txt").write_text("written")
    return ToolResult("fine")


def tool(
    run: Callable[..., object] = fine, *, name: str = "odd", arguments: type[BaseModel] = Strict, **parts: object
) -> Tool:
    described = str(parts.pop("description", "Does odd things."))
    return Tool(name=name, description=described, arguments=arguments, run=run, **parts)  # type: ignore[arg-type]


class OddTool(ToolConformance):
    plugin = "odd"
    arguments: ClassVar = {"count": 1}

    def __init__(self, made: Tool) -> None:
        self.made = made

    def record(self) -> Tool:
        return self.made


@pytest.mark.parametrize(
    ("made", "test", "rule"),
    [
        (tool(name="odd.tool"), "test_its_name_is_one_that_every_provider_takes", "Tool.name"),
        (tool(description=" "), "test_it_is_described", "Tool.description"),
        (tool(description="so " * 500), "test_its_schema_is_valid_and_small", "at most 1000 bytes"),
        (tool(arguments=Lax), "test_arguments_that_do_not_fit_are_refused", "no_such_argument.* was taken"),
        (tool(summary=lambda _: 7), "test_what_a_call_is_about_can_be_told", "Tool.summary"),
        (tool(chatty), "test_a_call_has_a_result", "prints nothing"),
        (tool(broken), "test_a_call_has_a_result", "KeyError: 'count'"),
        (tool(boundless), "test_a_result_keeps_to_the_limits", "ToolLimits"),
        (tool(deaf), "test_it_stops_within_a_second_when_it_is_asked_to", "within a second"),
        (tool(trespasser, writes=lambda _: "a.txt"), "test_paths_out_of_bounds_are_not_touched", "PathPolicy.check"),
        (tool(trespasser, read_only=True), "test_who_only_reads_changes_nothing", "Tool.read_only"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("test_") else "",
)
def test_a_tool(made: Tool, test: str, rule: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    suite = OddTool(made)
    with pytest.raises(RuleBroken, match=r"(?s)the tool `odd`.*written in beyond_ai/spec/tool.py.*") as caught:
        called(suite, test, tmp_path=tmp_path, capfd=capfd)
    assert caught.match(f"(?s){rule}")


def called(suite: object, test: str, **fixtures: object) -> None:
    """Call TEST of SUITE with those of FIXTURES that it takes."""
    method = getattr(suite, test)
    names = method.__code__.co_varnames[: method.__code__.co_argcount]
    method(**{name: value for name, value in fixtures.items() if name in names})


def negative(report: object, counts: UsageCounts) -> None:
    counts.input_tokens -= 1_000


def careless(report: dict[str, object], counts: UsageCounts) -> None:
    counts.cache_read_tokens = report.get("cached_tokens", 0)  # type: ignore[assignment]


def trusting(report: dict[str, dict[str, int]], counts: UsageCounts) -> None:
    counts.reasoning_tokens = report.get("usage", {}).get("reasoning_tokens")


def provider(adjust: Callable[..., None] | None = None, **parts: str) -> Provider:
    facts = {"authority": "api.acme.example:443", "summary": "Acme", "documentation": "https://docs.acme.example"}
    quirk = UsageQuirk(adjust=adjust) if adjust else None
    return Provider(name="acme", usage=quirk, **{**facts, **parts})  # type: ignore[arg-type]


class OddProvider(ProviderConformance):
    plugin = "acme"

    def __init__(self, made: Provider) -> None:
        self.made = made

    def record(self) -> Provider:
        return self.made


@pytest.mark.parametrize(
    ("made", "test", "rule"),
    [
        (provider(authority="acme"), "test_its_record_can_be_routed_to", "HOST:PORT"),
        (provider(documentation=""), "test_its_facts_have_a_source", "Provider.documentation"),
        (provider(key_env="acme key"), "test_its_facts_have_a_source", "Provider.key_env"),
        (provider(negative), "test_a_report_that_says_nothing_changes_nothing", "an empty report"),
        (provider(negative), "test_no_report_surprises_its_quirk", "UsageCounts.input_tokens"),
        (provider(careless), "test_no_report_surprises_its_quirk", "UsageCounts.cache_read_tokens"),
        (provider(trusting), "test_no_report_surprises_its_quirk", "raises on no JSON"),
    ],
)
def test_a_provider(made: Provider, test: str, rule: str) -> None:
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/provider.py"):
        called(OddProvider(made), test)


class Scheme:
    managed = True

    def claims(self, credential: str) -> bool:
        return credential.startswith("team-")

    def authenticate(self, credential: str) -> Identity:
        if credential != "team-blue-of-the-north":
            raise InvalidCredential("unknown team")
        return Identity(1)


class Raising(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return {"team-blue-of-the-north": Identity(1)}[credential]


class Telling(Scheme):
    def authenticate(self, credential: str) -> Identity:
        if credential != "team-blue-of-the-north":
            raise InvalidCredential(f"unknown team {credential}")
        return Identity(1)


class Lenient(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return Identity(1)


class Greedy(Scheme):
    def claims(self, credential: str) -> bool:
        return True


class Backtracking(Scheme):
    def claims(self, credential: str) -> bool:
        return credential.startswith("team-") and not any(
            credential.count("A", at) == -1 for at in range(len(credential))
        )


class Outsized(Scheme):
    def authenticate(self, credential: str) -> Identity:
        return Identity(-1)


class OddAuth(AuthConformance):
    plugin = "team"
    valid = ("team-blue-of-the-north",)
    invalid = ("team-nobody-that-is-known",)

    def __init__(self, made: AuthScheme) -> None:
        self.made = made

    def make(self, folder: Path) -> AuthScheme:
        return self.made


@pytest.mark.parametrize(
    ("made", "test", "rule"),
    [
        (Raising(), "test_no_text_at_all_surprises_it", "nothing but InvalidCredential"),
        (Raising(), "test_it_refuses_what_is_not_valid", "a refusal is InvalidCredential"),
        (Telling(), "test_it_refuses_what_is_not_valid", "no part of the credential"),
        (Lenient(), "test_nothing_that_is_close_to_valid_is", "what is not valid is refused"),
        (Greedy(), "test_it_leaves_other_schemes_theirs", "AuthScheme.claims"),
        (Backtracking(), "test_a_long_credential_costs_no_more_than_a_look", "cheap"),
        (Outsized(), "test_it_accepts_its_own", "unsigned 64-bit"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Scheme) else "",
)
def test_an_auth_scheme(made: Scheme, test: str, rule: str, tmp_path: Path) -> None:
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/auth.py"):
        called(OddAuth(made), test, tmp_path=tmp_path)


def test_an_auth_scheme_that_is_right(tmp_path: Path) -> None:
    for test in [name for name in dir(OddAuth) if name.startswith("test_") and "settings" not in name]:
        if "summary" not in test and test not in (
            "test_it_says_in_a_line_what_it_is",
            "test_it_is_made_anew_each_time",
        ):
            called(OddAuth(Scheme()), test, tmp_path=tmp_path)


class Kept:
    """A sink that keeps what it takes, with one fault."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault
        self.held: list[str] = []
        self.written: list[str] = []

    async def start(self) -> None:
        pass

    def emit(self, event: UsageEvent) -> None:
        if self.fault == "slow":
            time.sleep(0.001)
        if self.fault == "fragile":
            event.model.encode()
        self.held.append(event.request_id)

    async def aclose(self) -> None:
        if self.fault == "fragile" and len(self.held) < 10:
            return
        if self.fault != "forgetful":
            self.written += self.held


class OddSink(SinkConformance):
    plugin = "kept"

    def __init__(self, fault: str) -> None:
        self.sink = Kept(fault)

    def make(self, folder: Path) -> UsageSink:
        return self.sink

    def received(self, folder: Path) -> list[str]:
        return self.sink.written


@pytest.mark.parametrize(
    ("fault", "test", "rule"),
    [
        ("forgetful", "test_closing_writes_out_what_is_held", "UsageSink.aclose"),
        ("slow", "test_taking_an_event_never_blocks", "UsageSink.emit"),
        ("forgetful", "test_an_odd_event_spoils_no_other", "costs no other"),
    ],
)
def test_a_sink(fault: str, test: str, rule: str, tmp_path: Path) -> None:
    called(OddSink(""), test, tmp_path=tmp_path)
    with pytest.raises(RuleBroken, match=f"(?s)(?=.*{rule}).*written in beyond_ai/spec/sink.py"):
        called(OddSink(fault), test, tmp_path=tmp_path)


class Counting:
    """An observer that counts on there being a provider."""

    async def start(self) -> None:
        self.seen: dict[str, int] = {}

    def observe(self, record: RequestRecord) -> None:
        assert record.provider is not None
        self.seen[record.provider.upper()] = 1

    async def aclose(self) -> None:
        pass


class OddObserver(ObserverConformance):
    plugin = "counting"

    def make(self, folder: Path) -> Observer:
        return Counting()


def test_an_observer(tmp_path: Path) -> None:
    with pytest.raises(RuleBroken, match=r"(?s)takes every record.*written in beyond_ai/spec/observer.py"):
        OddObserver().test_it_takes_records_of_every_sort(tmp_path)


class Gate(AgentHook):
    """Refuses force pushes, with one fault."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    async def before_tool_call(self, call: ToolUse) -> Verdict:
        if self.fault == "fragile":
            assert isinstance(call.input["command"], str)
        if self.fault == "mute":
            return None  # type: ignore[return-value]
        refused = "--force" in str(call.input.get("command")) and self.fault != "open"
        return Block("no force") if refused else Allow()

    async def prompt_sections(self) -> list[str]:
        return [str(time.monotonic_ns())] if self.fault == "fickle" else ["Never push with --force."]

    async def rewrite_context(self, messages: object) -> object:  # type: ignore[override]
        return messages[:-1] if self.fault == "forgetful" else messages  # type: ignore[index]

    async def rewrite_payload(self, payload: dict[str, object]) -> dict[str, object]:
        return {**payload, "when": object()} if self.fault == "odd" else payload


class OddHook(AgentHookConformance):
    plugin = "gate"
    blocked = (tool_use("bash", command="git push --force"),)
    allowed = (tool_use("bash", command="git push"),)

    def __init__(self, fault: str) -> None:
        self.fault = fault

    def make(self, folder: Path) -> AgentHook:
        return Gate(self.fault)


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        ("open", "test_it_holds_back_what_it_should"),
        ("fragile", "test_it_has_a_verdict_on_every_call"),
        ("mute", "test_it_has_a_verdict_on_every_call"),
        ("fickle", "test_its_sections_are_text_and_stay"),
        ("forgetful", "test_a_conversation_stays_one"),
        ("odd", "test_a_payload_stays_json"),
    ],
)
def test_an_agent_hook(fault: str, test: str, tmp_path: Path) -> None:
    called(OddHook(""), test, tmp_path=tmp_path)
    with pytest.raises(RuleBroken, match=r"written in beyond_ai/spec/agent_hook.py: AgentHook\."):
        called(OddHook(fault), test, tmp_path=tmp_path)


class Head:
    """A scanner that forgets what it saw at each border."""

    model: bytes | None = None
    stream = None
    options: tuple[tuple[int, int], ...] = ()
    open_option = root_end = -1
    root_empty = True
    words = 0

    def feed(self, data: bytes) -> None:
        _, _, rest = data.partition(b'"model":"')
        self.model = self.model or rest.partition(b'"')[0] or None


class OddScanner(ScannerConformance):
    plugin = "head"

    def make(self, folder: Path) -> ScannerFactory:
        return ScannerFactory(Head)


def test_a_scanner() -> None:
    suite = OddScanner()
    with pytest.raises(AssertionError):
        suite.test_model(Head, 1, b'{"model":"gpt-4o"}', b"gpt-4o")
    assert suite.rule_of("test_model").endswith("The contract of the kind: beyond_ai/spec/scanner.py")


app = typer.Typer(rich_markup_mode=None)


@app.command()
def greet(name: str) -> None:
    """Say hello."""


class OddCommand(CommandConformance):
    plugin = "greet"

    def __init__(self, made: typer.Typer) -> None:
        self.made = made

    def record(self) -> Command:
        return Command(name="greet", summary="Say hello.", app=self.made)


def test_a_command() -> None:
    undescribed = typer.Typer(rich_markup_mode=None)
    undescribed.command()(lambda: None)
    OddCommand(app).test_it_and_each_of_its_commands_has_help()
    OddCommand(app).test_a_mistake_is_told_and_not_thrown()
    with pytest.raises(RuleBroken, match=r"(?s)help says what.*written in beyond_ai/spec/command.py: Command.app"):
        OddCommand(undescribed).test_it_and_each_of_its_commands_has_help()


def test_a_plugin_that_is_not_installed_is_told_how_to_be() -> None:
    class Missing(ToolConformance):
        plugin = "nowhere"

    with pytest.raises(pytest.fail.Exception, match=r"no tool `nowhere` is installed.*beyond_ai.tools.*pip install -e"):
        Missing().record()
