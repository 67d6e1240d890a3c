"""`beyond-ai plugins new`: what it writes for each kind installs, works, and passes its own tests and checks."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.plugins_installed.conftest import InstalledPlugins, new_environment

from beyond_ai.scaffold import NewDistribution
from beyond_ai.scaffold.distribution import MAX_NAME
from beyond_ai.spec.kinds import KINDS, Kind

NAME = "weather-now"
LONG = "a" * (MAX_NAME - 2) + "-1"
"""Long enough that a line which only fits by luck does not."""
RUFF = Path(sys.executable).with_name("ruff")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugins:
    """An environment in whose working folder the command has written a plugin of each kind; all are installed."""
    environment = new_environment(tmp_path_factory.mktemp("new") / "venv")
    for kind in KINDS:
        done = environment.run("plugins", "new", kind.name.replace("_", "-"), NAME)
        assert done.returncode == 0, done.stderr
    folders = [option for folder in folders_of(environment) for option in ("-e", str(folder))]
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        environment.python,
        "install",
        *options,
        *folders,
    ]
    subprocess.run(command, check=True, timeout=120)
    return environment


def folders_of(environment: InstalledPlugins) -> list[Path]:
    folders = sorted(environment.folder.glob(f"beyond-ai-*-{NAME}"))
    assert len(folders) == len(KINDS)
    return folders


def passes(command: Sequence[str | Path], folder: Path) -> None:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "PYTEST_"))}
    done = subprocess.run(command, cwd=folder, env=inherited, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_kind_loads(written: InstalledPlugins) -> None:
    rows = {
        row["kind"]: row for row in json.loads(written.run("plugins", "list", "--json").stdout) if row["name"] == NAME
    }
    assert {kind: (row["state"], row["reason"]) for kind, row in rows.items()} == {
        kind.name: ("loaded", "") for kind in KINDS
    }
    assert rows["tool"]["distribution"] == f"beyond-ai-tool-{NAME}"
    done = written.run("plugins", "check")
    assert done.returncode == 0, done.stdout


def test_a_new_command_runs(written: InstalledPlugins) -> None:
    assert written.run(NAME, "Ada").stdout == "Hello, Ada\n"


def test_their_own_tests_pass(written: InstalledPlugins) -> None:
    """All in one run; the settings of each are the same."""
    folders = folders_of(written)
    tests = [folder / "tests" for folder in folders]
    options: list[str | Path] = [
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        "-c",
        folders[0] / "pyproject.toml",
        "--rootdir",
        written.folder,
    ]
    passes([written.python, "-m", "pytest", *options, *tests], written.folder)


def test_their_types_hold(written: InstalledPlugins) -> None:
    folders = folders_of(written)
    sources = [source for folder in folders for source in (*(folder / "src").iterdir(), *(folder / "tests").iterdir())]
    packages = [source for source in sources if source.suffix == ".py" or source.name.startswith("beyond_ai")]
    settings: list[str | Path] = [
        "--config-file",
        folders[0] / "pyproject.toml",
        "--cache-dir",
        written.folder / "mypy",
    ]
    passes([written.python, "-m", "mypy", *settings, *packages], written.folder)


@pytest.mark.skipif(not RUFF.exists(), reason="ruff comes with the extra `dev`")
@pytest.mark.parametrize("name", [NAME, "a", LONG])
def test_their_form_is_right(tmp_path: Path, name: str) -> None:
    for kind in KINDS:
        NewDistribution(kind, name).write(tmp_path / kind.name)
    passes([RUFF, "check", "--no-cache", "."], tmp_path)
    passes([RUFF, "format", "--no-cache", "--check", "."], tmp_path)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_file_is_there(tmp_path: Path, kind: Kind) -> None:
    new = NewDistribution(kind, "acme")
    files = {path.relative_to(tmp_path / "new").as_posix() for path in new.write(tmp_path / "new")}
    assert files == {
        *(".gitignore", ".github/workflows/ci.yml", "README.md", "pyproject.toml"),
        *(f"src/{new.package}/__init__.py", f"src/{new.package}/py.typed"),
        f"tests/test_{kind.name}_acme.py",
    }
    assert "$" not in (tmp_path / "new" / "README.md").read_text()
    assert f"beyond_ai.{kind.group.removeprefix('beyond_ai.')}" in (tmp_path / "new" / "pyproject.toml").read_text()


def test_it_says_what_to_do_next(installed: InstalledPlugins, tmp_path: Path) -> None:
    done = installed.run("plugins", "new", "tool", "counting", "--directory", str(tmp_path / "one two"))
    commands = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert commands == [
        f"install -e '{tmp_path}/one two[dev]'",
        f"'{tmp_path}/one two'",
        "plugins show tool:counting",
    ]
    assert (tmp_path / "one two" / "src" / "beyond_ai_tool_counting" / "__init__.py").is_file()


def test_a_folder_that_is_there_is_left_alone(installed: InstalledPlugins, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    done = installed.run("plugins", "new", "sink", "mine", "--directory", str(tmp_path / "mine"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.splitlines() == [
        f"error: {tmp_path}/mine exists already, and nothing was written",
        "hint: name another folder with --directory, or remove it",
    ]
    assert list((tmp_path / "mine").iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "name", "error"),
    [
        ("tool", "Http", "'Http' is no name for a plugin"),
        ("tool", "1st", "'1st' is no name for a plugin"),
        ("tool", "two--hyphens", "'two--hyphens' is no name for a plugin"),
        ("tool", "../escape", "'../escape' is no name for a plugin"),
        ("tool", "a" * (MAX_NAME + 1), f"'{'a' * (MAX_NAME + 1)}' is no name for a plugin"),
        ("tol", "mine", "no kind is called tol; did you mean `tool`?"),
        ("provider", "openai", "provider:openai is installed already, by beyond-ai "),
        ("provider", "v1", "provider `v1`: 'v1' is not a name for a provider"),
        ("command", "gateway", "the command gateway is beyond-ai's own"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    installed: InstalledPlugins, tmp_path: Path, kind: str, name: str, error: str
) -> None:
    done = installed.run("plugins", "new", kind, name, "--directory", str(tmp_path / "new"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {error}")
    assert "\nhint: " in done.stderr
    assert not (tmp_path / "new").exists()
