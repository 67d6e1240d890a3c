"""Answers to commands that only read."""

import os
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Final, TypeVar

from beyond_ai.agent.json_line import json_line
from beyond_ai.agent.loop import Conversation, MessageEntry
from beyond_ai.agent.prompt.skills import find_skills, skill_folders
from beyond_ai.agent.prompt.templates import template_folders
from beyond_ai.agent.run.assembly import Agent
from beyond_ai.agent.run.options import DEFAULT_MODEL
from beyond_ai.agent.serve.answers import (
    Answer,
    Branch,
    Branches,
    Counters,
    LastText,
    ListedMessage,
    Messages,
    Models,
    OpenRequest,
    Prompted,
    Queues,
    SlashCommand,
    SlashCommands,
    State,
)
from beyond_ai.agent.serve.approvals import Approvals
from beyond_ai.agent.serve.refusal import Refused
from beyond_ai.agent.serve.writer import Writer

Listed = TypeVar("Listed", bound=Answer)
PAGE: Final = 900_000
"""Bytes of what one answer lists; a frame holds 1 MiB."""


def messages_of(conversation: Conversation) -> list[MessageEntry]:
    """The messages of CONVERSATION with their ids, those that were condensed too."""
    return [entry for entry in conversation.entries if isinstance(entry, MessageEntry)]


def counters(conversation: Conversation) -> Counters:
    """What the conversation has used so far."""
    return Counters(**_counts(conversation))


def prompted(conversation: Conversation, *, refused: bool) -> Prompted:
    """What a prompt is answered with."""
    counts = _counts(conversation)
    return Prompted(**counts, refused=True) if refused else Prompted(**counts)


def state(agent: Agent, cwd: Path, writer: Writer, approvals: Approvals, *, running: str) -> State:
    """What `get_state` says; RUNNING is the command that is being done, or empty."""
    conversation, control = agent.session.conversation, agent.loop.control
    queues = Queues(steer=control.pending("steer"), follow_up=control.pending("follow_up"))
    return State(
        **_counts(conversation),
        session_id=agent.session.id,
        model=conversation.model,
        message_count=len(messages_of(conversation)),
        title=agent.session.title,
        cwd=str(cwd),
        thinking_level=conversation.thinking,
        steering_mode=control.modes["steer"],
        follow_up_mode=control.modes["follow_up"],
        pending_messages=len(queues.steer) + len(queues.follow_up),
        queues=queues,
        session_file=None if agent.session.path is None else str(agent.session.path),
        is_streaming=running == "prompt",
        is_compacting=running == "compact",
        busy=bool(running),
        seq=writer.seq,
        instance=writer.instance,
        pid=os.getpid(),
        approvals=tuple(
            OpenRequest(request_id=found.request_id, tool=found.tool, call_id=found.call_id, summary=found.summary)
            for found in approvals.open
        ),
    )


def messages(agent: Agent, since: str | None) -> Messages:
    """What `get_messages` says: as many as go into one frame. Raises Refused where SINCE is none of them."""
    found = messages_of(agent.session.conversation)
    ids = [entry.id for entry in found]
    if since is not None and since not in ids:
        raise Refused("session", f"since: the conversation has no message {since[:100]}; without `since` all come")
    start = 0 if since is None else ids.index(since) + 1
    listed = page(_listed(entry) for entry in found[start:])
    leaf = agent.session.tree.leaf
    if start + len(listed) == len(found):
        return Messages(messages=listed, leaf_id=leaf)
    return Messages(messages=listed, leaf_id=leaf, next_since=listed[-1].id)


def page(answers: Iterable[Listed]) -> tuple[Listed, ...]:
    """The first of ANSWERS, as many as go into one frame, and one at least."""
    fitting: list[Listed] = []
    size = 0
    for answer in answers:
        size += len(json_line(answer.members()))
        if fitting and size > PAGE:
            break
        fitting.append(answer)
    return tuple(fitting)


def last_text(conversation: Conversation) -> LastText:
    """The text of the last answer that has one."""
    answers = (entry.message for entry in reversed(messages_of(conversation)) if entry.message.role == "assistant")
    return LastText(text=next((message.text for message in answers if message.text), ""))


def commands(cwd: Path) -> SlashCommands:
    """Skills and templates that a prompt can begin with."""
    home = Path.home()
    found = [
        SlashCommand(name=skill.name, source="skill", description=skill.description, path=str(skill.path))
        for skill in find_skills(skill_folders(cwd, home), lambda _text: None).values()
    ]
    for folder in template_folders(cwd, home):
        found += [
            SlashCommand(name=path.stem, source="prompt", description="", path=str(path))
            for path in sorted(folder.glob("*.md"))
        ]
    return SlashCommands(commands=tuple(found))


def branches(agent: Agent) -> Branches:
    """The ends of the session's branches."""
    tree = agent.session.tree
    found = []
    for tip in tree.tips():
        path = tree.path(tip)
        found.append(
            Branch(
                leaf_id=tip,
                current=tip == tree.leaf,
                entries=len(path),
                messages=sum(entry.get("type") == "message" for entry in path),
                label=tree.labels.get(tip),
            )
        )
    return Branches(branches=tuple(found))


def models(current: str) -> Models:
    """Ids to choose from."""
    return Models(models=tuple(dict.fromkeys((current, DEFAULT_MODEL, "gpt-5.1", "gpt-oss-120b"))))


def _counts(conversation: Conversation) -> dict[str, int]:
    answers = [entry.message for entry in messages_of(conversation) if entry.message.role == "assistant"]
    last = next((message.usage.prompt_tokens for message in reversed(answers) if message.usage is not None), 0)
    return {"steps": len(answers), **asdict(conversation.total_usage), "last_input_tokens": last}


def _listed(entry: MessageEntry) -> ListedMessage:
    message = entry.message
    known = {name: getattr(message, name) for name in ("model_id", "usage", "stop_reason", "error_message")}
    known = {name: value for name, value in known.items() if value is not None}
    return ListedMessage(id=entry.id, role=message.role, content=message.content, **known)
