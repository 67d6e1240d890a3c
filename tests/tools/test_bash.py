"""The tool `bash`, with real shells, real process groups and real signals."""

import asyncio
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.tools.conftest import Fence, MakeContext, Switch
from tests.tools.shown import shown_size

from beyond_ai import ToolContext, ToolError, ToolLimits, ToolResult
from beyond_ai_tools.coding.bash import Bash, BashArguments, beyond_tools


@pytest.fixture
def bash() -> Bash:
    return Bash()


async def run(bash: Bash, context: ToolContext, command: str, **more: object) -> ToolResult:
    return await bash.run(BashArguments.model_validate({"command": command, **more}), context)


def until(condition: Callable[[], bool], within: float = 5.0) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "it has not happened"
        time.sleep(0.005)


def running(pid: int) -> bool:
    """Whether PID is there, and not a zombie that nobody has waited for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def log_of(result: ToolResult) -> Path:
    [path] = re.findall(r"(/\S+\.log)", result.text)
    return Path(path)


async def test_output_and_errors_come_together_in_their_order(bash: Bash, context: ToolContext) -> None:
    result = await run(bash, context, "echo one; echo two >&2; echo three")
    assert (result.text, result.is_error) == ("one\ntwo\nthree", False)
    assert not context.scratch.exists()


async def test_a_command_without_output_says_so(bash: Bash, context: ToolContext) -> None:
    assert (await run(bash, context, "true")).text == "(no output)"


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("echo out; exit 3", "out\n\nCommand exited with code 3"),
        ("exit 1", "(no output)\n\nCommand exited with code 1"),
        ("kill -SEGV $$", "(no output)\n\nCommand was killed by signal 11 (SIGSEGV)"),
        ("bash -c 'kill -KILL $$'; exit $?", "Command exited with code 137 (SIGKILL)"),
        ("no-such-command-here", "command not found\n\nCommand exited with code 127"),
    ],
)
async def test_a_failure_is_an_error(bash: Bash, context: ToolContext, command: str, text: str) -> None:
    result = await run(bash, context, command)
    assert result.is_error
    assert result.text.endswith(text)


async def test_it_is_bash(bash: Bash, context: ToolContext) -> None:
    assert (await run(bash, context, "[[ abc =~ b ]] && echo ${BASH_VERSION:+yes}")).text == "yes"


async def test_nothing_can_be_read(bash: Bash, context: ToolContext) -> None:
    assert (await run(bash, context, "cat; read -r x || echo none; test -t 0 || echo 'no terminal'")).text == (
        "none\nno terminal"
    )


async def test_the_environment_is_the_contexts(bash: Bash, make_context: MakeContext) -> None:
    context = make_context(environment={"PATH": "/usr/bin:/bin", "ONLY": "this"})
    names = {line.partition("=")[0] for line in (await run(bash, context, "env")).text.split("\n")}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "ONLY"}


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The folder, with its links resolved."""
    return tmp_path.resolve()


async def test_the_working_folder(
    bash: Bash, make_context: MakeContext, tmp_path: Path, here: Path, fence: Fence
) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "file").touch()
    context = make_context(paths=fence)
    assert (await run(bash, context, "pwd -P")).text == str(here)
    assert (await run(bash, context, "pwd -P", cwd="sub")).text == str(here / "sub")
    for wrong, why in (("nowhere", "Path not found: nowhere"), ("file", "Not a directory: file")):
        with pytest.raises(ToolError, match=f"working directory is not there. {why}"):
            await run(bash, context, "pwd", cwd=wrong)
    fence.root = here / "sub"
    with pytest.raises(ToolError, match="outside"):
        await run(bash, context, "pwd", cwd="..")


async def test_a_working_folder_that_is_gone(bash: Bash, make_context: MakeContext, tmp_path: Path) -> None:
    context = make_context(cwd=tmp_path / "gone")
    with pytest.raises(ToolError, match="not there"):
        await run(bash, context, "pwd")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("echo \0", "a character that no command line can"),
        ("echo \ud800", "a character"),
        ("#" * 3_000_000, "too long"),
    ],
)
async def test_a_command_that_cannot_be_started(bash: Bash, context: ToolContext, command: str, why: str) -> None:
    with pytest.raises(ToolError, match=why):
        await bash.run(BashArguments.model_construct(command=command, cwd=None, timeout_ms=1000), context)


async def test_escape_sequences_control_characters_and_odd_bytes(bash: Bash, context: ToolContext) -> None:
    command = r"printf '\033[1;31mred\033[0m \033]0;title\007a\033(B\tb\r\nbell\a \xff\xe2\x82\xac 10%%\r20%%\n\0end'"
    assert (await run(bash, context, command)).text == "red a\tb\nbell \ufffd€ 10%\n20%\nend"


async def test_a_time_limit_kills_the_whole_group(bash: Bash, context: ToolContext) -> None:
    start = time.monotonic()
    result = await run(bash, context, "echo $$; sleep 60 & echo $!; (sleep 61; true)", timeout_ms=300)
    assert time.monotonic() - start < 5
    assert result.is_error
    shell, child, *rest = result.text.split("\n")
    assert rest == ["", "Command timed out after 0.3 seconds"]
    until(lambda: not running(int(shell)) and not running(int(child)))


