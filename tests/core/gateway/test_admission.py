"""Admission: the reject table in its order, whose key wins, and what goes to the provider."""

from collections.abc import Awaitable, Callable
from typing import Final

import pytest
from tests.core.gateway.parts import admission_of, asked, known_providers, router_of
from tests.gateway_process import PUBLIC_KEY, VIRTUAL_KEY

from beyond_ai import Identity, InvalidCredential
from beyond_ai.config import Settings
from beyond_ai.gateway import rejection
from beyond_ai.gateway.admission import Admission, Ticket
from beyond_ai.gateway.rate_limit import Ceiling, RateLimits
from beyond_ai.gateway.rejection import MAX_BODY, Rejection
from beyond_ai.gateway.request import Request
from beyond_ai.registry import PluginPolicy, load
from beyond_ai.spec.auth import AuthScheme
from beyond_ai.spec.component import Context
from beyond_ai.spec.deny import DenyScope, DenySet
from beyond_ai.spec.provider import KeyScheme, Provider
from beyond_ai.spec.transport import UpstreamRequest

KEY: Final = VIRTUAL_KEY.encode()
FORGED: Final = b"bai_v1.1.AQAAAAAAAAABAAAAAAAAAA." + b"A" * 86
BEARER: Final = (b"Authorization", b"Bearer " + KEY)
OWN: Final = (b"Authorization", b"Bearer sk-own-fake")
KEYED: Final = ("openai", "anthropic", "openrouter", "azure")
AZURE: Final = Provider(name="azure", authority="azure.test:443", key_scheme=KeyScheme.API_KEY)
Header = tuple[bytes, bytes]
Answer = Ticket | Rejection


def schemes() -> list[AuthScheme]:
    """The schemes that we ship, in the registry's order."""
    registry = load(("auth",), PluginPolicy(third_party=False))
    context = Context(signing_keys=Settings(signing_keys={"1": PUBLIC_KEY}).signing_keys)
    return [registry.create("auth", name, context, None) for name in registry.auth_schemes()]


@pytest.fixture(scope="module")
def admission() -> Admission:
    return admission_of(router_of([*known_providers(), AZURE], pool_keys=KEYED), schemes(), upstream_tls=True)


def decide(admission: Admission, request: Request) -> Answer:
    """What becomes of REQUEST, as the client's side asks."""
    path, mark, query = request.target.partition(b"?")
    route = admission.route(path)
    assert route is not None
    ticket = admission.admit(request, route, query if mark else None)
    if isinstance(ticket, Rejection):
        return ticket
    refused = admission.authenticate(ticket)
    assert refused is None or isinstance(refused, Rejection)
    return refused or admission.check(ticket) or ticket


def passed(admission: Admission, request: Request) -> UpstreamRequest:
    """What goes to the provider for REQUEST, which must be let through."""
    ticket = decide(admission, request)
    assert isinstance(ticket, Ticket), ticket
    return admission.upstream_request(ticket)


def upgraded(request: Request) -> None:
    request.upgrade = True


def coded(request: Request) -> None:
    request.add_header(b"Transfer-Encoding", b"gzip, chunked")


def without_key(request: Request) -> None:
    request.authorization.clear()
    request.keys.clear()


def too_large(request: Request) -> None:
    request.content_length = MAX_BODY + 1


def forged(request: Request) -> None:
    request.authorization[:] = [b"Bearer " + FORGED]


def elsewhere(request: Request) -> None:
    request.target = request.target.replace(b"/chat/completions", b"/files")


def by_another_method(request: Request) -> None:
    request.method = b"DELETE"


def nobody_pays(request: Request) -> None:
    request.target = request.target.replace(b"/openai", b"/xai")


ELSEWHERE: Final = rejection.managed_endpoint(404, b"DELETE", b"/v1/files")
TABLE: Final[list[tuple[Callable[[Request], None], Rejection]]] = [
    (upgraded, rejection.UPGRADE),
    (coded, rejection.UNKNOWN_CODING),
    (without_key, rejection.MISSING_KEY),
    (too_large, rejection.BODY_TOO_LARGE),
    (forged, rejection.INVALID_KEY),
    (elsewhere, ELSEWHERE),
    (by_another_method, rejection.managed_endpoint(405, b"DELETE", b"/v1/chat/completions")),
    (nobody_pays, rejection.NO_POOL_KEY),
]


