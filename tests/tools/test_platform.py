"""The platform tools, with a real program in the place of `beyond`."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from tests.tools.conftest import Fence, MakeContext
from tests.tools.shown import shown_size

from beyond_ai import Tool, ToolContext, ToolError, ToolResult
from beyond_ai_tools.platform import beyond_command, fork, logs, sync

TOOLS: dict[str, Tool] = {tool.name: tool for module in (fork, sync, logs) for tool in module.beyond_tools()}


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    return folder


@pytest.fixture
def platform(make_context: MakeContext, programs: Path) -> ToolContext:
    """A context in which `beyond` shows how it was called."""
    install(programs, 'pwd; for word; do echo "<$word>"; done; echo done >&2')
    return make_context(environment={"PATH": f"{programs}:/usr/bin:/bin"})


def install(programs: Path, script: str) -> None:
    program = programs / "beyond"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


async def run(name: str, context: ToolContext, /, **arguments: Any) -> ToolResult:
    tool = TOOLS[name]
    return await tool.run(tool.arguments.model_validate(arguments, strict=True), context)


@pytest.mark.parametrize(
    ("name", "arguments", "words"),
    [
        ("fork", {"app": "shop"}, ["fork", "shop"]),
        ("fork", {"app": "shop", "name": "shop-2"}, ["fork", "shop", "--name", "shop-2"]),
        ("sync", {}, ["sync"]),
        ("sync", {"path": "sub dir; rm x"}, ["sync", "{cwd}/sub dir; rm x"]),
        ("logs", {}, ["logs"]),
        ("logs", {"app": "shop"}, ["logs", "--app", "shop"]),
        ("logs", {"app": "shop", "query": 'a:"$(b) c"'}, ["logs", "--app", "shop", "--query", 'a:"$(b) c"']),
        ("logs", {"query": "-level:info"}, ["logs", "--query=-level:info"]),
    ],
)
async def test_what_is_run(platform: ToolContext, name: str, arguments: dict[str, str], words: list[str]) -> None:
    result = await run(name, platform, **arguments)
    here = os.path.realpath(platform.cwd)  # noqa: ASYNC240 - once
    expected = [here, *(f"<{word}>".replace("{cwd}", here) for word in words), "done"]
    assert (result.text.split("\n"), result.is_error) == (expected, False)


@pytest.mark.parametrize("name", ["fork", "logs"])
@pytest.mark.parametrize("app", ["--force", "a b", "", "a\nb"])
def test_an_app_is_one_word_and_no_option(name: str, app: str) -> None:
    with pytest.raises(ValueError, match="app"):
        TOOLS[name].arguments.model_validate({"app": app})


async def test_a_failure_is_an_error_with_all_that_was_said(platform: ToolContext, programs: Path) -> None:
    install(programs, "echo out; echo 'not signed in' >&2; exit 4")
    result = await run("sync", platform)
    assert (result.text, result.is_error) == ("out\nnot signed in\n\nCommand exited with code 4", True)


async def test_a_time_limit(platform: ToolContext, programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert beyond_command.TIMEOUT == 120
    monkeypatch.setattr(beyond_command, "TIMEOUT", 0.2)
    install(programs, "echo waiting; sleep 60")
    result = await asyncio.wait_for(run("logs", platform), 10)
    assert (result.text, result.is_error) == ("waiting\n\nCommand timed out after 0.2 seconds", True)


@pytest.mark.parametrize("name", ["fork", "sync", "logs"])
async def test_a_missing_command_is_said_clearly(make_context: MakeContext, name: str) -> None:
    with pytest.raises(ToolError, match=r"`beyond` is not installed.*install it"):
        await run(name, make_context(), app="shop") if name == "fork" else await run(name, make_context())


async def test_what_is_synced_is_within_bounds(platform: ToolContext, make_context: MakeContext, fence: Fence) -> None:
    fence.root = platform.cwd.resolve()
    context = make_context(environment=dict(platform.environment), paths=fence)
    with pytest.raises(ToolError, match="outside"):
        await run("sync", context, path="..")
    assert fence.asked[-1][1], "asked as for writing"


@pytest.mark.parametrize("name", TOOLS)
def test_how_the_model_sees_them(name: str) -> None:
    assert shown_size(TOOLS[name]) <= 350
    assert TOOLS[name].read_only == (name == "logs")
