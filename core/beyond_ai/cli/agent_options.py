"""The options of `beyond-ai agent`, in the groups that its help shows."""

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(group: str, *names: str, **settings: Any) -> Any:
    return typer.Option(*names, rich_help_panel=group, show_default=False, **settings)


def positive(value: float | None) -> float | None:
    """VALUE, a limit, if it is one: with 0 or less nothing could be done. Raises BadParameter."""
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value:g} is no limit: give a number above 0, or leave it out for none")
    return value


CONNECTION, LIMITS, THINKING, PROMPT = "Connection", "Limits (none is set by itself)", "Thinking", "Prompt"
TOOLS, SESSION, OUTPUT, CONTEXT, OTHER = "Tools", "Session", "Output", "Context window and cache", "Other"

GatewayUrl = Annotated[
    str | None,
    _option(
        CONNECTION,
        "--gateway-url",
        envvar="AI_GATEWAY_URL",
        metavar="URL",
        help="Gateway that is asked. [default: http://127.0.0.1:8080]",
    ),
]
Key = Annotated[
    str | None,
    _option(
        CONNECTION,
        "--key",
        envvar="AI_AGENT_KEY",
        metavar="KEY",
        help="A bai_v1 key or a provider's own. Others on this machine can see flags: set the variable instead.",
    ),
]
Model = Annotated[
    str | None,
    _option(
        CONNECTION,
        "--model",
        envvar="AI_AGENT_MODEL",
        metavar="ID",
        help="Model that is asked. [default: claude-opus-4-8, or the session's]",
    ),
]
Dialect = Annotated[
    str | None,
    _option(CONNECTION, "--dialect", metavar="NAME", help="chat, responses or messages. [default: by the model's id]"),
]
IdleTimeout = Annotated[
    float,
    _option(
        CONNECTION,
        "--idle-timeout",
        metavar="SECONDS",
        min=1,
        help="Silence after which an answer is given up and asked for again. [default: 600]",
    ),
]

MaxTurns = Annotated[
    int | None,
    _option(LIMITS, "--max-turns", metavar="N", callback=positive, help="Answers of the model in one task."),
]
MaxTokensTotal = Annotated[
    int | None,
    _option(
        LIMITS,
        "--max-tokens-total",
        metavar="N",
        callback=positive,
        help="Tokens of one task, read and written, retries included.",
    ),
]
MaxSeconds = Annotated[
    float | None, _option(LIMITS, "--max-seconds", metavar="N", callback=positive, help="Time of one task.")
]
Retries = Annotated[
    int,
    _option(
        LIMITS,
        "--retries",
        metavar="N",
        min=0,
        help="How often a request is repeated that failed and may succeed later. [default: 4, within 120 s]",
    ),
]

Thinking = Annotated[
    str | None,
    _option(
        THINKING,
        "--thinking",
        metavar="LEVEL",
        help="How much the model reasons: off, minimal, low, medium, high or xhigh. [default: medium]",
    ),
]
Temperature = Annotated[
    float | None,
    _option(THINKING, "--temperature", metavar="N", min=0, help="Sampling temperature. [default: the provider's]"),
]

SystemPrompt = Annotated[
    str | None,
    _option(
        PROMPT,
        "--system-prompt",
        metavar="TEXT",
        help="In place of the built-in text. [default: ~/.beyond-ai/SYSTEM.md, if there is one]",
    ),
]
AppendSystemPrompt = Annotated[
    list[str] | None,
    _option(
        PROMPT,
        "--append-system-prompt",
        metavar="TEXT",
        help="Behind that text; may be repeated. [default: ~/.beyond-ai/APPEND_SYSTEM.md]",
    ),
]
NoContextFiles = Annotated[
    bool, _option(PROMPT, "-nc", "--no-context-files", help="Read no AGENTS.md and no CLAUDE.md.")
]

