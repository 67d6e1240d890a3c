"""Our observer keeps the rules of its kind."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from beyond_ai.testing import ReadBody, Send, ThreadedUpstream, response
from beyond_ai.testing.conformance import ObserverConformance


class TestOtel(ObserverConformance):
    plugin = "otel"

    @pytest.fixture(autouse=True)
    def _collector(self) -> Iterator[None]:
        with ThreadedUpstream(default=(ReadBody(), Send(response(200, [], b"")))) as self.collector:
            yield

    def settings(self, folder: Path) -> Mapping[str, object]:
        return {"endpoint": f"http://{self.collector.authority}"}
