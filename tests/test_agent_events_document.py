"""docs/agent-events.md says of the frames of `agent run --json` what they are."""

import re
from dataclasses import Field, fields
from pathlib import Path
from typing import get_args

from beyond_ai.agent.failure import FailureCode
from beyond_ai.agent.run.frames import SCHEMA
from beyond_ai.spec.agent_event import AgentEvent, RunStatus
from beyond_ai.spec.conversation import TokenUsage

TEXT = (Path(__file__).parents[1] / "docs" / "agent-events.md").read_text()
KINDS = dict(re.findall(r"^\| `(\w+)` \| .*? \| (.*) \|$", TEXT, re.MULTILINE))

EVENTS: tuple[type, ...] = get_args(AgentEvent)


def field(event: type, name: str) -> Field[object]:
    """The field NAME of EVENT."""
    return next(found for found in fields(event) if found.name == name)


def test_every_event_is_there_with_its_members() -> None:
    documented = {kind: re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", row)) for kind, row in KINDS.items()}
    assert documented.keys() - {"session", "result"} == {field(event, "kind").default for event in EVENTS}
    for event in EVENTS:
        members = [found.name for found in fields(event) if found.name != "kind"]
        assert sorted(documented[str(field(event, "kind").default)]) == sorted(members), event


def test_codes_statuses_and_usage_are_there() -> None:
    codes = re.findall(r"^\| `(\w+)` \| [^|]* \|$", TEXT, re.MULTILINE)
    assert sorted(codes) == sorted(get_args(FailureCode))
    for name in (*get_args(RunStatus), *(found.name for found in fields(TokenUsage))):
        assert f"`{name}`" in TEXT
    assert f"the version of this form, {SCHEMA}." in TEXT
