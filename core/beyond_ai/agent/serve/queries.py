"""Answers to commands that only read."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from beyond_ai.agent.json_line import json_line
from beyond_ai.agent.loop import Conversation, MessageEntry
from beyond_ai.agent.prompt.skills import find_skills, skill_folders
from beyond_ai.agent.prompt.templates import template_folders
from beyond_ai.agent.run.assembly import Agent
from beyond_ai.agent.run.frames import plain
from beyond_ai.agent.run.options import DEFAULT_MODEL
from beyond_ai.spec.conversation import JsonObject, Message

PAGE: Final = 900_000
"""Bytes of what one answer lists; a frame holds 1 MiB."""


def messages_of(conversation: Conversation) -> list[MessageEntry]:
    """The messages of CONVERSATION with their ids, those that were condensed too."""
    return [entry for entry in conversation.entries if isinstance(entry, MessageEntry)]


def counters(conversation: Conversation) -> JsonObject:
    """What the session has used so far, in tokens, and how many answers it holds."""
    answers = [entry.message for entry in messages_of(conversation) if entry.message.role == "assistant"]
    last = next((message.usage.prompt_tokens for message in reversed(answers) if message.usage is not None), 0)
    usage = plain(conversation.total_usage)
    assert isinstance(usage, dict)
    return {"steps": len(answers), **usage, "last_input_tokens": last}


def state(agent: Agent, cwd: Path, seq: int, *, running: str) -> JsonObject:
    """What `get_state` says; RUNNING is the command that is being done, or empty."""
    conversation, control = agent.session.conversation, agent.loop.control
    queues = {lane: list(control.pending(lane)) for lane in ("steer", "follow_up")}
    return {
        **counters(conversation),
        "session_id": agent.session.id,
        "model": conversation.model,
        "message_count": len(messages_of(conversation)),
        "title": agent.session.title,
        "cwd": str(cwd),
        "thinking_level": conversation.thinking,
        "steering_mode": control.modes["steer"],
        "follow_up_mode": control.modes["follow_up"],
        "pending_messages": sum(map(len, queues.values())),
        "queues": queues,
        "session_file": None if agent.session.path is None else str(agent.session.path),
        "is_streaming": running == "prompt",
        "is_compacting": running == "compact",
        "seq": seq,
    }


def messages(agent: Agent, since: str | None) -> JsonObject:
    """What `get_messages` says: as many as go into one frame, and `next_since` where that is not all."""
    found = messages_of(agent.session.conversation)
    ids = [entry.id for entry in found]
    start = ids.index(since) + 1 if since in ids else 0
    members = page({"id": entry.id, **_members(entry.message)} for entry in found[start:])
    answer: JsonObject = {"messages": members, "leaf_id": agent.session.tree.leaf}
    return answer if start + len(members) == len(found) else answer | {"next_since": members[-1]["id"]}


def page(values: Iterable[JsonObject]) -> list[JsonObject]:
    """The first of VALUES, as many as go into one frame, and one at least."""
    fitting: list[JsonObject] = []
    size = 0
    for value in values:
        size += len(json_line(value))
        if fitting and size > PAGE:
            break
        fitting.append(value)
    return fitting


def last_text(conversation: Conversation) -> str:
    """The text of the last answer that has one."""
    answers = (entry.message for entry in reversed(messages_of(conversation)) if entry.message.role == "assistant")
    return next((message.text for message in answers if message.text), "")


def commands(cwd: Path) -> list[JsonObject]:
    """Skills and templates that a prompt can begin with."""
    home = Path.home()
    found: list[JsonObject] = [
        {"name": skill.name, "source": "skill", "description": skill.description, "path": str(skill.path)}
        for skill in find_skills(skill_folders(cwd, home), lambda _text: None).values()
    ]
    for folder in template_folders(cwd, home):
        found += [
            {"name": path.stem, "source": "prompt", "description": "", "path": str(path)}
            for path in sorted(folder.glob("*.md"))
        ]
    return found


def branches(agent: Agent) -> list[JsonObject]:
    """The ends of the session's branches."""
    tree = agent.session.tree
    return [
        {"leaf_id": tip, "current": tip == tree.leaf, "entries": len(tree.path(tip)), "label": tree.labels.get(tip)}
        for tip in tree.tips()
    ]


def models(current: str) -> list[str]:
    """Ids to choose from: a hint, any other is taken too."""
    return list(dict.fromkeys((current, DEFAULT_MODEL, "gpt-5.1", "gpt-oss-120b")))


def _members(message: Message) -> JsonObject:
    value = plain(message)
    assert isinstance(value, dict)
    return value