async def test_a_time_limit_kills_other_groups_of_the_session_and_holders_of_the_output(
    bash: Bash, context: ToolContext
) -> None:
    result = await run(bash, context, "set -m; sleep 60 & echo $!; setsid sleep 61 & echo $!; wait", timeout_ms=300)
    pids = [int(line) for line in result.text.split("\n")[:2]]
    assert result.text.endswith("\n\nCommand timed out after 0.3 seconds"), "and nothing is said to be running"
    until(lambda: not any(running(pid) for pid in pids))


@pytest.mark.parametrize("limit", [0, -1, 2_147_483_648, 1.5, "10"])
def test_a_time_limit_is_checked(limit: object) -> None:
    with pytest.raises(ValueError, match="timeout_ms"):
        BashArguments.model_validate({"command": "true", "timeout_ms": limit}, strict=True)


async def test_a_child_in_the_background_does_not_hold_the_call_up(bash: Bash, context: ToolContext) -> None:
    start = time.monotonic()
    result = await run(bash, context, "sleep 60 & echo $!")
    assert time.monotonic() - start < 5
    pid = int(result.text.split("\n")[0])
    assert not result.is_error
    assert f"Still running in the background: {pid} (sleep 60). Its output goes on in {log_of(result)}" in result.text
    assert running(pid)
    os.kill(pid, signal.SIGKILL)


async def test_a_child_that_holds_no_output_is_named_too(bash: Bash, context: ToolContext) -> None:
    result = await run(bash, context, "sleep 60 >/dev/null 2>&1 & echo $!")
    pid = int(result.text.split("\n")[0])
    assert result.text == f"{pid}\n\n[Still running in the background: {pid} (sleep 60).]"
    os.kill(pid, signal.SIGKILL)


async def test_a_daemon_that_holds_the_output_is_found(bash: Bash, context: ToolContext) -> None:
    result = await run(bash, context, "setsid -f sleep 60; echo done")
    [pid] = re.findall(r"background: (\d+) \(sleep 60\)", result.text)
    os.kill(int(pid), signal.SIGKILL)


async def test_a_server_in_the_background_is_read_on(bash: Bash, context: ToolContext, tmp_path: Path) -> None:
    """It neither dies of its output nor stops, and what it says can be looked at."""
    server = "while [ ! -e stop ]; do echo tick; sleep 0.02; done; echo stopped"
    result = await run(bash, context, f"({server}) & echo $!")
    log = log_of(result)
    before = log.read_text()
    assert before.startswith(result.text.split("\n")[0])
    await asyncio.to_thread(until, lambda: log.read_text().count("tick") > before.count("tick") + 1)
    (tmp_path / "stop").touch()
    await asyncio.to_thread(until, lambda: log.read_text().endswith("stopped\n"))


async def test_a_flood_from_the_background_does_not_hold_the_call_up(bash: Bash, context: ToolContext) -> None:
    result = await run(bash, context, "yes & echo $!")
    [pid] = re.findall(r"background: (\d+) \(yes\)", result.text)
    os.kill(int(pid), signal.SIGKILL)
    await asyncio.sleep(0)


async def test_cancellation_kills_and_tells_what_was_said(bash: Bash, make_context: MakeContext) -> None:
    switch, said = Switch(), asyncio.Event()
    context = make_context(cancellation=switch, progress=lambda text: said.set())
    call = asyncio.create_task(run(bash, context, "echo $$; sleep 60"))
    await asyncio.wait_for(said.wait(), 5)
    switch.set()
    result = await asyncio.wait_for(call, 5)
    pid, _, last = result.text.split("\n")
    assert (last, result.is_error) == ("Command aborted", True)
    until(lambda: not running(int(pid)))


async def test_a_cancelled_task_kills_too(bash: Bash, make_context: MakeContext) -> None:
    seen: list[str] = []
    said = asyncio.Event()

    def progress(text: str) -> None:
        seen.append(text)
        said.set()

    call = asyncio.create_task(run(bash, make_context(progress=progress), "echo $$; sleep 60 & echo $!; wait"))
    await asyncio.wait_for(said.wait(), 5)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(call, 5)
    until(lambda: not any(running(int(pid)) for pid in seen[-1].split()))


async def test_progress_is_all_that_was_said_so_far(bash: Bash, make_context: MakeContext, tmp_path: Path) -> None:
    seen: list[str] = []
    said = asyncio.Event()

    def progress(text: str) -> None:
        seen.append(text)
        if "two" in text:
            (tmp_path / "go").touch()

    wait = "while [ ! -e go ]; do sleep 0.01; done"
    result = await run(bash, make_context(progress=progress), f"echo one; sleep 0.01; echo two; {wait}; echo three")
    assert result.text == "one\ntwo\nthree"
    assert "one\ntwo\n" in seen
    assert all("one\ntwo\nthree\n".startswith(text) for text in seen)
    assert not said.is_set()


