"""What every transport keeps to: the order of events, bytes as they came, and no byte more than the slow side takes."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beyond_ai.spec.component import Context
from beyond_ai.spec.transport import Transport
from beyond_ai.testing.conformance.rule import ComponentConformance
from beyond_ai.testing.conformance.transport_aborts import TransportAborts
from beyond_ai.testing.conformance.transport_answers import TransportAnswers
from beyond_ai.testing.conformance.transport_failures import TransportFailures
from beyond_ai.testing.conformance.transport_flow import TransportFlow
from beyond_ai.testing.steps import Close, ReadBody, Send, Step
from beyond_ai.testing.transport_events import TransportSeam, ask
from beyond_ai.testing.upstream import ScriptedUpstream

SSE: Final = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
ANSWERS: Final[dict[str, tuple[bytes, bytes]]] = {
    "json": (
        (
            b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n"
            b'Content-Length: 27\r\nx-request-id: req_1\r\n\r\n{"id":"chatcmpl-1","n":[1]}'
        ),
        b'{"id":"chatcmpl-1","n":[1]}',
    ),
    "stream": (
        b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
        b"content-type: text/event-stream\r\n\r\n"
        + b"%x;ext=1\r\n%b\r\n" % (len(SSE), SSE) * 2
        + b"0\r\nx-t: 1\r\n\r\n",
        SSE * 2,
    ),
    "until close": (b"HTTP/1.1 502 Bad Gateway\r\nconnection: close\r\n\r\n<html>bad</html>", b"<html>bad</html>"),
}


class TransportConformance(
    TransportAnswers, TransportFlow, TransportAborts, TransportFailures, ComponentConformance[Transport]
):
    """The rules of transports that speak HTTP/1.1, against a scripted provider on real sockets.

    class TestMine(TransportConformance):
        plugin = "mine"
    """

    kind = "transport"

    @pytest.fixture(autouse=True)
    def _no_proxies(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)

    def seam_in(self, folder: Path) -> TransportSeam:
        """The transport between a relay and a provider, under this suite's settings in FOLDER."""

        def create(context: Context) -> Transport:
            return self.make_with(replace(self.context(folder), upstream=context.upstream), folder)

        return TransportSeam(create)

    @pytest.mark.parametrize("kind", ANSWERS)
    def test_any_splitting_is_heard_the_same(self, kind: str, tmp_path: Path) -> None:
        """However the network cuts a provider's bytes, the relay hears the same."""
        answer, body = ANSWERS[kind]
        whole = asyncio.run(self._heard_from([answer], tmp_path))
        assert whole[-1] == body

        @settings(max_examples=25, deadline=None, report_multiple_bugs=False)
        @given(st.sets(st.integers(1, len(answer) - 1), max_size=12))
        def check(cuts: set[int]) -> None:
            edges = [0, *sorted(cuts), len(answer)]
            pieces = [answer[start:end] for start, end in pairwise(edges)]
            assert asyncio.run(self._heard_from(pieces, tmp_path)) == whole

        check()

    async def _heard_from(self, pieces: list[bytes], folder: Path) -> tuple[object, ...]:
        """All that the transport says of an answer in PIECES."""
        script: list[Step] = [ReadBody(), *map(Send, pieces), Close()]
        async with ScriptedUpstream(default=script) as upstream:
            seam = self.seam_in(folder)
            heard = await seam.get(ask(upstream))
            await seam.aclose()
        return heard.told, heard.interim, heard.status, heard.reason, heard.headers, bytes(heard.body)
