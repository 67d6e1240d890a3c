"""Hook and command keep to what every hook and every command keeps to."""

from pathlib import Path

import pytest

from beyond_ai.testing.conformance import AgentHookConformance, CommandConformance, tool_use


class TestHook(AgentHookConformance):
    plugin = "git_checkpoint"
    allowed = (tool_use("write", path="a.txt"), tool_use("read", path="a.txt"))

    @pytest.fixture(autouse=True)
    def _where_it_runs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)


class TestCommand(CommandConformance):
    plugin = "checkpoint"
