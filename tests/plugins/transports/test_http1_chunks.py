"""A chunk that comes alone goes past the parser: nothing is heard otherwise than the parser would have it."""

import asyncio
from itertools import pairwise
from typing import Final, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.plugins.transports.seam import Heard

from beyond_ai import UpstreamRequest, UpstreamSettings
from beyond_ai_plugins.transports.http1.connection import Connection
from beyond_ai_plugins.transports.http1.pool import Http1Transport

HEAD: Final = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REQUEST: Final = UpstreamRequest("test", b"GET", b"/", [(b"Host", b"x")], "x.example", 443, False, None, False)


class Framed(Heard):
    """Keeps what came with its framing too."""

    def __init__(self) -> None:
        super().__init__()
        self.framed: list[bytes] = []

    def upstream_body(self, data: bytes, framed: bytes = b"") -> None:
        super().upstream_body(data, framed)
        if framed:
            self.framed.append(framed)


class NoSocket:
    """In place of a socket's transport."""

    def write(self, data: bytes) -> None:
        """Send nothing."""

    def is_closing(self) -> bool:
        return False

    def get_extra_info(self, _name: str) -> None:
        return None

    def abort(self) -> None:
        """Close nothing."""


async def heard_of(reads: list[bytes]) -> Framed:
    """What the relay hears of an answer that is received in READS, exactly so."""
    transport = Http1Transport(UpstreamSettings())
    connection = Connection(transport, ("x.example", 443, False))
    connection.connection_made(cast("asyncio.Transport", NoSocket()))
    transport.release(connection)
    heard = Framed()
    heard.exchange = transport.open(REQUEST, heard)
    heard.opened = True
    await asyncio.sleep(0)  # the request goes out
    for read in reads:
        connection.data_received(read)
    await transport.aclose()
    assert heard.violations == []
    return heard


def chunk(data: bytes, style: str) -> bytes:
    """DATA as a chunk, in one of the ways that RFC 9112, section 7.1, allows."""
    size = b"%x" % len(data)
    line = {"upper": size.upper(), "zeros": b"00" + size, "extension": size + b";a=b"}.get(style, size)
    return b"%b\r\n%b\r\n" % (line, data)


PAYLOADS: Final = st.one_of(
    st.binary(min_size=1, max_size=40),
    st.sampled_from([b"\r\n", b"5\r\n", b"0\r\n\r\n", b"1\r\nx\r\n", b"data: 1\r\n", b"y" * 300, b"z" * 5000]),
)
CHUNKS: Final = st.lists(st.tuples(PAYLOADS, st.sampled_from(["plain", "plain", "upper", "zeros", "extension"])))


@settings(deadline=None)
@given(CHUNKS, st.sampled_from([b"", b"x-t: 1\r\n"]), st.sets(st.integers(1, 400)), st.booleans())
def test_chunks_are_heard_whatever_the_reads(
    chunks: list[tuple[bytes, str]], trailer: bytes, cuts: set[int], alone: bool
) -> None:
    pieces = [HEAD, *[chunk(data, style) for data, style in chunks], b"0\r\n%b\r\n" % trailer]
    answer = b"".join(pieces)
    ends = [sum(map(len, pieces[:count])) for count in range(1, len(pieces))] if alone else []
    edges = sorted({0, len(answer), *ends, *[cut for cut in cuts if cut < len(answer)]})
    heard = asyncio.run(heard_of([answer[start:end] for start, end in pairwise(edges)]))
    assert heard.body == b"".join(data for data, _ in chunks)
    assert heard.told[-1] == "end"


def test_a_chunk_alone_keeps_its_framing() -> None:
    events = [b"data: %d\n\n" % number for number in range(5)]
    reads = [HEAD, *[chunk(event, "plain") for event in events], b"0\r\n\r\n"]
    heard = asyncio.run(heard_of(reads))
    assert heard.framed == reads[2:-1]  # the first tells that the provider's chunks come one by one
    assert heard.body == b"".join(events)


def test_what_is_no_chunk_is_a_failure_behind_chunks_too() -> None:
    for wrong in (b"-1\r\nx\r\n", b"0x1\r\nx\r\n", b"g\r\nx\r\n", b"\r\n\r\n\r\n", b"1\r\nxy\r\n"):
        heard = asyncio.run(heard_of([HEAD, b"1\r\na\r\n", b"1\r\nb\r\n", wrong]))
        assert heard.failure is not None, wrong
        assert heard.body[:2] == b"ab"
