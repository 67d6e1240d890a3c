"""The admin listener: health, metrics, plugins and providers, on a port of its own."""

from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, FastAPI, Response
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from starlette.exceptions import HTTPException
from starlette.requests import Request

from beyond_ai.gateway.admin_access import Access
from beyond_ai.gateway.admin_answers import Health, NotReady, PluginRow, ProviderRow, Refused
from beyond_ai.gateway.admin_page import CONTENT_SECURITY_POLICY, admin_page
from beyond_ai.gateway.admin_view import AdminView, ProviderStatus
from beyond_ai.gateway.front import Asgi, Message, Receive, Send

_SUMMARY: Final = "What an operator may see of a running gateway. Nothing here changes anything, or shows a secret."
_PROTECTED: Final[dict[int | str, dict[str, Any]]] = {
    401: {"model": Refused, "description": "The gateway has an admin_token, and this request does not."},
    403: {"model": Refused, "description": "It has none, and this request is not from its own machine."},
}
_bearer = HTTPBearer(
    scheme_name="admin_token", description="The setting admin_token, where it is set.", auto_error=False
)


def admin(version: str, view: AdminView, token: Callable[[], str | None] = lambda: None) -> Asgi:
    """The admin application, for the gateway that VIEW shows. TOKEN is the setting `admin_token`, as it is now.

    Health and metrics are open to everyone; for the rest see `admin_access`.
    """
    app = FastAPI(
        title="Beyond AI gateway, admin",
        summary=_SUMMARY,
        version=version,
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(_health(version, view))
    app.include_router(_metrics(view))
    app.include_router(_protected(app, view, token))

    @app.exception_handler(HTTPException)
    async def refused(_request: Request, error: HTTPException) -> JSONResponse:
        status = HTTPStatus(error.status_code)
        said = error.detail if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN) else None
        body = Refused(status=status.name.lower(), version=version, message=said).model_dump(exclude_none=True)
        headers = {"allow": "GET, HEAD"} if status is HTTPStatus.METHOD_NOT_ALLOWED else error.headers
        return JSONResponse(body, status, headers)

    return _with_head(app)


def _health(version: str, view: AdminView) -> APIRouter:
    router = APIRouter()

    @router.get("/livez", summary="Does it answer?")
    async def livez() -> Health:
        """200 as long as the process answers. A reason to restart it when it does not."""
        return Health(version=version)

    @router.get(
        "/readyz",
        summary="Does it want traffic?",
        response_model=Health,
        responses={503: {"model": NotReady, "description": "Not now, for this reason."}},
    )
    async def readyz() -> Health | Response:
        """503 while it drains, or would refuse every virtual key. It does not depend on NATS."""
        reason = view.not_ready()
        if reason is None:
            return Health(version=version)
        return JSONResponse({"status": "not_ready", "reason": reason}, HTTPStatus.SERVICE_UNAVAILABLE)

    return router


def _metrics(view: AdminView) -> APIRouter:
    router = APIRouter()
    collectors = CollectorRegistry()
    collectors.register(view)
    ProcessCollector(registry=collectors)
    PlatformCollector(registry=collectors)
    GCCollector(registry=collectors)

    @router.get(
        "/metrics",
        summary="What it has counted",
        response_class=Response,
        responses={200: {"content": {"text/plain": {}, "application/openmetrics-text": {}}}},
    )
    async def metrics(request: Request) -> Response:
        """Prometheus text, or OpenMetrics where `Accept` asks for it. Nothing in it names a tenant."""
        try:
            encode, content_type = choose_encoder(request.headers.get("accept", ""))
        except (TypeError, ValueError):  # a version that is no number is compared with one there
            encode, content_type = choose_encoder("")
        return Response(encode(collectors), headers={"content-type": content_type, "vary": "accept"})

    return router


def _protected(app: FastAPI, view: AdminView, token: Callable[[], str | None]) -> APIRouter:
    async def allowed(
        request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
    ) -> None:
        peer = request.client.host if request.client is not None else None
        refusal = Access(token()).refusal(
            peer, request.headers.getlist("host"), credentials.credentials if credentials is not None else None
        )
        if refusal is not None:
            challenge = {"www-authenticate": "Bearer"} if refusal.status == HTTPStatus.UNAUTHORIZED else None
            raise HTTPException(refusal.status, refusal.message, challenge)

    router = APIRouter(dependencies=[Depends(allowed)], responses=_PROTECTED)

    @router.get("/plugins", summary="The plugins", response_model=list[PluginRow])
    async def plugins() -> Sequence[Mapping[str, object]]:
        """Every plugin that was found, in use or not, with the reason."""
        return view.plugins()

    @router.get("/providers", summary="The providers", response_model=list[ProviderRow])
    async def providers() -> Sequence[ProviderStatus]:
        """Every provider that requests can go to, and whether they may now."""
        return view.providers()

    @router.get("/openapi.json", summary="This listener's schema", response_class=JSONResponse)
    async def schema() -> dict[str, Any]:
        """Return the OpenAPI document."""
        return app.openapi()

    @router.get("/docs", summary="This page", response_class=HTMLResponse)
    async def docs() -> HTMLResponse:
        """The same for people. It fetches nothing from anywhere."""
        return HTMLResponse(
            admin_page(app.openapi()),
            headers={"content-security-policy": CONTENT_SECURITY_POLICY, "x-content-type-options": "nosniff"},
        )

    return router


def _with_head(app: Asgi) -> Asgi:
    """APP, with HEAD on whatever has GET: the same head (RFC 9110, section 9.3.2), and uvicorn sends no body."""

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await app(scope, receive, send)

    return application
