"""docs/serve-protocol.md says of the frames of `agent serve` what they are. Its schema is generated (`tests/docs`)."""

import json
import re
from pathlib import Path
from typing import get_args

from pydantic import TypeAdapter
from tests.agent.serve_process import check

from beyond_ai.agent.serve import frames
from beyond_ai.agent.serve.answers import ANSWERS, ListedMessage
from beyond_ai.agent.serve.reader import LARGEST
from beyond_ai.agent.serve.server import CAPABILITIES

DOCS = Path(__file__).parents[1] / "docs"
TEXT = (DOCS / "serve-protocol.md").read_text()
SCHEMA = DOCS / "serve-protocol.schema.json"
WITHOUT_DATA = {"steer", "follow_up", "set_session_name", "approve"}


def test_every_frame_and_its_members_are_in_the_document() -> None:
    for union in (frames.AnyCommand, frames.AnyFrame):
        for model in get_args(get_args(union)[0]):
            for name in (*get_args(model.model_fields["type"].annotation), *model.model_fields):
                assert f"`{name}`" in TEXT, (model, name)
    for name in CAPABILITIES:
        assert f"`{name}`" in TEXT
    assert f"protocol {frames.PROTOCOL}" in TEXT
    assert f"{LARGEST // 1024**2} MiB" in TEXT


def test_examples_are_frames() -> None:
    examples = re.findall(r"^(in|out) +(\{.*\})$", TEXT, re.MULTILINE)
    assert {way for way, _ in examples} == {"in", "out"}
    for way, line in examples:
        value = json.loads(line)
        if way == "out":
            check(value)
        elif value.get("custom_instructions") != 7:  # which is there to be refused
            command = TypeAdapter[frames.Command](frames.AnyCommand).validate_python(value)
            assert set(value) <= set(type(command).model_fields), line


def test_example_messages_are_messages() -> None:
    (block,) = re.findall(r"^```json\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    for line in block.splitlines():
        value = json.loads(line)
        assert json.loads(json.dumps(ListedMessage.model_validate(value).members())) == value


def test_the_schema_says_what_each_answer_holds() -> None:
    definitions = json.loads(SCHEMA.read_text())["$defs"]
    held = {
        rule["if"]["properties"]["command"]["const"]: rule["then"]["properties"]["data"]["$ref"].rpartition("/")[2]
        for rule in definitions["Response"]["allOf"]
    }
    assert held == {name: model.__name__ for name, model in ANSWERS.items()}
    assert set(held) | WITHOUT_DATA == frames.COMMANDS
    for model in get_args(get_args(frames.AnyFrame)[0]):
        assert "type" in definitions[model.__name__]["required"]
    assert {"id", "role", "content"} == set(definitions["ListedMessage"]["required"])
