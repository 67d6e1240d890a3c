"""May this request pass, and as what: every check in the order of the reject table, first hit wins.

Read `Admission.admit` top-down. Checks that need nothing but the head come first and cost least; the signature is
verified only after the cheap ones.
"""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace

from beyond_ai.gateway import rejection
from beyond_ai.gateway.breaker import Permit
from beyond_ai.gateway.credentials import Credential, find_credentials, without_query_key
from beyond_ai.gateway.headers import on_client_key, on_pool_key
from beyond_ai.gateway.in_flight import InFlight, TenantsInFlight
from beyond_ai.gateway.rate_limit import RateLimiter
from beyond_ai.gateway.rejection import MAX_BODY, Rejection
from beyond_ai.gateway.request import Request
from beyond_ai.gateway.route import Route, Router
from beyond_ai.gateway.sketch import Cells
from beyond_ai.spec.auth import AuthScheme, CannotVerify, Identity, InvalidCredential
from beyond_ai.spec.deny import DenySet
from beyond_ai.spec.transport import Headers, UpstreamRequest, head_lines


@dataclass(slots=True)
class Ticket:
    """A request on its way through admission: who asks, by which scheme, and for what.

    `query` is what stands behind the `?`, as sent; None where there is no `?`. `cells` is where the credential's rate
    is counted. `asks_usage` is whether its body is made to ask for usage, should it ask for a stream. `permit` and
    `in_flight` are held while the request runs. `upstream_request` is what goes to the provider, once it has been
    worked out; it serves again for another request with the same head.
    """

    request: Request
    route: Route
    query: bytes | None
    scheme: AuthScheme
    credential: str
    asks_usage: bool
    cells: Cells
    identity: Identity | None = None
    permit: Permit | None = None
    in_flight: InFlight | None = None
    upstream_request: UpstreamRequest | None = None


class Admission:
    """The checks, with what they need. `schemes` are in the order in which they are asked."""

    def __init__(
        self,
        router: Router,
        schemes: Sequence[AuthScheme],
        *,
        upstream_tls: bool,
        limiter: RateLimiter,
        denied: DenySet,
        tenants: TenantsInFlight | None = None,
    ) -> None:
        """TENANTS of None is no limit on what one tenant has in flight."""
        self._router = router
        self._limiter = limiter
        self._denied = denied
        self._tenants = tenants
        self._managed = tuple(scheme for scheme in schemes if scheme.managed)
        self._others = tuple(scheme for scheme in schemes if not scheme.managed)
        self._tls = upstream_tls

    def route(self, path: bytes) -> Route | None:
        """The route that PATH alone decides; None when it is not the gateway's to relay."""
        return self._router.route(path)

    def admit(self, request: Request, route: Route, query: bytes | None) -> Ticket | Rejection:
        """Run the checks that need no verification."""
        if request.upgrade:
            return rejection.UPGRADE
        if request.unknown_coding:
            return rejection.UNKNOWN_CODING
        credentials = find_credentials(request, query or b"")
        if not credentials:
            return rejection.MISSING_KEY
        scheme, credential = self._claim(credentials)
        managed = scheme is not None and scheme.managed
        cells = self._limiter.cells(credential or credentials[0].text)
        ceiling = self._limiter.admit(cells, managed, request.started)
        if ceiling is not None:
            return rejection.RATE_LIMITED[ceiling]
        if request.content_length is not None and request.content_length > MAX_BODY:
            return rejection.BODY_TOO_LARGE
        if scheme is None:
            return rejection.INVALID_KEY
        if not scheme.managed and route.bare:
            owners = self._router.owners_of(credentials)
            if len(owners) > 1:
                return rejection.TWO_PROVIDERS
            if owners:
                route = replace(route, upstream=owners[0])
        asks_usage = scheme.managed and route.asks_usage
        return Ticket(request, route, query, scheme, credential, asks_usage, cells)

    def readmit(self, ticket: Ticket) -> Rejection | None:
        """Admit one more request with the head of TICKET's, whose rate alone is another now."""
        ceiling = self._limiter.admit(ticket.cells, ticket.scheme.managed, ticket.request.started)
        return None if ceiling is None else rejection.RATE_LIMITED[ceiling]

    def _claim(self, credentials: list[Credential]) -> tuple[AuthScheme | None, str]:
        for scheme in self._managed:
            for credential in credentials:
                if scheme.claims(credential.plain):
                    return scheme, credential.text
        for scheme in self._others:
            if scheme.claims(credentials[0].plain):
                return scheme, credentials[0].text
        return None, ""

    def authenticate(self, ticket: Ticket) -> Rejection | Awaitable[Identity] | None:
        """Verify the credential: None when it is good, and an awaitable when its scheme has to ask elsewhere."""
        try:
            result = ticket.scheme.authenticate(ticket.credential)
        except InvalidCredential:
            return rejection.INVALID_KEY
        except CannotVerify:
            return rejection.CANNOT_VERIFY
        if isinstance(result, Identity):
            ticket.identity = result
            return None
        return result

    def check(self, ticket: Ticket) -> Rejection | None:
        """Run the checks that follow verification. One that lets the request pass may have it hold something.

        That is `permit` and `in_flight` of TICKET, which whoever opens the exchange gives back at its end.
        """
        refusal = self._check_managed(ticket) if ticket.scheme.managed else None
        breaker = ticket.route.upstream.breaker
        if refusal is not None or breaker is None:
            return refusal
        permit = breaker.allow()
        if isinstance(permit, Permit):
            ticket.permit = permit
            return None
        if ticket.in_flight is not None:
            ticket.in_flight.leave()
        return rejection.circuit_open(permit)

    def _check_managed(self, ticket: Ticket) -> Rejection | None:
        identity = ticket.identity
        assert identity is not None
        reason = self._denied.reason(identity.tenant_id, identity.key_id)
        if reason is not None:
            return rejection.DENIED[reason]
        method, path = ticket.request.method, ticket.route.path
        if not ticket.route.endpoint:
            return rejection.managed_endpoint(404, method, path)
        if method != b"POST":
            return rejection.managed_endpoint(405, method, path)
        if ticket.route.upstream.pool_headers is None:
            return rejection.NO_POOL_KEY
        if self._tenants is not None:
            ticket.in_flight = self._tenants.enter(identity.tenant_id)
            if ticket.in_flight is None:
                return rejection.TENANT_BUSY
        return None

    def upstream_request(self, ticket: Ticket) -> UpstreamRequest:
        """The request as it goes to the provider."""
        request, known = ticket.request, ticket.upstream_request
        if known is not None:
            if known.content_length != request.content_length:
                known = ticket.upstream_request = known.framed(request.content_length)
            return known
        upstream = ticket.route.upstream
        target, headers = self._forwarded(ticket)
        ticket.upstream_request = UpstreamRequest(
            upstream.name,
            request.method,
            target,
            headers,
            upstream.host,
            upstream.port,
            self._tls,
            None if request.chunked else request.content_length,
            request.chunked,
            head_lines(request.method, target, headers),
        )
        return ticket.upstream_request

    def _forwarded(self, ticket: Ticket) -> tuple[bytes, Headers]:
        upstream, target, query = ticket.route.upstream, ticket.route.path, ticket.query
        if ticket.scheme.managed:
            headers = on_pool_key(
                ticket.request, upstream.host_header, upstream.pool_headers or [], expect=not ticket.asks_usage
            )
            query = (without_query_key(query) or None) if query else query
        else:
            headers = on_client_key(ticket.request, upstream.host_header)
        return target if query is None else b"%b?%b" % (target, query), headers
