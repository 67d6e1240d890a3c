"""What the command line of `agent run` says, as it says it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from beyond_ai.agent.dialects.dialect import DialectName
from beyond_ai.agent.policy import Mode
from beyond_ai.spec.conversation import ThinkingLevel

DEFAULT_URL: Final = "http://127.0.0.1:8080"
DEFAULT_MODEL: Final = "claude-opus-4-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolOptions:
    """Which tools there are, and what they may do."""

    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    none: bool = False
    approve: Mode = "never"
    root: Path | None = None
    deny_tools: tuple[str, ...] = ()
    deny_commands: tuple[str, ...] = ()
    deny_paths: tuple[str, ...] = ()
    allow_destructive: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """Where the session is: in `file`, else in `folder` or the default folder, unless `keep` is false."""

    file: Path | None = None
    folder: Path | None = None
    resume: bool = False
    keep: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """One run. None stands for what is decided later: the session's own, or a default."""

    cwd: Path
    gateway_url: str = DEFAULT_URL
    key: str = ""
    model: str | None = None
    dialect: DialectName | None = None
    idle_timeout: float = 600.0
    max_turns: int | None = None
    max_tokens_total: int | None = None
    max_seconds: float | None = None
    retries: int = 4
    thinking: ThinkingLevel | None = None
    temperature: float | None = None
    system_prompt: str | None = None
    append_system_prompt: tuple[str, ...] = ()
    context_files: bool = True
    tools: ToolOptions = ToolOptions()
    session: SessionOptions = SessionOptions()
    json: bool = False
    output_schema: Path | None = None
    cache_long: bool = False
    compaction: bool = True
    context_window: int | None = None
    config: Path | None = None
    debug: bool = False
