"""The tool keeps to what every tool keeps to."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from beyond_ai.testing import ReadBody, Send, ThreadedUpstream, response
from beyond_ai.testing.conformance import ToolConformance

PAGE = response(200, [(b"content-type", b"text/plain")], b"a line of a page\n" * 10_000)


class TestHttpGet(ToolConformance):
    plugin = "http_get"

    @pytest.fixture(autouse=True, scope="class")
    @staticmethod
    def _server(request: pytest.FixtureRequest) -> Iterator[None]:
        with ThreadedUpstream(default=(ReadBody(), Send(PAGE))) as server:
            request.cls.arguments = {"url": f"http://{server.authority}/"}
            yield

    def settings(self, folder: Path) -> Mapping[str, object]:
        return {"allow": ["127.0.0.1"]}
