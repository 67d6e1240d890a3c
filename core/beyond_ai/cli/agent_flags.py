"""What the command lines of `agent run` and `agent serve` have in common."""

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, get_args

from beyond_ai.agent.run.options import DEFAULT_URL, RunOptions, ToolOptions
from beyond_ai.cli import agent_options as option
from beyond_ai.errors import ConfigError
from beyond_ai.layers import nearest

T = TypeVar("T", bound=str)
COMMON = "common"
"""The argument in whose place a command has the common flags."""


def common_flags(
    gateway_url: option.GatewayUrl = None,
    key: option.Key = None,
    model: option.Model = None,
    dialect: option.Dialect = None,
    idle_timeout: option.IdleTimeout = 600.0,
    max_turns: option.MaxTurns = None,
    max_tokens_total: option.MaxTokensTotal = None,
    max_seconds: option.MaxSeconds = None,
    retries: option.Retries = 4,
    thinking: option.Thinking = None,
    temperature: option.Temperature = None,
    system_prompt: option.SystemPrompt = None,
    append_system_prompt: option.AppendSystemPrompt = None,
    no_context_files: option.NoContextFiles = False,
    tools: option.Only = None,
    exclude_tools: option.Without = None,
    no_tools: option.NoTools = False,
    approve: option.Approve = "never",
    allow_destructive: option.AllowDestructive = False,
    root: option.Root = None,
    deny_tool: option.DenyTool = None,
    deny_bash_pattern: option.DenyBashPattern = None,
    deny_path: option.DenyPath = None,
    cache_long: option.CacheLong = False,
    no_compaction: option.NoCompaction = False,
    context_window: option.ContextWindow = None,
    config: option.AgentConfig = None,
) -> RunOptions:
    """What they say. Raises ConfigError."""
    from beyond_ai.agent.dialects.dialect import DialectName
    from beyond_ai.agent.policy.rules import parse_mode
    from beyond_ai.spec.conversation import ThinkingLevel

    return RunOptions(
        cwd=_working_folder(),
        gateway_url=gateway_url or DEFAULT_URL,
        key=(key or "").strip(),
        model=model or None,
        dialect=_one_of("--dialect", dialect, get_args(DialectName)),
        idle_timeout=idle_timeout,
        max_turns=max_turns,
        max_tokens_total=max_tokens_total,
        max_seconds=max_seconds,
        retries=retries,
        thinking=_one_of("--thinking", thinking, get_args(ThinkingLevel)),
        temperature=temperature,
        system_prompt=system_prompt,
        append_system_prompt=tuple(append_system_prompt or ()),
        context_files=not no_context_files,
        tools=ToolOptions(
            only=_names(tools),
            without=_names(exclude_tools),
            none=no_tools,
            approve=parse_mode(approve),
            allow_destructive=allow_destructive,
            root=root,
            deny_tools=_names(deny_tool),
            deny_commands=tuple(deny_bash_pattern or ()),
            deny_paths=tuple(deny_path or ()),
        ),
        cache_long=cache_long,
        compaction=not no_compaction,
        context_window=context_window,
        config=config,
    )


def takes_common_flags(command: Callable[..., None]) -> Callable[..., None]:
    """COMMAND with the common flags, for typer to see, in the place of its argument `common`, which gets them read."""
    common = inspect.signature(common_flags).parameters

    @functools.wraps(command)
    def taking(**given: object) -> None:
        flags = {name: given.pop(name) for name in common}
        command(**given, **{COMMON: common_flags(**flags)})  # type: ignore[arg-type]

    parameters: list[inspect.Parameter] = []
    for name, parameter in inspect.signature(command).parameters.items():
        parameters += common.values() if name == COMMON else [parameter]
    parameters = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    taking.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    taking.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return taking


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except OSError as error:
        raise ConfigError(f"the working folder cannot be used: {error.strerror}", "change to one that exists") from None


def _names(given: list[str] | None) -> tuple[str, ...]:
    """The names in GIVEN, which commas may part."""
    return tuple(name.strip() for text in given or () for name in text.split(",") if name.strip())


def _one_of(flag: str, given: str | None, known: tuple[T, ...]) -> T | None:
    if given is None:
        return None
    for value in known:
        if given == value:
            return value
    raise ConfigError(f"{flag} {given}: must be one of {', '.join(known)}{nearest(given, known)}")
