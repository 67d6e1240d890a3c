"""The suites of tools, agent hooks and commands find what is broken, and name the rule and where it is written."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import typer
from pydantic import BaseModel, ConfigDict
from tests.core.testing.faults import called, quick_search

from beyond_ai import (
    AgentHook,
    Allow,
    Block,
    Command,
    Tool,
    ToolContext,
    ToolResult,
    Verdict,
)
from beyond_ai.spec.conversation import ToolUse
from beyond_ai.testing.conformance import (
    AgentHookConformance,
    CommandConformance,
    RuleBroken,
    ToolConformance,
    tool_use,
)


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


__all__ = ["quick_search"]
