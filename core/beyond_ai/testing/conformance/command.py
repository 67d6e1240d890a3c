"""What every command keeps to: help that is quick and true, and mistakes that are told in a line."""

import subprocess
import sys
from typing import ClassVar, Final

import typer
from typer.testing import CliRunner, Result

from beyond_ai.spec.command import Command
from beyond_ai.spec.kinds import kind_named
from beyond_ai.testing.conformance.rule import Conformance

HEAVY: Final = ("fastapi", "httpx", "nats", "opentelemetry", "prometheus_client", "uvicorn", "pandas", "requests")
IMPORTED: Final = """
import sys
from importlib.metadata import entry_points
(found,) = entry_points(group={group!r}, name={name!r})
found.load()
print(*(name for name in {heavy!r} if name in sys.modules))
"""


class CommandConformance(Conformance[Command]):
    """The rules of commands.

        class TestGreet(CommandConformance):
            plugin = "greet"

    Attributes:
        heavy: modules that may be imported when the command does its work, and not before.
    """

    kind = "command"
    heavy: ClassVar[tuple[str, ...]] = HEAVY

    def test_its_line_in_the_help_says_what_it_does(self) -> None:
        """`beyond-ai --help` does not import it; `beyond-ai plugins list` shows the summary."""
        summary = self.record().summary
        self.require(
            summary.strip() and "\n" not in summary, "`summary` is one line about it", "Command.summary", repr(summary)
        )

    def test_it_and_each_of_its_commands_has_help(self) -> None:
        """With an exit code of 0, and a word about each."""
        app = self.record().app
        for path in _paths(typer.main.get_command(app)):
            words = [*path, "--help"]
            result = _invoked(app, words)
            self.require(result.exit_code == 0, "`--help` works", "Command.app", _told(words, result))
            described = result.output.partition("\n\n")[2].lstrip()
            self.require(
                described and not described.startswith("Options:"),
                "help says what a command does",
                "Command.app",
                _told(words, result),
            )

    def test_a_mistake_is_told_and_not_thrown(self) -> None:
        """An option that does not exist is the plainest."""
        app = self.record().app
        for path in _paths(typer.main.get_command(app)):
            words = [*path, "--no-such-option-exists"]
            result = _invoked(app, words)
            self.require(
                result.exit_code == 2 and "Traceback" not in result.output,
                "a command line that is wrong ends with exit code 2 and a line about it",
                "Command.app",
                _told(words, result),
            )

    def test_its_help_costs_no_heavy_import(self) -> None:
        """The module is imported for `--help` and for completion; what the work needs is imported by the work."""
        self.record()
        program = IMPORTED.format(group=kind_named(self.kind).group, name=self.plugin, heavy=self.heavy)
        done = subprocess.run(  # noqa: S603 - our own interpreter
            [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
        )
        self.require(done.returncode == 0, "the module can be imported", "Command", done.stderr)
        imported = done.stdout.split()
        self.require(
            not imported,
            "importing the module imports nothing heavy (`heavy` of this suite): import where it is used",
            "Command",
            ", ".join(imported),
        )


def _paths(command: object, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The words of COMMAND and of each command below it."""
    below: dict[str, object] = getattr(command, "commands", {})
    return [path, *(found for name, child in below.items() for found in _paths(child, (*path, name)))]


def _invoked(app: typer.Typer, words: list[str]) -> Result:
    return CliRunner().invoke(app, words)


def _told(words: list[str], result: Result) -> str:
    return f"{' '.join(words)}: exit code {result.exit_code}, {result.output[-400:]!r}"
