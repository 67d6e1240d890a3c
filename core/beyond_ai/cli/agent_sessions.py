"""`beyond-ai agent sessions`: what was said in earlier runs, for people and for programs."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from beyond_ai.agent.session.folder import default_folder
from beyond_ai.agent.session.journal import SessionError
from beyond_ai.agent.session.listing import SessionInfo
from beyond_ai.agent.session.repository import SessionRepository, choose
from beyond_ai.cli.options import Json, write_json, write_table
from beyond_ai.errors import ConfigError

app = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="List, show, export, name, fork, delete and restore what earlier runs said.",
)
SHOWN_ID = 8
"""Characters of an id in a table, or as many as tell it from the others."""

Prefix = Annotated[str, typer.Argument(metavar="ID", help="A session's id, or as much of its start as no other has.")]
SessionDir = Annotated[
    Path | None,
    typer.Option(
        "--session-dir",
        envvar="AI_AGENT_SESSION_DIR",
        metavar="DIR",
        help="Where sessions are kept. [default: ~/.beyond-ai/sessions, a folder each working folder]",
    ),
]


@app.command("list")
def list_(
    session_dir: SessionDir = None,
    everywhere: Annotated[bool, typer.Option("-a", "--all", help="Of every working folder.")] = False,
    trash: Annotated[bool, typer.Option("--trash", help="Those that were deleted.")] = False,
    search: Annotated[
        str | None, typer.Option("--search", metavar="WORDS", help="Those with an entry that holds all of WORDS.")
    ] = None,
    limit: Annotated[int, typer.Option("-n", "--limit", min=1, metavar="N", help="At most so many.")] = 50,
    json: Json = False,
) -> None:
    """List the sessions of this working folder, the latest first."""
    if search is not None and trash:
        raise ConfigError("--search and --trash exclude each other", "restore a session to search it")
    folders = _everywhere(session_dir) if everywhere else [SessionRepository(_folder(session_dir))]
    snippets: dict[Path, str] = {}
    if search is None:
        found = [info for folder in folders for info in (folder.list_trash() if trash else folder.list())]
    else:
        hits = [hit for folder in folders for hit in folder.search(search)]
        snippets = {hit.session.path: hit.snippet for hit in hits}
        found = [hit.session for hit in hits]
    found.sort(key=lambda info: info.updated_at, reverse=True)
    del found[limit:]
    if json:
        write_json([{**info.as_json(), **_snippet(snippets, info)} for info in found])
        return
    if not found:
        typer.echo("no sessions", err=True)
        return
    width = _telling([info.id for info in found])
    rows = [(info.id[:width], _moment(info.updated_at), info.model, _name(info, snippets)) for info in found]
    write_table(("id", "written", "model", "name" if search is None else "found"), rows)


@app.command()
def show(prefix: Prefix, session_dir: SessionDir = None, json: Json = False) -> None:
    """Show what is known of a session: its branches, labels and tokens, and how each turn begins."""
    from dataclasses import asdict

    from beyond_ai.agent.export.record import moment, read_record, tokens
    from beyond_ai.agent.run.printable import one_line

    info = _find(prefix, session_dir)
    record = read_record(info.path)
    turns = [
        {
            "id": turn.id,
            "role": turn.role,
            "at": turn.at,
            "label": turn.label,
            "text": turn.note if turn.message is None else turn.message.text,
            "calls": [call.use.name for call in turn.calls],
            "usage": asdict(turn.message.usage) if turn.message and turn.message.usage else None,
        }
        for turn in record.turns
    ]
    if json:
        more = {"branches": list(record.branches), "leaf": record.leaf, "skipped_lines": record.skipped}
        write_json({**info.as_json(), **more, "usage": asdict(record.usage), "turns": turns})
        return
    facts = {
        "id": info.id,
        "name": record.name,
        "file": str(info.path),
        "folder": info.cwd,
        "model": info.model,
        "fork of": info.parent or "",
        "began": moment(record.created_at),
        "tokens": tokens(record.usage),
        "branches": ", ".join(f"{name} *" if name == record.leaf else name for name in record.branches),
        "torn lines": str(record.skipped or ""),
    }
    for name, value in facts.items():
        if value:
            typer.echo(f"{name}: {one_line(value, 1_000)}")
    for turn in record.turns:
        text = turn.note if turn.message is None else turn.message.text
        calls = ", ".join(call.use.name for call in turn.calls)
        label = f" [{turn.label}]" if turn.label else ""
        typer.echo(one_line(f"{turn.id} {turn.role}{label}: {text}{f' ({calls})' if calls else ''}", 160))


@app.command()
def export(
    prefix: Prefix,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it there. [default: stdout]")
    ] = None,
    form: Annotated[
        Literal["md", "html"] | None,
        typer.Option("--format", help="Markdown, or one page. [default: by FILE's name, else md]"),
    ] = None,
    branch: Annotated[
        str | None,
        typer.Option("--branch", metavar="ENTRY", help="What leads to this entry. [default: where it goes on]"),
    ] = None,
    session_dir: SessionDir = None,
) -> None:
    """Write a session as Markdown, or as one HTML page that needs nothing else. It holds all that the model saw."""
    from beyond_ai.agent.export import html_page, markdown_text, read_record

    record = read_record(_find(prefix, session_dir).path, branch)
    by_name = "html" if output is not None and output.suffix.lower() in (".html", ".htm") else "md"
    text = html_page(record) if (form or by_name) == "html" else markdown_text(record)
    data = text.encode(errors="replace")
    if output is None:
        typer.echo(data, nl=False)
        return
    _write(output, data)
    typer.echo(f"wrote {output}", err=True)


@app.command()
def rename(
    prefix: Prefix,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="Its name; none takes it away.")] = "",
    session_dir: SessionDir = None,
    json: Json = False,
) -> None:
    """Give a session a name, which `list` shows."""
    info = _find(prefix, session_dir)
    renamed = SessionRepository(info.path.parent).rename(info.id, title.strip() or None)
    _tell(renamed, f"renamed {info.id}", json=json)


@app.command()
def label(
    prefix: Prefix,
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="The id of one of its entries, as `show` has it.")],
    text: Annotated[str, typer.Argument(metavar="LABEL", help="The entry's name; none takes it away.")] = "",
    session_dir: SessionDir = None,
    json: Json = False,
) -> None:
    """Give an entry of a session a name, which `show` and exports have."""
    info = _find(prefix, session_dir)
    labelled = SessionRepository(info.path.parent).label(info.id, entry, text.strip() or None)
    _tell(labelled, f"labelled {entry} of {info.id}", json=json)


@app.command()
def fork(
    prefix: Prefix,
    upto: Annotated[
        str | None,
        typer.Option("--upto", metavar="ENTRY", help="What leads to this entry. [default: where it goes on]"),
    ] = None,
    session_dir: SessionDir = None,
    json: Json = False,
) -> None:
    """Copy a session into a new one, to go on in another way; `run -c` continues the latest of a folder."""
    info = _find(prefix, session_dir)
    forked = SessionRepository(info.path.parent).fork(info, upto)
    name = forked.id
    forked.close()
    _tell(SessionRepository(info.path.parent).find(name), f"forked {info.id} as {name}", json=json)


@app.command()
def delete(prefix: Prefix, session_dir: SessionDir = None, json: Json = False) -> None:
    """Put a session into the trash, where `restore` finds it."""
    info = _find(prefix, session_dir)
    gone = SessionRepository(info.path.parent).delete(info.id)
    _tell(gone, f"deleted {info.id}; `beyond-ai agent sessions restore {info.id[:SHOWN_ID]}` brings it back", json=json)


@app.command()
def restore(prefix: Prefix, session_dir: SessionDir = None, json: Json = False) -> None:
    """Take a session out of the trash."""
    info = choose([info for folder in _everywhere(session_dir) for info in folder.list_trash()], prefix)
    back = SessionRepository(info.path.parent.parent).restore(info.id)
    _tell(back, f"restored {info.id}", json=json)


def _tell(info: SessionInfo, text: str, *, json: bool) -> None:
    if json:
        write_json(info.as_json())
    else:
        typer.echo(text)


def _find(prefix: str, session_dir: Path | None) -> SessionInfo:
    """The session that PREFIX names, of whatever working folder. Raises SessionError."""
    return choose([info for folder in _everywhere(session_dir) for info in folder.list()], prefix)


def _everywhere(session_dir: Path | None) -> Sequence[SessionRepository]:
    if session_dir is not None:
        return [SessionRepository(session_dir.absolute())]
    try:
        folders = sorted(path for path in default_folder(Path("/")).parent.iterdir() if path.is_dir())
    except OSError:
        folders = []
    return [SessionRepository(folder) for folder in folders]


def _folder(session_dir: Path | None) -> Path:
    try:
        return session_dir.absolute() if session_dir is not None else default_folder(Path.cwd())
    except OSError as error:
        raise ConfigError(f"the working folder cannot be used: {error.strerror}", "change to one that exists") from None


def _write(path: Path, data: bytes) -> None:
    """Put DATA into PATH, readable by nobody else where it is new: sessions hold secrets at times."""
    import os

    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
            file.write(data)
    except OSError as error:
        raise SessionError(f"{path}: cannot be written: {error.strerror}") from None


def _snippet(snippets: dict[Path, str], info: SessionInfo) -> dict[str, str]:
    return {"snippet": snippets[info.path]} if info.path in snippets else {}


def _name(info: SessionInfo, snippets: dict[Path, str]) -> str:
    from beyond_ai.agent.run.printable import one_line

    return one_line(snippets.get(info.path) or info.title or info.prompt, 80)


def _moment(at: float) -> str:
    from datetime import datetime

    return datetime.fromtimestamp(at).astimezone().strftime("%Y-%m-%d %H:%M")


def _telling(ids: Sequence[str]) -> int:
    """How many characters tell IDS apart."""
    width = SHOWN_ID
    while width < 32 and len({name[:width] for name in ids}) < len(set(ids)):
        width += 1
    return width