@pytest.mark.parametrize("row", range(len(TABLE)), ids=[fault.__name__ for fault, _ in TABLE])
def test_the_first_row_that_a_request_violates_refuses_it(admission: Admission, row: int) -> None:
    """The request violates this row and every one below it."""
    request = asked(BEARER, target=b"/openai/v1/chat/completions")
    for fault, _ in reversed(TABLE[row:]):
        if fault is not without_key or row <= 2:
            fault(request)
    assert decide(admission, request) == TABLE[row][1]


@pytest.mark.parametrize("row", range(len(TABLE)), ids=[fault.__name__ for fault, _ in TABLE])
def test_each_row_alone(admission: Admission, row: int) -> None:
    request = asked(BEARER, target=b"/openai/v1/chat/completions")
    fault, expected = TABLE[row]
    fault(request)
    refused = decide(admission, request)
    assert isinstance(refused, Rejection)
    assert (refused.status, refused.reason) == (expected.status, expected.reason)


def test_a_plain_managed_request(admission: Admission) -> None:
    request = asked(
        BEARER,
        (b"Content-Type", b"application/json"),
        (b"X-Other", b"1"),
        target=b"/openai/v1/chat/completions?beta=true",
    )
    request.content_length = MAX_BODY
    sent = passed(admission, request)
    assert (sent.provider, sent.host, sent.port, sent.tls) == ("openai", "api.openai.com", 443, True)
    assert (sent.method, sent.target) == (b"POST", b"/v1/chat/completions?beta=true")
    assert (sent.content_length, sent.chunked) == (MAX_BODY, False)
    assert sent.headers == [
        (b"Host", b"api.openai.com"),
        (b"accept-encoding", b"identity"),
        (b"authorization", b"Bearer pool-openai"),
        (b"Content-Type", b"application/json"),
    ]


def test_who_asks_is_on_the_ticket(admission: Admission) -> None:
    ticket = decide(admission, asked(BEARER))
    assert isinstance(ticket, Ticket)
    assert ticket.identity == Identity(tenant_id=42, vpc_id=7)
    assert ticket.scheme.managed


