"""The admin listener: health, metrics and plugins, on a port of its own."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request

from beyond_ai.gateway.admin_view import AdminView


class _Families(Collector):
    """The view's metrics, as prometheus-client asks for them at each scrape."""

    def __init__(self, view: AdminView) -> None:
        self._view: Final = view

    def collect(self) -> Iterable[Metric]:
        return self._view.collect()


def admin(version: str, view: AdminView) -> FastAPI:
    """The admin application over VIEW.

    `/livez` is 200 while the process answers; `/readyz` is 503 as soon as it drains; `/metrics` is Prometheus text;
    `/plugins` is what `beyond-ai plugins list --json` prints, as this process sees it. Anything else is a 404.
    """
    app = FastAPI(title="Beyond AI gateway, admin", version=version)
    collectors = CollectorRegistry()
    collectors.register(_Families(view))
    ProcessCollector(registry=collectors)
    PlatformCollector(registry=collectors)
    GCCollector(registry=collectors)

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok", "version": version}

    @app.get("/readyz")
    async def readyz() -> Response:
        reason = view.not_ready()
        if reason is not None:
            return JSONResponse({"status": "not_ready", "reason": reason}, 503)
        return JSONResponse({"status": "ok", "version": version})

    @app.get("/metrics", response_class=Response)
    async def exposition() -> Response:
        return Response(generate_latest(collectors), media_type=CONTENT_TYPE_LATEST)

    @app.get("/plugins")
    async def plugins() -> Sequence[Mapping[str, object]]:
        return view.plugins()

    @app.exception_handler(HTTPException)
    async def not_found(_request: Request, error: HTTPException) -> JSONResponse:
        status = "not_found" if error.status_code == 404 else "error"
        return JSONResponse({"status": status, "version": version}, error.status_code)

    return app
