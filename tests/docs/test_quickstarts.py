"""The quickstarts work: exactly their commands are run, in a copy of the repository, and print what the pages say.

Nothing in a command is replaced. What surrounds them is arranged: the distributions that pip would download are those
of the running environment, which every Python of the scratch environment sees behind its own, and free ports stand for
8080 and 9090 by variables of the gateway, of the agent and, as a proxy, of curl.
"""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.nats_server import free_port

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("quickstart-*.md"))
CLONED = ("core", "plugins", "providers", "tools", "pyproject.toml", "hatch_build.py", "hatch_mypyc.py", "README.md")
MARK = "-- that was step"
BLOCK = re.compile(
    r"(?P<skipped><!-- not run: [^\n]* -->\n)?```bash\n(?P<commands>.*?)^```$(?:\n\n```text\n(?P<printed>.*?)^```$)?",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Step:
    """Commands, and what the page says that they print; None where it says nothing. `...` stands for anything."""

    commands: str
    printed: str | None

    def lines(self) -> list[str]:
        return self.commands.replace("\\\n", "").splitlines()

    def fits(self, output: str) -> bool:
        if self.printed is None:
            return True
        parts = [re.escape(part) for part in re.split(r"(?:^\.\.\.\n|\.\.\.)", self.printed.strip())]
        return re.fullmatch(".*".join(parts), output.strip(), re.DOTALL) is not None


def steps(page: Path) -> list[Step]:
    return [
        Step(found["commands"], found["printed"])
        for found in BLOCK.finditer(page.read_text())
        if found["skipped"] is None
    ]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What of the repository `pip install .` needs."""
    copy = tmp_path / "beyond-ai"
    copy.mkdir()
    for name in (*CLONED, "LICENSE"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        else:
            shutil.copy(ROOT / name, copy)
    return copy


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Where pip finds all that it would download, and the ports are free."""
    seen = sorted({sysconfig.get_path(name) for name in ("purelib", "platlib")})
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(f"import sys\nsys.path += {seen}\n")
    (tmp_path / "home").mkdir()
    port, admin_port = free_port(), free_port()
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AI_", "BEYOND_AI_", "PIP_", "PYTHON"))
    }
    return inherited | {
        "HOME": str(tmp_path / "home"),
        "PATH": f"{sysconfig.get_path('scripts', vars={'base': sys.base_prefix})}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(tmp_path / "site"),
        "BEYOND_AI_PURE": "1",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_ROOT_USER_ACTION": "ignore",
        "AI_LISTEN": f"127.0.0.1:{port}",
        "AI_METRICS_LISTEN": f"127.0.0.1:{admin_port}",
        "AI_GATEWAY_URL": f"http://127.0.0.1:{port}",
        "http_proxy": f"http://127.0.0.1:{port}",
    }


def run(todo: list[Step], folder: Path, environment: dict[str, str]) -> Iterator[str]:
    """Yield what each step printed; the last one is what the first failure printed, if there was one."""
    script = "set -e\n" + "".join(f"{step.commands}\necho '{MARK}'\n" for step in todo)
    process = subprocess.Popen(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        yield from process.communicate(timeout=120)[0].split(f"{MARK}\n")
    finally:
        with contextlib.suppress(ProcessLookupError):  # a gateway that a step left behind
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_quickstart_does_what_it_says(page: Path, clone: Path, environment: dict[str, str]) -> None:
    todo = steps(page)
    *outputs, rest = run(todo, clone, environment)
    assert len(outputs) == len(todo), f"{todo[len(outputs)].commands}printed:\n{rest}"
    for step, output in zip(todo, outputs, strict=True):
        assert step.fits(output), f"{step.commands}should print:\n{step.printed}and printed:\n{output}"


def test_the_first_command_of_the_readme_serves(clone: Path, environment: dict[str, str]) -> None:
    (command,) = re.findall(r"<!-- ci: run -->\n```bash\n(.*?)\n```", (ROOT / "README.md").read_text())
    process = subprocess.Popen(
        ["bash", "-c", command],
        cwd=clone,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    too_late = threading.Timer(60, os.killpg, (process.pid, signal.SIGKILL))
    too_late.start()
    try:
        assert process.stderr is not None
        assert f"base URL     {environment['AI_GATEWAY_URL']}/v1\n" in iter(process.stderr.readline, "")
    finally:
        too_late.cancel()
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


def test_a_plugin_takes_ten_commands_at_most() -> None:
    commands = [line for step in steps(ROOT / "docs" / "quickstart-plugin.md") for line in step.lines()]
    (call,) = [number for number, line in enumerate(commands, 1) if line.startswith("beyond-ai agent run")]
    assert call <= 10, commands


def test_there_is_a_quickstart_of_each_program_and_of_plugins() -> None:
    assert [page.stem for page in PAGES] == ["quickstart-agent", "quickstart-gateway", "quickstart-plugin"]


def test_what_is_printed_is_compared() -> None:
    step = Step("true", "a ... c\nd\n")
    assert step.fits("a b c\nd\n\n")
    assert not step.fits("a b c\nd\ne\n")
    assert not step.fits("a.c\nd")