@pytest.mark.parametrize(
    ("target", "header"),
    [
        (b"/openai/v1/embeddings", (b"authorization", b"Bearer pool-openai")),
        (b"/anthropic/v1/messages", (b"x-api-key", b"pool-anthropic")),
        (b"/azure/openai/deployments/d/chat/completions?api-version=1", (b"api-key", b"pool-azure")),
    ],
)
def test_the_pool_key_goes_where_its_provider_reads_it(admission: Admission, target: bytes, header: Header) -> None:
    sent = passed(admission, asked(BEARER, target=target))
    credentials = {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key"}
    assert [(name, value) for name, value in sent.headers if name.lower() in credentials] == [header]


PLACES: Final[dict[str, tuple[list[Header], bytes]]] = {
    "bearer": ([BEARER], b""),
    "bearer in lower case": ([(b"authorization", b"bearer " + KEY)], b""),
    "bearer in capitals": ([(b"authorization", b"BEARER " + KEY)], b""),
    "bearer and a tab": ([(b"authorization", b"Bearer\t" + KEY)], b""),
    "no scheme": ([(b"authorization", KEY)], b""),
    "x-api-key": ([(b"X-Api-Key", KEY)], b""),
    "api-key": ([(b"api-key", KEY)], b""),
    "x-goog-api-key": ([(b"x-goog-api-key", KEY)], b""),
    "query": ([], b"?key=" + KEY),
    "query, name encoded": ([], b"?a=1&k%65y=" + KEY),
    "behind junk in another header": ([(b"x-api-key", b"junk"), BEARER], b""),
    "behind junk in the same header": ([OWN, BEARER], b""),
    "on the third of three lines": ([(b"x-api-key", b"a"), (b"x-api-key", b"b"), (b"X-API-KEY", KEY)], b""),
    "behind junk everywhere": ([(b"x-api-key", b"j"), (b"api-key", b"j"), OWN], b"?key=junk&key=" + KEY),
    "behind empty values": ([(b"x-api-key", b""), (b"authorization", b"Bearer "), (b"api-key", KEY)], b"?key="),
}


@pytest.mark.parametrize("place", PLACES)
def test_a_virtual_key_wins_wherever_it_stands_and_goes_nowhere(admission: Admission, place: str) -> None:
    headers, query = PLACES[place]
    sent = passed(admission, asked(*headers, target=b"/openai/v1/chat/completions" + query))
    shown = repr(sent)
    assert VIRTUAL_KEY not in shown
    assert "junk" not in shown
    assert [value for name, value in sent.headers if name.lower() == b"authorization"] == [b"Bearer pool-openai"]
    assert sent.target == (b"/v1/chat/completions?a=1" if b"a=1" in query else b"/v1/chat/completions")


@pytest.mark.parametrize("place", PLACES)
def test_a_forged_one_is_refused_wherever_it_stands(admission: Admission, place: str) -> None:
    headers, query = PLACES[place]
    swapped = [(name, value.replace(KEY, FORGED)) for name, value in headers]
    target = b"/openai/v1/chat/completions" + query.replace(KEY, FORGED)
    assert decide(admission, asked(*swapped, target=target)) is rejection.INVALID_KEY


@pytest.mark.parametrize(
    "credential",
    [
        b"bai_", b"bai_v3.1.a.b", b"bai_v1", b"bai_v1.1.AQAAAAAAAAABAAAAAAAAAA", b"bai_x", KEY[:-1],
        KEY + b"=", KEY + b".",
        KEY.replace(b".1.", b".01."), KEY.replace(b".1.", b".+1."), KEY.replace(b".1.", b".2."), FORGED,
    ],
)  # fmt: skip
def test_every_bad_virtual_key_is_the_same_refusal(admission: Admission, credential: bytes) -> None:
    assert decide(admission, asked((b"x-api-key", credential))) is rejection.INVALID_KEY


def test_a_virtual_key_that_only_decoding_reveals_is_refused(admission: Admission) -> None:
    for spelled in (KEY.replace(b"_", b"%5F"), b"%62" + KEY[1:], KEY.replace(b".", b"%2e"), b"%20" + KEY):
        target = b"/openai/v1/chat/completions?key=" + spelled
        assert decide(admission, asked(OWN, target=target)) is rejection.INVALID_KEY


@pytest.mark.parametrize(
    ("query", "rest"),
    [(b"?key=KEY", b""), (b"?a=1&key=KEY&b=%20", b"?a=1&b=%20"), (b"?", b"?"), (b"", b""), (b"?a", b"?a")],
)
def test_the_query_of_a_managed_request(admission: Admission, query: bytes, rest: bytes) -> None:
    target = b"/openai/v1/chat/completions"
    sent = passed(admission, asked(BEARER, target=target + query.replace(b"KEY", KEY)))
    assert sent.target == target.removeprefix(b"/openai") + rest


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"])
def test_managed_is_post_only(admission: Admission, method: bytes) -> None:
    refused = decide(admission, asked(BEARER, method=method, target=b"/v1/messages"))
    assert refused == rejection.managed_endpoint(405, method, b"/v1/messages")


@pytest.mark.parametrize("method", [b"GET", b"POST", b"DELETE"])
@pytest.mark.parametrize("path", [b"/v1/files", b"/v1/models", b"/v1/files/../chat/completions", b"/v1/batches"])
def test_managed_off_the_list_is_404_for_any_method(admission: Admission, method: bytes, path: bytes) -> None:
    refused = decide(admission, asked(BEARER, method=method, target=b"/openai" + path + b"?limit=1"))
    assert refused == rejection.managed_endpoint(404, method, path)


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"POST", b"DELETE", b"PROPFIND"])
def test_a_clients_own_key_may_do_anything(admission: Admission, method: bytes) -> None:
    headers = [(b"User-Agent", b"x"), OWN, (b"Cookie", b"a=1"), (b"OpenAI-Organization", b"org-fake")]
    sent = passed(admission, asked(*headers, method=method, target=b"/openai//v1/../x;y?key=a&k%65y=b"))
    assert (sent.method, sent.target) == (method, b"//v1/../x;y?key=a&k%65y=b")
    assert sent.headers == [(b"Host", b"api.openai.com"), *headers]


