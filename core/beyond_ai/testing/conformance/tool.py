"""What every tool keeps to, whatever it does."""

import asyncio
import contextlib
import json
import re
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

import fastjsonschema
import pytest

from beyond_ai.spec.conversation import ToolUse
from beyond_ai.spec.tool import Tool, ToolContext, ToolError, ToolLimits, ToolResult
from beyond_ai.testing.conformance.rule import Conformance
from beyond_ai.testing.tool_context import Fence, Switch, tool_context

if TYPE_CHECKING:
    from pydantic import BaseModel

NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
CANCEL_SECONDS: Final = 1.0
NARROW: Final = ToolLimits(lines=5, bytes=400, line_bytes=100)
WRONG: Final[tuple[object, ...]] = (None, True, -1, 0.5, "", "\0", [], {}, [None], {"": 0})
"""Values that some argument of any tool does not take."""


class ToolConformance(Conformance[Tool]):
    """The rules of tools.

        class TestAdd(ToolConformance):
            plugin = "add"
            arguments = {"a": 1, "b": 2}

    Attributes:
        arguments: of a call that works.
        slow_arguments: of a call that takes more than a second, where there is one; it is what gets cancelled.
        shown_bytes: how many bytes of JSON the tool may cost in each request to the model, at most.
    """

    kind = "tool"
    arguments: ClassVar[Mapping[str, object]] = {}
    slow_arguments: ClassVar[Mapping[str, object] | None] = None
    shown_bytes: ClassVar[int] = 1_000

    def prepare(self, folder: Path) -> None:
        """Put into FOLDER, the working folder of a call, what the call needs."""

    def settings(self, folder: Path) -> Mapping[str, object]:  # noqa: ARG002 - for subclasses
        """The tool's own table, `[plugins.<name>]`; FOLDER is the working folder of a call. Empty by default."""
        return {}

    def environment(self, folder: Path) -> Mapping[str, str]:  # noqa: ARG002 - for subclasses
        """The environment of programs that the tool starts in FOLDER."""
        return {"PATH": "/usr/bin:/bin"}

    def test_its_name_is_one_that_every_provider_takes(self) -> None:
        """Providers refuse a request with another name in it."""
        name = self.record().name
        self.require(NAME.fullmatch(name), "a name is 1 to 64 of a-z, A-Z, 0-9, _ and -", "Tool.name", repr(name))

    def test_it_is_described(self) -> None:
        """A model picks tools by their descriptions."""
        described = self.record().description.strip()
        self.require(described, "the description says, to the model, what the tool does", "Tool.description", "nothing")

    def test_its_schema_is_valid_and_small(self) -> None:
        """It goes with every request: what is shown is made from `arguments`, as the agent makes it."""
        tool, schema = self.record(), self._schema()
        self.require(schema.get("type") == "object", "the schema is that of an object", "Tool.arguments", schema)
        with self.requiring("the schema is valid JSON Schema", "Tool.arguments"):
            fastjsonschema.compile(schema)
        shown = json.dumps(
            {"name": tool.name, "description": tool.description, "input_schema": schema}, separators=(",", ":")
        )
        self.require(
            len(shown.encode()) <= self.shown_bytes,
            f"name, description and schema cost at most {self.shown_bytes} bytes (`shown_bytes` of this suite)",
            "Tool.arguments, Tool.description",
            f"{len(shown.encode())} bytes",
        )

    def test_a_model_is_shown_every_argument(self) -> None:
        """What the tool takes and the schema does not show can be used by nobody, or by accident."""
        shown = set(self._properties())
        taken = {field.alias or name for name, field in self.record().arguments.model_fields.items()}
        self.require(taken == shown, "the schema shows every field", "Tool.arguments", f"hidden: {taken - shown}")

    def test_the_call_that_works_fits(self) -> None:
        """The `arguments` of this suite, to begin with."""
        self._checked(self.arguments)
        if self.slow_arguments is not None:
            self._checked(self.slow_arguments)

    def test_arguments_that_do_not_fit_are_refused(self) -> None:
        """The model is told what is wrong with a call, and nothing runs."""
        from beyond_ai.agent.loop.arguments import Unfit

        tool = self.record()
        allowed = fastjsonschema.compile(tool.arguments.model_json_schema())  # the whole: null is for leaving out
        wrong: list[dict[str, object]] = [{**self.arguments, "no_such_argument": 1}]
        wrong += [
            {key: value for key, value in self.arguments.items() if key != name}
            for name in tool.arguments.model_fields
            if name in self.arguments
        ]
        wrong += [{**self.arguments, name: value} for name in self._properties() for value in WRONG]
        for arguments in wrong:
            try:
                allowed(arguments)
                fits = "no_such_argument" not in arguments
            except fastjsonschema.JsonSchemaValueException:
                fits = False
            if fits:
                continue
            try:
                self._check(arguments)
            except Unfit:
                continue
            self.require(
                False,
                "what the schema does not allow is refused before `run` is called: a field has the type that it says, "
                'and the model has `extra="forbid"`',
                "Tool.arguments",
                f"{arguments} was taken",
            )

    def test_what_a_call_is_about_can_be_told(self) -> None:
        """Approvals, events and condensed histories show it."""
        tool, arguments = self.record(), self._checked(self.arguments)
        for name in ("summary", "writes", "reads"):
            tell = getattr(tool, name)
            if tell is None:
                continue
            with self.requiring(f"`{name}` tells of any call that fits", f"Tool.{name}"):
                told = tell(arguments)
            self.require(isinstance(told, str), f"`{name}` gives text", f"Tool.{name}", repr(told))

    def test_a_call_has_a_result(self, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
        """And nothing else comes of it: stdout is the agent's, for frames that programs read."""
        result = self._run(self._context(tmp_path))
        self.require(isinstance(result, ToolResult), "`run` returns a ToolResult", "Tool.run", repr(result))
        self.require(isinstance(result.text, str), "the text of a result is text", "ToolResult.text", repr(result.text))
        self.require(
            not result.is_error,
            "`arguments` of this suite are of a call that works",
            "ToolResult.is_error",
            result.text,
        )
        details = [*result.details, *result.details.values()]
        self.require(all(isinstance(text, str) for text in details), "details are text", "ToolResult.details", details)
        printed = "".join(capfd.readouterr())
        self.require(
            not printed,
            "a tool prints nothing: what is for the model is its result, what is for people goes to `progress`",
            "ToolContext.progress",
            repr(printed[:200]),
        )

    def test_a_result_keeps_to_the_limits(self, tmp_path: Path) -> None:
        """They are what the model's window can bear, so they are no tool's to choose."""
        for limits in (ToolLimits(), NARROW):
            folder = tmp_path / str(limits.lines)
            folder.mkdir()
            text = self._run(self._context(folder, limits=limits)).text
            room = 1_000 + 2 * limits.line_bytes  # for a word about what was left out
            self.require(
                len(text.encode(errors="replace")) <= limits.bytes + room and text.count("\n") <= limits.lines + 10,
                "a result holds no more than `context.limits`, and a word about what was left out",
                "ToolLimits",
                f"{len(text)} characters in {text.count(chr(10)) + 1} lines, under {limits}",
            )

    def test_it_stops_within_a_second_when_it_is_asked_to(self, tmp_path: Path) -> None:
        """`cancellation` is set, and a moment later the task is cancelled."""
        arguments = self._checked(self.arguments if self.slow_arguments is None else self.slow_arguments)
        took = asyncio.run(self._cancelled(arguments, tmp_path))
        self.require(
            took <= CANCEL_SECONDS,
            "a call ends within a second of its cancellation, the work that it began included",
            "ToolContext.cancellation, Cancellation",
            f"{took:.1f} s",
        )

    def test_paths_out_of_bounds_are_not_touched(self, tmp_path: Path) -> None:
        """A tool that says what it reads or writes asks `context.paths` first."""
        tool = self.record()
        if tool.writes is None and tool.reads is None:
            return
        context = self._context(tmp_path, paths=Fence(tmp_path / "nothing-else"))
        before = _tree(context.cwd)
        try:
            result = self._run(context, but=(ToolError,))
        except ToolError:
            result = None
        self.require(
            result is None or result.is_error,
            "`context.paths` is asked about a path, with its links resolved, before it is touched",
            "ToolContext.paths, PathPolicy.check",
            "the call went through where every path was out of bounds",
        )
        self.require(_tree(context.cwd) == before, "nothing out of bounds is written", "PathPolicy.check")

    def test_who_only_reads_changes_nothing(self, tmp_path: Path) -> None:
        """No approval is asked for such a call under `--approve writes`."""
        if not self.record().read_only:
            return
        context = self._context(tmp_path)
        before = _tree(context.cwd)
        self._run(context)
        self.require(
            _tree(context.cwd) == before, "a tool that is `read_only` changes no file", "Tool.read_only", "another tree"
        )

    def _schema(self) -> dict[str, object]:
        from beyond_ai.agent.loop.definitions import lean_schema

        with self.requiring("a JSON schema can be made from the arguments", "Tool.arguments"):
            return lean_schema(self.record().arguments.model_json_schema())

    def _properties(self) -> list[str]:
        properties = self._schema().get("properties", {})
        return list(properties) if isinstance(properties, dict) else []

    def _check(self, arguments: Mapping[str, object]) -> "BaseModel":
        from beyond_ai.agent.loop.arguments import check_call
        from beyond_ai.agent.loop.definitions import ToolSet

        tool = self.record()
        call = ToolUse(id="call_1", name=tool.name, input=dict(arguments))
        return check_call(call, ToolSet([tool]), cut=False)[1]

    def _checked(self, arguments: Mapping[str, object]) -> "BaseModel":
        with self.requiring("the arguments that this suite was given fit, as JSON and strictly", "Tool.arguments"):
            return self._check(arguments)

    def _context(self, folder: Path, *, limits: ToolLimits | None = None, paths: Fence | None = None) -> ToolContext:
        cwd, scratch = folder / "work", folder / "scratch"
        cwd.mkdir()
        scratch.mkdir()
        self.prepare(cwd)
        context = tool_context(cwd, scratch=scratch, limits=limits, paths=paths, environment=self.environment(cwd))
        if self.record().config is None:
            return context
        return replace(context, config=self._registry().check_table(self.kind, self.plugin, self.settings(cwd)))

    def _run(self, context: ToolContext, but: tuple[type[Exception], ...] = ()) -> ToolResult:
        arguments = self._checked(self.arguments)
        with self.requiring("a call that fits raises nothing but ToolError", "ToolError, Tool.run", but):
            return asyncio.run(_awaited(self.record(), arguments, context))

    async def _cancelled(self, arguments: "BaseModel", folder: Path) -> float:
        """Seconds that a call with ARGUMENTS took to end after it was asked to."""
        context, switch = self._context(folder), Switch()
        context = replace(context, cancellation=switch)
        call = asyncio.ensure_future(_awaited(self.record(), arguments, context))
        await asyncio.wait({call}, timeout=0.1)
        switch.set()
        asked = time.monotonic()
        await asyncio.wait({call}, timeout=0.1)
        call.cancel()
        await asyncio.wait({call}, timeout=CANCEL_SECONDS)
        with contextlib.suppress(TimeoutError):  # a thread that goes on is work that goes on
            await asyncio.wait_for(asyncio.get_running_loop().shutdown_default_executor(), 5)
        took = time.monotonic() - asked
        if call.done() and not call.cancelled():
            call.exception()
        return took if call.done() else 10 * CANCEL_SECONDS


async def _awaited(tool: Tool, arguments: "BaseModel", context: ToolContext) -> ToolResult:
    return await tool.run(arguments, context)


def _tree(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