Only = Annotated[
    list[str] | None,
    _option(TOOLS, "-t", "--tools", metavar="NAMES", help="These tools alone; names with commas, may be repeated."),
]
Without = Annotated[
    list[str] | None, _option(TOOLS, "-xt", "--exclude-tools", metavar="NAMES", help="All tools but these.")
]
NoTools = Annotated[bool, _option(TOOLS, "-nt", "--no-tools", help="No tools at all.")]
Approve = Annotated[
    str,
    _option(
        TOOLS,
        "--approve",
        metavar="MODE",
        help="Ask before calls: never, writes (what may change something) or all. `run` asks on the terminal, and "
        "without one the answer is no; `serve` asks its client. [default: never]",
    ),
]
AllowDestructive = Annotated[
    bool,
    _option(
        TOOLS,
        "--allow-destructive",
        help="Do not ask before shell commands that would delete files outside the working folder (or --root), or what "
        "git cannot bring back: untracked files, uncommitted changes. Without it they are asked about whatever "
        "--approve says, and denied where nobody can be asked. A guard against accidents, no sandbox.",
    ),
]
Root = Annotated[
    Path | None,
    _option(
        TOOLS,
        "--root",
        metavar="DIR",
        help="Nothing outside is read or written, links resolved. It binds tools that take paths; a shell command "
        "can go anywhere: add -xt bash.",
    ),
]
DenyTool = Annotated[
    list[str] | None,
    _option(TOOLS, "--deny-tool", metavar="NAME", help="Shown to the model, and refused; may be repeated."),
]
DenyBashPattern = Annotated[
    list[str] | None,
    _option(
        TOOLS,
        "--deny-bash-pattern",
        metavar="REGEX",
        help="Commands that match are refused; may be repeated. A seat belt, no wall: one command has many spellings.",
    ),
]
DenyPath = Annotated[
    list[str] | None,
    _option(
        TOOLS,
        "--deny-path",
        metavar="GLOB",
        help="Neither read nor written by tools that take paths; may be repeated. Without a slash: a name anywhere.",
    ),
]

SessionFile = Annotated[
    Path | None,
    _option(
        SESSION,
        "--session",
        envvar="AI_AGENT_SESSION_FILE",
        metavar="FILE",
        help="Keep the session in this file, and continue what is in it.",
    ),
]
Continue = Annotated[bool, _option(SESSION, "-c", "--continue", help="Continue the latest session of this folder.")]
SessionDir = Annotated[
    Path | None,
    _option(
        SESSION,
        "--session-dir",
        envvar="AI_AGENT_SESSION_DIR",
        metavar="DIR",
        help="Where sessions are kept. [default: ~/.beyond-ai/sessions, a folder each working folder]",
    ),
]
NoSession = Annotated[bool, _option(SESSION, "--no-session", help="Keep nothing on disk.")]

JsonEvents = Annotated[
    bool, _option(OUTPUT, "--json", help="One event a line on stdout (docs/agent-events.md); the last is the result.")
]
OutputSchema = Annotated[
    Path | None,
    _option(
        OUTPUT,
        "--output-schema",
        metavar="FILE",
        help="JSON schema that the last answer must fit. It alone goes to stdout; with --json it is in the last line.",
    ),
]

CacheLong = Annotated[
    bool,
    _option(CONTEXT, "--cache-long", help="Let providers keep the prompt in their cache for longer; it may cost more."),
]
NoCompaction = Annotated[
    bool, _option(CONTEXT, "--no-compaction", help="Do not summarise older messages before the window is full.")
]
ContextWindow = Annotated[
    int | None,
    _option(
        CONTEXT,
        "--context-window",
        metavar="TOKENS",
        min=4096,
        help="Size of the model's window. [default: what is known of the model]",
    ),
]
AgentConfig = Annotated[
    Path | None,
    _option(
        OTHER,
        "--config",
        metavar="FILE",
        help="Configuration of plugins and prices. [default: $AI_CONFIG_PATH, ~/.beyond-ai/config.toml]",
    ),
]
