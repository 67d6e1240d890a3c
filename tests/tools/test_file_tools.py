"""The file tools as plugins, and as the model is shown them."""

import json
from importlib.metadata import entry_points

import pytest
from pydantic import ValidationError

from beyond_ai import Tool

LARGEST = {"read": 450, "write": 450, "edit": 700, "ls": 450}


def tool(name: str) -> Tool:
    (entry_point,) = entry_points(group="beyond_ai.tools", name=name)
    (found,) = entry_point.load().beyond_tools()
    assert isinstance(found, Tool)
    return found


@pytest.mark.parametrize("name", LARGEST)
def test_each_is_a_plugin_of_its_own_that_says_little(name: str) -> None:
    found = tool(name)
    assert found.name == name
    shown = {"name": name, "description": found.description, "input_schema": found.arguments.model_json_schema()}
    assert len(json.dumps(shown, separators=(",", ":"))) <= LARGEST[name]
    assert "title" not in json.dumps(shown)


def test_who_writes_says_so() -> None:
    assert {name: tool(name).read_only for name in LARGEST} == {
        "read": True,
        "write": False,
        "edit": False,
        "ls": True,
    }
    for name, arguments in (("write", {"path": "a", "content": ""}), ("edit", {"path": "a"})):
        found = tool(name)
        assert found.writes is not None
        assert found.writes(found.arguments.model_validate(arguments)) == "a"


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("read", {"path": "a", "lines": 3}),
        ("read", {"path": "a", "offset": 0}),
        ("read", {}),
        ("write", {"path": "a"}),
        ("edit", {"path": "a", "edits": [{"old_string": "a"}]}),
        ("edit", {"path": "a", "edits": [{"old_string": "a", "new_string": "b", "replace_all": True}]}),
        ("ls", {"limit": 10_001}),
    ],
)
def test_what_they_do_not_know_is_refused(name: str, arguments: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        tool(name).arguments.model_validate(arguments)