async def test_long_output_is_cut_to_its_end_and_kept_in_a_file(bash: Bash, make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(lines=10, bytes=1000))
    result = await run(bash, context, "seq 5000; exit 2")
    log = log_of(result)
    shown = "\n".join(str(number) for number in range(4991, 5001))
    marker = f"[Lines 4991-5000 of 5000 shown. Full output: {log}]"
    assert result.text == f"{shown}\n\n{marker}\n\nCommand exited with code 2"
    assert log.read_text() == "".join(f"{number}\n" for number in range(1, 5001))
    assert log.parent == context.scratch
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert stat.S_IMODE(context.scratch.stat().st_mode) == 0o700
    other = log_of(await run(bash, context, "seq 5000"))
    assert other != log


async def test_output_that_just_fits_is_shown_whole_and_not_kept(bash: Bash, make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(lines=100, bytes=10))
    assert (await run(bash, context, "echo 1234567890")).text == "1234567890"
    assert (await run(bash, context, "printf 1234567890")).text == "1234567890"
    assert not context.scratch.exists() or not list(context.scratch.iterdir())
    assert "of 2 shown" in (await run(bash, context, "echo 1234567890; echo")).text


async def test_one_line_that_is_too_long_shows_its_end(bash: Bash, make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(lines=10, bytes=100))
    result = await run(bash, context, "head -c 500000 /dev/zero | tr '\\0' x; echo end")
    assert result.text.startswith("x" * 97 + "end\n\n[100 bytes of line 1 of 1 shown (500004 in all). Full output: ")


async def test_a_flood_is_held_in_bounded_memory(bash: Bash, context: ToolContext) -> None:
    result = await run(bash, context, "seq 2000000")
    assert "[Lines 1998001-2000000 of 2000000 shown. Full output: " in result.text
    assert log_of(result).stat().st_size == sum(len(str(number)) + 1 for number in range(1, 2_000_001))


async def test_a_full_disk_ends_the_file_and_not_the_command(bash: Bash, make_context: MakeContext) -> None:
    context = make_context(limits=ToolLimits(lines=10, bytes=1000))
    context.scratch.parent.mkdir(exist_ok=True)
    context.scratch.write_text("no folder")
    result = await run(bash, context, "seq 5000")
    assert not result.is_error
    assert "The rest is lost (" in result.text
    assert result.text.startswith("4991\n")


AGENT = """
import asyncio, sys
from pathlib import Path
from beyond_ai import ToolContext, ToolLimits
from beyond_ai_tools.coding.bash import Bash, BashArguments

class Never:
    requested = False
    async def wait(self): await asyncio.Event().wait()

class Anything:
    def check(self, path, *, write): pass

async def main():
    context = ToolContext(cwd=Path.cwd(), cancellation=Never(), progress=lambda text: print(text, flush=True),
        limits=ToolLimits(), environment={"PATH": "/usr/bin:/bin"}, paths=Anything(), sees_images=False,
        scratch=Path("s"))
    bash = Bash()
    result = await bash.run(BashArguments(command=sys.argv[1]), context)
    print("result", flush=True)
    if sys.argv[2] == "stay":
        await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Callable[[str, str], "subprocess.Popen[str]"]]:
    started: list[subprocess.Popen[str]] = []

    def start(command: str, then: str) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [sys.executable, "-c", AGENT, command, then], stdout=subprocess.PIPE, text=True, cwd=tmp_path
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("how", ["SIGKILL", "SIGTERM", "SIGINT"])
def test_nothing_is_left_when_the_agent_dies_in_a_command(
    agent: Callable[[str, str], "subprocess.Popen[str]"], how: str
) -> None:
    process = agent("sleep 60 & echo $$ $!; wait", "exit")
    assert process.stdout is not None
    pids = [int(pid) for pid in process.stdout.readline().split()]
    assert all(running(pid) for pid in pids)
    process.send_signal(signal.Signals[how])
    process.wait(5)
    until(lambda: not any(running(pid) for pid in pids))


@pytest.mark.parametrize("then", ["exit", "stay"])
def test_what_a_command_left_running_ends_with_the_agent(
    agent: Callable[[str, str], "subprocess.Popen[str]"], then: str
) -> None:
    process = agent("sleep 60 > /dev/null 2>&1 & echo $!", then)
    assert process.stdout is not None
    pid = int(process.stdout.readline())
    until(lambda: process.stdout is not None and process.stdout.readline() == "result\n")
    if then == "stay":
        assert running(pid)
        process.kill()
    process.wait(5)
    until(lambda: not running(pid))


def test_what_ends_by_itself_is_let_go(bash: Bash, context: ToolContext) -> None:
    """The warden kills nobody who came later to the number of a group that has ended."""

    async def two() -> None:
        for _ in range(2):
            await run(bash, context, "true")

    asyncio.run(two())
    assert not bash._commands._warden._groups


def test_how_the_model_sees_it() -> None:
    [tool] = beyond_tools()
    assert tool.exclusive
    assert not tool.read_only
    assert shown_size(tool) <= 600
