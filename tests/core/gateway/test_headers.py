"""Which headers cross, each way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.gateway.parts import asked

from beyond_ai.gateway.headers import POOL_BETAS, ResponseHead, on_client_key, on_pool_key
from beyond_ai.spec.transport import Headers

HOST = b"api.acme.example"
POOL = [(b"authorization", b"Bearer pool-key")]
HOP = [
    (b"Connection", b"keep-alive, X-Named , te"),
    (b"X-Named", b"1"),
    (b"Keep-Alive", b"timeout=5"),
    (b"Proxy-Authorization", b"Basic fake"),
    (b"Proxy-Connection", b"keep-alive"),
    (b"TE", b"trailers"),
    (b"Trailer", b"X-Sum"),
    (b"Transfer-Encoding", b"chunked"),
    (b"Upgrade", b"h2c"),
    (b"HTTP2-Settings", b"AAMAAABkAAQAoAAAAAIAAAAA"),
]
FRAMING = [(b"Host", b"gateway.test"), (b"Content-Length", b"2")]
PRIVATE = [(b"X-Beyond-Only", b"acme"), (b"x-beyond-", b"1")]
CREDENTIALS = [
    (b"Authorization", b"Bearer own"),
    (b"X-Api-Key", b"own"),
    (b"Api-Key", b"own"),
    (b"x-goog-api-key", b"own"),
]
ALLOWED = [
    (b"Content-Type", b"application/json"),
    (b"ACCEPT", b"text/event-stream"),
    (b"User-Agent", b"OpenAI/Python"),
    (b"anthropic-version", b"2023-06-01"),
    (b"Expect", b"100-continue"),
]
OTHER = [
    (b"OpenAI-Organization", b"org-fake"),
    (b"OpenAI-Project", b"proj-fake"),
    (b"Cookie", b"a=1"),
    (b"x-goog-user-project", b"p"),
    (b"X-Stainless-Lang", b"python"),
    (b"X-Repeated", b"1"),
    (b"x-repeated", b"2"),
    (b"X-Empty", b""),
    (b"Accept-Encoding", b"gzip, br"),
    (b"Anthropic-Beta", b"context-1m-2025-08-07"),
    (b"xx-beyond-x", b"1"),
]


def test_on_a_clients_own_key_only_what_is_not_the_next_hops_is_dropped() -> None:
    request = asked(*HOP, *FRAMING, *PRIVATE, *CREDENTIALS, *ALLOWED, *OTHER)
    assert on_client_key(request, HOST) == [(b"Host", HOST), *CREDENTIALS, *ALLOWED, *OTHER]


def test_on_a_pool_key_only_the_allow_list_passes() -> None:
    request = asked(*HOP, *FRAMING, *PRIVATE, *CREDENTIALS, *ALLOWED, *OTHER)
    expected = [(b"Host", HOST), (b"accept-encoding", b"identity"), *POOL, *ALLOWED]
    assert on_pool_key(request, HOST, POOL) == expected


def test_credentials_go_even_when_nothing_takes_their_place() -> None:
    assert on_pool_key(asked(*CREDENTIALS), HOST, []) == [(b"Host", HOST), (b"accept-encoding", b"identity")]


@pytest.mark.parametrize("beta", sorted(POOL_BETAS))
def test_a_beta_that_may_ride_on_a_pool_key(beta: bytes) -> None:
    assert (b"anthropic-beta", beta) in on_pool_key(asked((b"anthropic-beta", beta)), HOST, POOL)


@pytest.mark.parametrize(
    ("sent", "passed"),
    [
        (b"context-1m-2025-08-07", None),
        (b"mcp-client-2025-04-04,code-execution-2025-05-22,files-api-2025-04-14,oauth-2025-04-20", None),
        (b"context-1m-2025-08-07, output-128k-2025-02-19", b"output-128k-2025-02-19"),
        (b"claude-code-20250219 ,x, prompt-caching-2024-07-31", b"claude-code-20250219,prompt-caching-2024-07-31"),
        (b"OUTPUT-128K-2025-02-19", None),
        (b"", None),
    ],
)
def test_betas_are_filtered_token_by_token(sent: bytes, passed: bytes | None) -> None:
    values = [v for n, v in on_pool_key(asked((b"Anthropic-Beta", sent)), HOST, POOL) if n == b"Anthropic-Beta"]
    assert values == ([] if passed is None else [passed])
    assert (b"Anthropic-Beta", sent) in on_client_key(asked((b"Anthropic-Beta", sent)), HOST)


def test_connection_can_name_what_would_have_passed() -> None:
    request = asked((b"Accept", b"*/*"), (b"X-Mine", b"1"), (b"Connection", b"X-MINE,accept"), (b"X-Yours", b"2"))
    assert on_client_key(request, HOST) == [(b"Host", HOST), (b"X-Yours", b"2")]
    assert on_pool_key(request, HOST, POOL) == [(b"Host", HOST), (b"accept-encoding", b"identity"), *POOL]


def test_connection_over_several_lines() -> None:
    request = asked((b"Connection", b"x-a"), (b"X-A", b"1"), (b"X-B", b"2"), (b"Connection", b"x-b"), (b"X-C", b"3"))
    assert on_client_key(request, HOST) == [(b"Host", HOST), (b"X-C", b"3")]


def test_an_answers_headers() -> None:
    kept = [
        (b"Content-Type", b"text/event-stream"),
        (b"Content-Encoding", b"gzip"),
        (b"X-Request-Id", b"req_1"),
        (b"Set-Cookie", b"a"),
        (b"set-cookie", b"b"),
        (b"Retry-After", b"7"),
        (b"x-should-retry", b"false"),
        (b"Date", b"Mon, 01 Jan 2024 00:00:00 GMT"),
        (b"Server", b"acme"),
        (b"Proxy-Authentication-Info", b"x"),
    ]
    dropped = [
        (b"Connection", b"close, X-Named"),
        (b"x-named", b"1"),
        (b"Keep-Alive", b"timeout=5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Content-Length", b"5"),
        (b"Trailer", b"X-Sum"),
        (b"TE", b"trailers"),
        (b"Upgrade", b"h2"),
        (b"Proxy-Authenticate", b"Basic"),
        (b"Proxy-Connection", b"close"),
        (b"X-Beyond-Request-Id", b"spoofed"),
        (b"x-beyond-error-source", b"gateway"),
        (b"X-BEYOND-PROVIDER", b"spoofed"),
    ]
    mixed = [
        header
        for pair in zip(dropped, [*kept, (b"TE", b"x"), (b"TE", b"y"), (b"TE", b"z")], strict=True)
        for header in pair
    ]
    assert ResponseHead(mixed).headers == kept


NAMES = [
    b"Connection", b"Keep-Alive", b"TE", b"Upgrade", b"Transfer-Encoding", b"X-Beyond-A", b"x-beyond-b", b"X-A", b"x-b",
    b"Accept", b"Authorization", b"X-Api-Key", b"Content-Length", b"Host", b"Content-Type",
]  # fmt: skip
HEADERS = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from([b"1", b"close", b"x-a, Accept", b"keep-alive", b"X-B"])),
    max_size=8,
)


@given(HEADERS)
def test_what_never_crosses_in_either_direction(headers: Headers) -> None:
    headers = [header for header in headers if header[0] != b"Content-Length" or header[1].isdigit()]
    named = {
        token.strip().lower() for name, value in headers if name.lower() == b"connection" for token in value.split(b",")
    }
    never = named | {b"connection", b"keep-alive", b"te", b"upgrade", b"transfer-encoding", b"content-length"}
    request = asked(*headers)
    up, pooled = on_client_key(request, HOST)[1:], on_pool_key(request, HOST, [])[2:]
    for crossed in (up, pooled, ResponseHead(headers).headers):
        names = [name.lower() for name, _ in crossed]
        assert not never & set(names)
        assert not [name for name in names if name.startswith(b"x-beyond-")]
        remaining = iter(headers)
        assert all(header in remaining for header in crossed), "order and spelling are kept"
    assert not {b"authorization", b"x-api-key", b"x-a", b"x-b"} & {name.lower() for name, _ in pooled}


@pytest.mark.parametrize(
    ("headers", "length", "streaming"),
    [
        ([], None, False),
        ([(b"Content-Length", b"0")], 0, False),
        ([(b"content-length", b"1234")], 1234, False),
        ([(b"Content-Length", b"5"), (b"Transfer-Encoding", b"chunked")], None, False),
        ([(b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"5")], None, False),
        ([(b"Content-Type", b"text/event-stream")], None, True),
        ([(b"CONTENT-TYPE", b"Text/Event-Stream; charset=utf-8")], None, True),
        ([(b"Content-Type", b"application/json")], None, False),
        ([(b"Accept", b"text/event-stream")], None, False),
    ],
)
def test_what_an_answers_head_says_of_its_body(headers: Headers, length: int | None, streaming: bool) -> None:
    head = ResponseHead(headers)
    assert (head.length, head.streaming) == (length, streaming)
