"""Which scanner serves: the one that is named, or the best that can be made; and how `plugins list` shows it."""

import json
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest
from typer.testing import CliRunner, Result

from beyond_ai.cli import app
from beyond_ai.config import Settings
from beyond_ai.gateway.assembly import assemble
from beyond_ai.registry import State

Install = Callable[..., None]

ACME = """
    from beyond_ai import Component, ScannerFactory, hookimpl
    from beyond_ai_plugins.scanners.python.machine import PythonScanner

    def broken(context):
        print("a word while it is made")
        raise OSError("no such device")

    @hookimpl
    def beyond_scanners():
        good = ScannerFactory(PythonScanner, preference=1000)
        yield Component(name="fast", summary="", create=lambda context: good)
        yield Component(name="slow", summary="", create=lambda context: ScannerFactory(PythonScanner, -1))
"""


@pytest.fixture(autouse=True)
def without_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def acme(install: Install) -> None:
    install("acme", {"scanners": {"acme": "acme_scanners"}}, {"acme_scanners": ACME})


@pytest.fixture
def broken(install: Install) -> None:
    source = dedent(ACME).replace("lambda context: good", "broken")
    install("acme", {"scanners": {"acme": "acme_scanners"}}, {"acme_scanners": source})


def listed(*arguments: str, **environ: str) -> Result:
    result = CliRunner().invoke(app, ["plugins", "list", "--kind", "scanner", *arguments], env=environ)
    assert result.exit_code == 0, result.output
    return result


def active(**environ: str) -> list[str]:
    rows = json.loads(listed("--json", **environ).stdout)
    return [f"{row['name']}:{name}" for row in rows for name in row["active"]]


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("wanted", "serves"),
    [("auto", "acme:fast"), ("slow", "acme:slow"), ("python", "python:python")],
)
def test_the_list_shows_the_one_that_the_gateway_uses(wanted: str, serves: str) -> None:
    assert active(AI_SCANNER=wanted) == [serves]
    assembly = assemble(Settings(scanner=wanted))
    assert [f"{row.name}:{name}" for row in assembly.registry.reports for name in row.active] == [serves]
    assert assembly.scanner == serves.partition(":")[2]


@pytest.mark.usefixtures("acme")
def test_the_table_marks_it(tmp_path: Path) -> None:
    assert "  fast (active), slow  " in listed().stdout
    (tmp_path / "config.toml").write_text('scanner = "slow"\n')
    assert "  fast, slow (active)  " in listed().stdout


@pytest.mark.usefixtures("broken")
def test_one_that_cannot_be_made_is_shown_with_its_reason() -> None:
    result = listed("--json")
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["acme"]["state"] == State.FAILED.value
    assert rows["acme"]["reason"].startswith("`fast` could not be created: OSError: no such device")
    assert rows["acme"]["active"] == []
    assert len(active()) == 1
    assert active(AI_SCANNER="fast") == []


def test_a_name_that_nobody_offers_is_never_active(tmp_path: Path) -> None:
    assert active(AI_SCANNER="pyton") == []
    (tmp_path / "config.toml").write_text('scanner = ["python"]\n')
    assert active() == []
