"""Our usage sink keeps the rules of its kind; what it writes to is stdout."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from beyond_ai.testing.conformance import SinkConformance


class TestStdout(SinkConformance):
    plugin = "stdout"

    @pytest.fixture(autouse=True)
    def _stdout(self, capfd: pytest.CaptureFixture[str]) -> None:
        self.capfd = capfd

    def received(self, folder: Path) -> Sequence[str]:
        lines = self.capfd.readouterr().out.splitlines()
        return [str(json.loads(line)["fields"]["request_id"]) for line in lines]
