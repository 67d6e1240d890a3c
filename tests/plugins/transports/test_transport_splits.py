"""However the network cuts a provider's bytes, the relay hears the same."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugins.transports.seam import COMPONENTS, Seam, ask

from beyond_ai.testing import Close, ReadBody, ScriptedUpstream, Send, Step

SSE = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\n\n'
ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "json": (
        b"HTTP/1.1 200 OK\r\nDate: Mon, 01 Jan 2024 00:00:00 GMT\r\nContent-Type: application/json\r\n"
        b'Content-Length: 26\r\nx-request-id: req_1\r\n\r\n{"id":"chatcmpl-1","n":[1]}'[:-1],
        b'{"id":"chatcmpl-1","n":[1]}'[:-1],
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


async def heard_from(name: str, pieces: list[bytes]) -> tuple[object, ...]:
    """All that transport NAME says of an answer in PIECES."""
    script: list[Step] = [ReadBody(), *map(Send, pieces), Close()]
    async with ScriptedUpstream(default=script) as upstream:
        seam = Seam(name)
        heard = await seam.get(ask(upstream))
        await seam.aclose()
    return heard.told, heard.interim, heard.status, heard.reason, heard.headers, bytes(heard.body)


@pytest.mark.parametrize("kind", ANSWERS)
@pytest.mark.parametrize("name", sorted(COMPONENTS))
def test_any_splitting_is_heard_the_same(name: str, kind: str) -> None:
    answer, body = ANSWERS[kind]
    whole = asyncio.run(heard_from(name, [answer]))
    assert whole[-1] == body

    @settings(max_examples=25, deadline=None)
    @given(st.sets(st.integers(1, len(answer) - 1), max_size=12))
    def check(cuts: set[int]) -> None:
        edges = [0, *sorted(cuts), len(answer)]
        pieces = [answer[start:end] for start, end in pairwise(edges)]
        assert asyncio.run(heard_from(name, pieces)) == whole

    check()
