"""The parts of a run, made out of options, configuration and plugins. Whatever is wrong is said before it starts."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from beyond_ai.agent.loop import AgentLoop, CompactionSettings, Conversation, LoopSettings
from beyond_ai.agent.model import ModelFacts
from beyond_ai.agent.models import model_facts
from beyond_ai.agent.policy import Approval, Fence, Gate, Rules, child_environment, parse_rules
from beyond_ai.agent.prompt.context_files import USER_FOLDERS, context_files
from beyond_ai.agent.prompt.documents import read_text
from beyond_ai.agent.prompt.skills import find_skills, offer, skill_folders
from beyond_ai.agent.prompt.system import PromptParts, compose
from beyond_ai.agent.run.options import DEFAULT_MODEL, RunOptions, SessionOptions
from beyond_ai.agent.run.plugins import chosen, plug, price_of, user_layers
from beyond_ai.agent.run.scratch import leave, scratch_folder, sweep
from beyond_ai.agent.run.structured import OutputSchema, load_schema
from beyond_ai.agent.session import Session, default_folder, latest, new_path
from beyond_ai.agent.transport import HttpModelTransport
from beyond_ai.errors import ConfigError
from beyond_ai.prices import ModelPrice
from beyond_ai.spec.agent_event import AgentEvent
from beyond_ai.spec.conversation import JsonObject
from beyond_ai.spec.tool import Tool, ToolContext, ToolLimits

if TYPE_CHECKING:
    from beyond_ai.agent.policy.guard import Guard

GATE_NAME: Final = "(approval)"
"""Hooks are called in the order of their names, and this one first."""
Warn = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    """A run that can begin."""

    loop: AgentLoop
    session: Session
    transport: HttpModelTransport
    tools: dict[str, Tool]
    approval: Approval
    settings: LoopSettings
    schema: OutputSchema | None
    price: ModelPrice | None
    scratch: Path

    def leave(self) -> None:
        """Tidy up when the run is over."""
        leave(self.scratch, kept=self.session.path is not None)


def assemble(
    options: RunOptions, emit: Callable[[AgentEvent], Awaitable[None]], warn: Warn, session: Session | None = None
) -> Agent:
    """The parts of the run that OPTIONS describe. Raises BeyondError; then nothing was made but perhaps a session."""
    if not options.key:
        raise ConfigError(
            "no key: the agent needs one for the gateway",
            "give it by --key, or better in AI_AGENT_KEY: a bai_v1 key, or a provider's own",
        )
    home = Path.home()
    layers = user_layers(options.config, home)
    plugged = plug(layers, warn)
    tools = chosen(plugged.tools, options.tools)
    rules = _rules(options, list(plugged.tools))
    schema = None if options.output_schema is None else load_schema(options.output_schema)
    parts = _prompt_parts(options, home, warn, rules.root, offer_skills="read" in tools)
    transport = HttpModelTransport(
        options.gateway_url,
        options.key,
        dialect=options.dialect,
        facts=_facts(options.context_window),
        idle_seconds=options.idle_timeout,
    )
    session = session or open_session(options.session, options, home)
    price = price_of(layers, session.conversation.model)
    settings = _settings(options, session, None if schema is None else schema.schema)
    approval = Approval(options.tools.approve, tools, None)
    sweep()
    scratch = scratch_folder(session.id)
    environment = child_environment(os.environ, options.key)
    today = datetime.now().astimezone().date()
    prompt = compose(parts, tools, options.cwd, today)
    loop = AgentLoop(
        transport=transport,
        tools=list(tools.values()),
        hooks=[(GATE_NAME, Gate(rules, approval, _guard(options, rules, scratch, environment))), *plugged.hooks],
        settings=settings,
        system_prompt=lambda: prompt,
        tool_context=_tool_context(options, session, transport, Fence(rules, scratch), scratch, environment),
        checkpoint=_checkpoint(session),
        approve=approval,
        emit=emit,
    )
    transport.rewrite_payload = loop.rewrite_payload
    return Agent(
        loop=loop,
        session=session,
        transport=transport,
        tools=tools,
        approval=approval,
        settings=settings,
        schema=schema,
        price=price,
        scratch=scratch,
    )


def open_session(where: SessionOptions, options: RunOptions, home: Path) -> Session:
    """The session of a run. Raises ConfigError where there is none to continue, and SessionError."""
    path = where.file
    if path is None and (where.keep or where.resume):
        folder = where.folder or default_folder(options.cwd, home)
        path = latest(folder, options.cwd) if where.resume else new_path(folder)
        if path is None:
            raise ConfigError(f"there is no session of {options.cwd} to continue", "start one: leave out --continue")
    if path is None:
        return Session(model=options.model, thinking=options.thinking, default_model=DEFAULT_MODEL)
    return Session.open(
        path.absolute(),
        cwd=options.cwd,
        model=options.model,
        thinking=options.thinking,
        default_model=DEFAULT_MODEL,
    )


def _rules(options: RunOptions, known: list[str]) -> Rules:
    return parse_rules(
        cwd=options.cwd,
        root=options.tools.root,
        tools=options.tools.deny_tools,
        commands=options.tools.deny_commands,
        paths=options.tools.deny_paths,
        known_tools=known,
    )


def _prompt_parts(options: RunOptions, home: Path, warn: Warn, root: Path | None, *, offer_skills: bool) -> PromptParts:
    """What the system prompt is made of; only the user's own folder, never a project's, may replace its base."""
    skills = find_skills(skill_folders(options.cwd, home), warn) if offer_skills else {}
    return PromptParts(
        base=options.system_prompt or _own_file(home, "SYSTEM.md", warn),
        appended=options.append_system_prompt or tuple(filter(None, [_own_file(home, "APPEND_SYSTEM.md", warn)])),
        context=context_files(options.cwd, home, warn) if options.context_files else (),
        skills=offer(skills.values()),
        root=root,
    )


def _own_file(home: Path, name: str, warn: Warn) -> str | None:
    for folder in USER_FOLDERS:
        path = home / folder / name
        try:
            text = read_text(path)
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            warn(f"{path}: left out of the prompt: {error}")
            continue
        if text.strip():
            return text
    return None


def _facts(window: int | None) -> Callable[[str], ModelFacts]:
    if window is None:
        return model_facts
    return lambda model: replace(model_facts(model), window=window)


def _settings(options: RunOptions, session: Session, schema: JsonObject | None) -> LoopSettings:
    return LoopSettings(
        temperature=options.temperature,
        cache_key=session.id,
        cache_long=options.cache_long,
        output_schema=schema,
        max_turns=options.max_turns,
        max_tokens_total=options.max_tokens_total,
        max_seconds=options.max_seconds,
        retries=options.retries,
        compaction=CompactionSettings(enabled=options.compaction),
    )


def _guard(
    options: RunOptions, rules: Rules, scratch: Path, environment: Mapping[str, str]
) -> "Callable[[], Guard] | None":
    """Makes what asks before a command destroys something; None where none is asked for."""

    def make() -> "Guard":
        from beyond_ai.agent.policy.guard import Guard  # a start without commands is quicker by it

        return Guard(rules.root or options.cwd, options.cwd, scratch, environment)

    return None if options.tools.allow_destructive else make


def _tool_context(
    options: RunOptions,
    session: Session,
    transport: HttpModelTransport,
    fence: Fence,
    scratch: Path,
    environment: Mapping[str, str],
) -> Callable[[str], ToolContext]:
    def context(_call: str) -> ToolContext:
        return ToolContext(
            cwd=options.cwd,
            cancellation=_NeverCancelled(),  # the loop puts its own in
            progress=lambda _text: None,
            limits=ToolLimits(),
            environment=environment,
            paths=fence,
            sees_images=transport.facts(session.conversation.model).images,
            scratch=scratch,
        )

    return context


def _checkpoint(session: Session) -> Callable[[Conversation], Awaitable[None]]:
    async def checkpoint(_conversation: Conversation) -> None:
        await asyncio.to_thread(session.checkpoint)

    return checkpoint


class _NeverCancelled:
    requested = False

    async def wait(self) -> None:
        await asyncio.Event().wait()