@pytest.mark.parametrize(
    ("headers", "target", "provider"),
    [
        ([(b"Authorization", b"Bearer sk-fake")], b"/v1/messages", "openai"),
        ([(b"x-api-key", b"sk-ant-fake")], b"/v1/models", "anthropic"),
        ([(b"x-api-key", b"opaque")], b"/v1/models", "anthropic"),
        ([(b"Authorization", b"Bearer opaque")], b"/v1/models", "openai"),
        ([(b"Authorization", b"Bearer opaque")], b"/v1/messages", "anthropic"),
        ([(b"Authorization", b"Bearer sk-ant-fake")], b"/openai/v1/models", "openai"),
        ([(b"Authorization", b"Bearer " + KEY)], b"/v1/messages", "anthropic"),
        ([(b"x-api-key", KEY)], b"/v1/chat/completions", "openai"),
        ([(b"x-api-key", KEY), OWN], b"/v1/messages", "anthropic"),
    ],
)
def test_whose_request_a_bare_path_is(
    admission: Admission, headers: list[Header], target: bytes, provider: str
) -> None:
    assert passed(admission, asked(*headers, target=target)).provider == provider


def test_one_requests_key_does_not_move_anothers_path(admission: Admission) -> None:
    own = (b"Authorization", b"Bearer sk-fake")
    opaque = (b"Authorization", b"Bearer opaque")
    for _ in range(2):
        assert passed(admission, asked(own, target=b"/v1/messages")).provider == "openai"
        assert passed(admission, asked(opaque, target=b"/v1/messages")).provider == "anthropic"


def test_keys_of_two_providers_on_a_bare_path_go_to_neither(admission: Admission) -> None:
    two = [(b"x-api-key", b"sk-ant-fake"), (b"Authorization", b"Bearer sk-fake")]
    assert decide(admission, asked(*two, target=b"/v1/models")) is rejection.TWO_PROVIDERS
    assert passed(admission, asked(*two, target=b"/openai/v1/models")).provider == "openai"


@pytest.mark.parametrize("length", [0, 1, MAX_BODY])
def test_a_declared_body_within_the_limit(admission: Admission, length: int) -> None:
    request = asked(OWN, (b"Content-Length", b"%d" % length))
    assert passed(admission, request).content_length == length


def test_a_chunked_body_stays_chunked(admission: Admission) -> None:
    sent = passed(admission, asked(OWN, (b"Transfer-Encoding", b"Chunked")))
    assert (sent.content_length, sent.chunked) == (None, True)


class TeamTokens:
    """A scheme that asks elsewhere."""

    managed = True

    def claims(self, credential: str) -> bool:
        return credential.startswith("team-")

    def authenticate(self, credential: str) -> Awaitable[Identity]:
        async def ask() -> Identity:
            if credential != "team-blue":
                raise InvalidCredential("unknown team")
            return Identity(tenant_id=7)

        return ask()


async def test_a_scheme_may_take_its_time() -> None:
    admission = admission_of(
        router_of(known_providers(), pool_keys=KEYED), [TeamTokens(), *schemes()], upstream_tls=False
    )
    route = admission.route(b"/v1/chat/completions")
    assert route is not None
    for credential, tenant in ((b"team-blue", 7), (b"team-red", None)):
        ticket = admission.admit(asked((b"api-key", credential)), route, None)
        assert isinstance(ticket, Ticket)
        verdict = admission.authenticate(ticket)
        assert isinstance(verdict, Awaitable)
        if tenant is None:
            with pytest.raises(InvalidCredential):
                await verdict
        else:
            assert (await verdict).tenant_id == tenant


def test_without_a_scheme_for_it_a_key_is_refused() -> None:
    admission = admission_of(router_of(known_providers()), [TeamTokens()], upstream_tls=True)
    assert decide(admission, asked(OWN)) is rejection.INVALID_KEY


def test_who_is_denied_is_refused_after_verification() -> None:
    denied = DenySet()
    admission = admission_of(router_of(known_providers(), pool_keys=KEYED), schemes(), denied=denied)
    for reason, refused in rejection.DENIED.items():
        denied.updater().put(DenyScope.TENANT, 42, reason)
        assert decide(admission, asked(BEARER)) is refused
        assert decide(admission, asked((b"x-api-key", FORGED))) is rejection.INVALID_KEY
        assert isinstance(decide(admission, asked(OWN)), Ticket)


def test_a_ceiling_comes_before_the_size_and_before_verification() -> None:
    limits = RateLimits(credential=1, byo=1)
    for header, ceiling in ((OWN, Ceiling.BYO), ((b"x-api-key", FORGED), Ceiling.CREDENTIAL)):
        admission = admission_of(router_of(known_providers()), schemes(), limits=limits)
        first = decide(admission, asked(header))
        assert first not in rejection.RATE_LIMITED.values()
        large = asked(header, (b"content-length", b"%d" % (MAX_BODY + 1)))
        assert decide(admission, large) is rejection.RATE_LIMITED[ceiling]
