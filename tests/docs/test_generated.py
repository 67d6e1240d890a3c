"""What the documents say of the code stands there as the generator writes it now."""

import subprocess
import sys
from pathlib import Path

import pytest

import beyond_ai
from beyond_ai import testing

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(("page", "public"), [("hooks.md", beyond_ai.__all__), ("testing.md", testing.__all__)])
def test_every_public_name_has_its_place(page: str, public: list[str]) -> None:
    text = (ROOT / "docs" / "reference" / page).read_text()
    modules = {"chat", "messages", "responses"}
    assert [name for name in public if f"### `{name}`\n" not in text and name not in modules] == []


def test_what_is_generated_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "docs" / "generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
