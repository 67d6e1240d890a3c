"""The documents tell the truth: links, commands, settings, examples and promises in them are those of the program."""

import asyncio
import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from types import ModuleType
from typing import get_args

import pytest
from prometheus_client.core import Metric
from tests.fidelity import answers, connections, credentials, requests
from tests.gateway_process import PUBLIC_KEY
from typer.testing import CliRunner

import beyond_ai_pytest
from beyond_ai import (
    AgentHook,
    AuthScheme,
    Component,
    Context,
    DenyReason,
    DenySet,
    DenyStore,
    Observer,
    Outcome,
    Provider,
    RequestRecord,
    Scanner,
    ScannerFactory,
    Transport,
    UsageEvent,
    UsageQuirk,
    UsageSink,
)
from beyond_ai.agent.failure import FailureCode
from beyond_ai.agent.loop import LaneMode
from beyond_ai.cli import app
from beyond_ai.config import Settings, load_settings
from beyond_ai.gateway.admin_view import Unready
from beyond_ai.gateway.metric_cells import Sum
from beyond_ai.gateway.metric_families import families, worker_families
from beyond_ai.gateway.metrics import REASONS
from beyond_ai.layers import DISABLED_VARIABLE, MAP_VARIABLES, PLAIN_VARIABLES
from beyond_ai.spec import KINDS, Kind, kind_named
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import StopReason, TokenUsage
from beyond_ai.testing import conformance

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
FIDELITY = ROOT / "tests" / "fidelity" / "README.md"
PLUGINS = ROOT / "docs" / "plugins.md"
HOOKS = ROOT / "docs" / "reference" / "hooks.md"
GATEWAY = ROOT / "docs" / "gateway.md"
AGENT_OPTIONS = ROOT / "core" / "beyond_ai" / "cli" / "agent_options.py"
SERVE = ROOT / "core" / "beyond_ai" / "agent" / "serve"
COUNTS = ROOT / "core" / "beyond_ai" / "gateway" / "usage" / "counts.py"
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), FIDELITY, ROOT / "examples" / "README.md"
]  # fmt: skip
GENERATED = sorted(ROOT.glob("docs/reference/*.md"))
"""What the code says of itself; its names need no other proof."""
SOURCES = [
    file
    for folder in ("core", "plugins", "providers", "tools", "tests", "examples", "docs", ".ci")
    for file in sorted((ROOT / folder).rglob("*"))
    if file.is_file() and "__pycache__" not in file.parts and file.suffix != ".so"
] + [file for file in sorted(ROOT.iterdir()) if file.suffix in (".md", ".py", ".toml", ".txt")]

THEIRS = ("config.toml", "AGENTS.md", "CLAUDE.md", "SKILL.md", "NAME.md")
"""Files that are named and are those of users."""

FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
MARKED = re.compile(r"((?:^<!-- .* -->\n)*)^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A block with the comments right above it, which say what becomes of it."""
EXAMPLE = re.compile(r"^<!-- example: (\w+) ([\w-]+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES: list[tuple[Path, str, str, str]] = [
    (document, *found) for document in (README, PLUGINS, HOOKS) for found in EXAMPLE.findall(document.read_text())
]
PRODUCTS = {
    "auth": AuthScheme,
    "scanner": ScannerFactory,
    "sink": UsageSink,
    "transport": Transport,
    "deny_store": DenyStore,
    "observer": Observer,
    "agent_hook": AgentHook,
}


def fences(document: Path, language: str) -> list[str]:
    """The fenced blocks of DOCUMENT in LANGUAGE, their indentation removed."""
    return [
        re.sub(rf"^{indent}", "", text, flags=re.MULTILINE)
        for indent, found, text in FENCE.findall(document.read_text())
        if found == language
    ]


def spans(document: Path) -> list[str]:
    """The inline code of DOCUMENT."""
    return re.findall(r"`([^`\n]+)`", FENCE.sub("", document.read_text()))


each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
each_page = pytest.mark.parametrize(
    "document", [*DOCUMENTS, *GENERATED], ids=lambda path: path.relative_to(ROOT).as_posix()
)
each_example = pytest.mark.parametrize(
    ("kind", "name", "source"),
    [(kind, name, source) for _, kind, name, source in EXAMPLES],
    ids=[f"{document.stem}-{kind}" for document, kind, _, _ in EXAMPLES],
)


# Links


def anchor(heading: str) -> str:
    """The fragment that code hosts give to HEADING."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@each_page
def test_relative_links_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", document.read_text())):
        if "://" in target:
            continue
        path, _, fragment = target.partition("#")
        file = document.parent / path if path else document
        assert file.exists(), f"{target} leads nowhere"
        if fragment:
            headings = re.findall(r"^#+ (.*)$", FENCE.sub("", file.read_text()), re.MULTILINE)
            assert fragment in map(anchor, headings), f"{target}: no such heading"


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    for span in spans(document):
        if re.fullmatch(r"[\w./-]+\.(py|toml|md|txt)", span) and span not in THEIRS:
            assert any(f"/{file.relative_to(ROOT).as_posix()}".endswith(f"/{span}") for file in SOURCES), span
        elif re.fullmatch(r"(core|plugins|providers|tools|tests|docs)/[\w./-]*", span):
            assert (ROOT / span).exists(), span


# Blocks of code


def unmarked(document: Path, *languages: str) -> Iterator[str]:
    """The blocks of DOCUMENT in one of LANGUAGES above which no comment stands."""
    blocks = MARKED.findall(document.read_text())
    return (text for marks, language, text in blocks if language in languages and not marks)


@each_page
def test_every_block_says_its_language(document: Path) -> None:
    known = {"bash", "dockerfile", "ini", "json", "python", "text", "toml", "yaml"}
    openings = re.findall(r"^ *```(.*)$", document.read_text(), re.MULTILINE)[::2]
    assert set(openings) - {""} <= known  # without one it is a picture


@each_page
def test_every_command_is_run_or_says_why_not(document: Path) -> None:
    if not document.name.startswith("quickstart-"):  # tests/docs runs those
        assert list(unmarked(document, "bash", "console", "sh")) == [], "say <!-- not run: REASON --> above it"


@each_page
def test_json_is_json(document: Path) -> None:
    for block in unmarked(document, "json"):
        try:
            json.loads(block)
        except json.JSONDecodeError:  # an object a line
            assert all(isinstance(json.loads(line), dict) for line in block.splitlines()), block


@each_page
def test_python_runs(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are no plugins, which `test_examples_work` has. Of one marked `compiled` the imports alone."""
    monkeypatch.chdir(tmp_path)
    for block in unmarked(document, "python"):
        imported(block, tmp_path)
    for marks, language, block in MARKED.findall(document.read_text()):
        if language == "python" and marks.startswith("<!-- compiled: "):
            compile(block, str(document), "exec")
            imported("\n".join(re.findall(r"^(?:from|import) .*$", block, re.MULTILINE)), tmp_path)


# Commands, settings, names


def commands(document: Path) -> Iterator[list[str]]:
    """What follows `beyond-ai` in every command line of DOCUMENT."""
    lines = [line for block in fences(document, "bash") for line in block.splitlines()]
    for line in lines + spans(document):
        for found in re.findall(r"(?:^|[\s/])beyond-ai((?: +[^\s|&;#`]+)+)", line.partition(" #")[0]):
            yield found.split()


def help_of(*path: str) -> str:
    result = CliRunner().invoke(app, [*path, "--help"])
    assert result.exit_code == 0, (path, result.output)
    return result.output


def offers(text: str, command: str) -> bool:
    """Whether the help TEXT lists the sub-command COMMAND."""
    return re.search(rf"^  {re.escape(command)} ", text.partition("\nCommands:\n")[2], re.MULTILINE) is not None


@each_document
def test_commands_and_their_options_exist(document: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for words in commands(document):
        path: list[str] = []
        text = help_of()
        for word in words:
            if word.startswith("-"):
                option = word.partition("=")[0]
                assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{' '.join(words)}: no {option}"
            elif "\nCommands:\n" in text:
                assert offers(text, word), f"{' '.join(words)}: no command {word}"
                path.append(word)
                text = help_of(*path)


def test_the_readme_shows_both_commands() -> None:
    run, test = (
        re.findall(rf"<!-- ci: {what} -->\n```bash\n(.*?)\n```", README.read_text()) for what in ("run", "test")
    )
    assert [command.rpartition("&& ")[2] for command in run] == [".venv/bin/beyond-ai gateway --dev"]
    assert [command.rpartition("&& ")[2] for command in test] == [".venv/bin/pytest"]


@each_document
def test_toml_is_a_valid_configuration_or_declares_a_plugin(document: Path, tmp_path: Path) -> None:
    groups = {kind.group for kind in KINDS}
    for block in fences(document, "toml"):
        project = tomllib.loads(block).get("project")
        if project is not None:
            assert set(project["entry-points"]) <= groups
            continue
        (tmp_path / "config.toml").write_text(block)
        load_settings(tmp_path / "config.toml", {"AI_SIGNING_KEY_1": PUBLIC_KEY})


def metric_families() -> list[Metric]:
    return [*families(Sum({}), False, {}), *worker_families(0, 0, 0, 0)]


def agent_variables() -> set[str]:
    """The variables that stand for options of `agent run`."""
    return set(re.findall(r'envvar="(\w+)"', AGENT_OPTIONS.read_text()))


def vocabulary() -> set[str]:
    """Every name with an underscore that a document may put in code style."""
    records = (UsageEvent, UsageQuirk, Provider, Context, Component, RequestRecord)
    metrics = [metric.name for metric in metric_families()]
    return {
        *Settings.model_fields,
        *(field.name for record in records for field in fields(record)),
        *(outcome.value for outcome in Outcome),
        *(name for event in get_args(AgentEvent) for field in fields(event) for name in (field.name, field.default)),
        *(field.name for field in fields(TokenUsage)),
        *get_args(FailureCode),
        *get_args(StopReason),
        *get_args(LaneMode),
        *("tool_arguments", "exit_code", "cost_usd", "structured_output"),
        *(kind.hook for kind in KINDS),
        *REASONS,
        *get_args(Unready),
        *metrics,
        *(f"{metric}_total" for metric in metrics),
        *(name for suite in vars(conformance).values() for name in (vars(suite) if isinstance(suite, type) else ())),
        *vars(beyond_ai_pytest),
        *(part for file in SOURCES for part in (*file.relative_to(ROOT).parts, file.stem)),
        *(name for file in SERVE.glob("*.py") for name in re.findall(r"\w+", file.read_text())),
        # other people's
        *re.findall(r'"(\w+)"', COUNTS.read_text()),
        *("service_name", "base_url", "include_usage", "bai_v1", "bai_v2", "count_tokens", "stream_options", "x_groq"),
    }


@each_document
def test_settings_fields_and_metrics_that_are_named_exist(document: Path) -> None:
    names = {span for span in spans(document) if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", span)}
    assert names <= vocabulary()


@each_document
def test_variables_that_are_named_exist(document: Path) -> None:
    known = {f"AI_{name.upper()}" for name in Settings.model_fields}
    known |= {"AI_CONFIG_PATH", "AI_MINT_KEY", DISABLED_VARIABLE, *PLAIN_VARIABLES, *agent_variables()}
    for name in re.findall(r"\bAI_[A-Z0-9_]+", document.read_text()):
        assert name in known or f"{name}_".startswith(tuple(MAP_VARIABLES)), name


def test_every_reason_of_readyz_is_documented() -> None:
    text = GATEWAY.read_text()
    for reason in get_args(Unready):
        assert f"| `{reason}` |" in text, reason


def test_every_metric_is_documented() -> None:
    text = GATEWAY.read_text()
    for metric in metric_families():
        name = f"{metric.name}_total" if metric.type == "counter" else metric.name
        assert f"`{name}`" in text, name


# Plugins


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_every_kind_is_documented_with_an_example(kind: Kind) -> None:
    text = PLUGINS.read_text()
    assert f"| {kind.name} | `{kind.group}` | `{kind.hook}` | `{kind.record.__name__}" in text
    assert kind.name in [found for document, found, _, _ in EXAMPLES if document == PLUGINS]


def imported(source: str, folder: Path) -> ModuleType:
    file = folder / "documented_example.py"
    file.write_text(source)
    spec = importlib.util.spec_from_file_location("documented_example", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def plugin_example(kind: str) -> str:
    """The one of the authors' page."""
    (source,) = [source for document, found, _, source in EXAMPLES if (document, found) == (PLUGINS, kind)]
    return source


@each_example
def test_examples_work(kind: str, name: str, source: str, tmp_path: Path) -> None:
    module = imported(source, tmp_path)
    hook = getattr(module, kind_named(kind).hook)
    assert hasattr(hook, "beyond_ai_impl"), "not marked with hookimpl"
    (record,) = hook()
    assert record.name == name
    assert isinstance(record, kind_named(kind).record)
    if isinstance(record, Provider):
        record.check()
    if isinstance(record, Component):
        config = record.config() if record.config is not None else None
        assert isinstance(record.create(Context(config=config)), PRODUCTS[kind])


def test_the_scanner_example_finds_a_model_at_any_border(tmp_path: Path) -> None:
    source = plugin_example("scanner")
    (component,) = imported(source, tmp_path).beyond_scanners()
    body = b'{"stream": true, "model": "gpt-4o"}'
    for border in range(len(body) + 1):
        scanner: Scanner = component.create(Context()).scanner()
        scanner.feed(body[:border])
        scanner.feed(body[border:])
        assert scanner.model == b"gpt-4o"


async def test_the_sink_example_writes_what_it_was_given(tmp_path: Path) -> None:
    source = plugin_example("sink")
    module = imported(source, tmp_path)
    sink = module.Ledger(module.LedgerSettings(path=str(tmp_path / "ledger.txt")))
    await sink.start()
    sink.emit(conformance.usage_event("1-0", output_tokens=3))
    await sink.aclose()
    assert (tmp_path / "ledger.txt").read_text() == "1-0 42 3\n"


async def test_the_deny_store_example_follows_its_file(tmp_path: Path) -> None:
    source = plugin_example("deny_store")
    store = imported(source, tmp_path).Lines(tmp_path / "denied.txt")
    (tmp_path / "denied.txt").write_text("42\n7\n")
    denied = DenySet()
    await store.start(denied.updater())
    async with asyncio.timeout(10):
        while not store.ready:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.001)
    await store.aclose()
    assert (len(denied), denied.reason(42, None)) == (2, DenyReason.UNKNOWN)


async def test_the_observer_example_logs_what_is_slow(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = plugin_example("observer")
    observer = imported(source, tmp_path).Slow()
    caplog.set_level("INFO", "beyond_ai.slow")
    await observer.start()
    for seconds in (31, 1):
        record = conformance.request_record("1-0", path="/v1/responses", started_ns=0, ended_ns=seconds * 10**9)
        observer.observe(record)
    await observer.aclose()
    assert [record.getMessage() for record in caplog.records] == ["/v1/responses took 31.0 s", "1 slow requests"]


# Fidelity

PEERS = re.compile(r"^\| check \| Beyond AI \|.*?(?=^\s*$)", re.MULTILINE | re.DOTALL)


def peers(document: Path) -> list[list[str]]:
    """The rows of the comparison in DOCUMENT, without its head."""
    (table,) = PEERS.findall(document.read_text() + "\n\n")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()[2:]]


def test_the_readme_compares_as_the_matrix_does() -> None:
    assert peers(README) == peers(FIDELITY)


def test_our_own_column_is_what_the_matrix_proves() -> None:
    promised = {
        promise.id
        for group in (answers.GROUP, requests.GROUP, credentials.GROUP, connections.GROUP)
        for promise in group.promises
    }
    rows = peers(README)
    assert len(rows) >= 10
    for check, ours, *_, proof in rows:
        proven_by = set(re.findall(r"`([\w-]+)`", proof))
        assert proven_by <= promised, f"{check}: no promise {proven_by - promised}"
        assert proven_by or not ours.startswith("Y"), f"{check}: nothing proves it"


# What must be nowhere


def test_no_file_names_a_place_on_one_machine_or_a_package_host() -> None:
    places = re.compile(r"(?<![\w.*-])/(?:work|root|home|Users|tmp|mnt|opt)/")
    hosts = re.compile(r"pypi[.]|pythonh[o]sted|-[-]index-url|-[-]find-links")
    for file in SOURCES:
        text = file.read_text()
        assert not places.findall(text), file
        assert not hosts.findall(text), file
