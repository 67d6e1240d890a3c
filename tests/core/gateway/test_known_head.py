"""A head that was admitted before is recognised by its bytes, whatever the length of the body, and nothing else is."""

from typing import Final

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.gateway.parts import admission_of, known_providers, router_of

from beyond_ai.gateway.admission import Ticket
from beyond_ai.gateway.known_head import MAX_KNOWN, KnownHead, known_head
from beyond_ai.gateway.rejection import MAX_BODY
from beyond_ai.gateway.request import Request
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.component import Context

HEAD: Final = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.test\r\nContent-Length: %b\r\n"
    b"Authorization: Bearer sk-fake\r\n\r\n"
)


def ticket_for(data: bytes) -> Ticket:
    """How the request that DATA begins with is admitted, as the client's side does it."""
    request = Request()

    class Events:
        def on_url(self, url: bytes) -> None:
            request.target = url

        def on_header(self, name: bytes, value: bytes) -> None:
            request.add_header(name, value)

    parser = httptools.HttpRequestParser(Events())
    parser.feed_data(data[: data.index(b"\r\n\r\n") + 4])
    request.method = parser.get_method()
    request.http10, request.keep_alive = parser.get_http_version() != "1.1", parser.should_keep_alive()
    byo = load(("auth",), PluginPolicy(third_party=False)).create("auth", "byo", Context(), None)
    admission = admission_of(router_of(known_providers()), [byo], upstream_tls=True)
    route = admission.route(request.target)
    assert route is not None
    ticket = admission.admit(request, route, None)
    assert isinstance(ticket, Ticket)
    return ticket


def known(length: bytes = b"12", head: bytes = HEAD) -> KnownHead | None:
    data = head % length + b"x" * 5
    return known_head(ticket_for(data), data)


@given(st.integers(0, MAX_BODY), st.integers(0, 10**12 - 1), st.binary(max_size=20))
def test_the_length_may_be_another(first: int, second: int, body: bytes) -> None:
    found = known(b"%d" % first)
    assert found is not None
    for length in (first, second, first):
        head = HEAD % (b"%d" % length)
        assert found.match(head + body) == len(head)
        assert found.content_length == length


@given(st.integers(0, len(HEAD % b"12") - 1), st.integers(0, 255))
def test_any_other_byte_makes_it_another_head(position: int, byte: int) -> None:
    found = known()
    assert found is not None
    head = bytearray(HEAD % b"12")
    head[position] = byte
    matched = found.match(bytes(head))
    digits = bytes(head).partition(b"Content-Length: ")[2].partition(b"\r\n")[0]
    assert bool(matched) == (bytes(head) == HEAD % digits and digits.isdigit())


@pytest.mark.parametrize("length", [b"", b"-1", b"+1", b"1 2", b"0x1", b"1,1", b"1" * 13, b"\xd9\xa3", b"1\r\nX: y"])
def test_what_is_no_plain_length_is_left_to_the_parser(length: bytes) -> None:
    found = known()
    assert found is not None
    assert found.match(HEAD % length) == 0
    assert found.content_length == 12


def test_a_part_of_it_is_left_to_the_parser() -> None:
    found = known()
    assert found is not None
    head = HEAD % b"12"
    assert not any(found.match(head[:size]) for size in range(len(head)))


@pytest.mark.parametrize(
    "changed",
    [
        HEAD.replace(b"Content-Length: %b\r\n", b"Transfer-Encoding: chunked\r\n"),
        HEAD.replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
        HEAD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
        HEAD.replace(b"HTTP/1.1", b"HTTP/1.0"),
        HEAD.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * MAX_KNOWN + b"\r\n\r\n"),
    ],
    ids=["chunked", "expects", "closes", "old", "long"],
)
def test_what_is_not_worth_remembering(changed: bytes) -> None:
    data = changed % b"12" if b"%b" in changed else changed
    assert known_head(ticket_for(data), data) is None
