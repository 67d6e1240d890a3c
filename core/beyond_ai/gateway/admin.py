"""The admin listener: health, metrics and plugins, on a port of its own."""

from dataclasses import asdict

from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest
from starlette.exceptions import HTTPException
from starlette.requests import Request

from beyond_ai.gateway.metrics import Metrics
from beyond_ai.registry import Registry


class Health:
    """Whether this process wants traffic."""

    def __init__(self) -> None:
        self.draining = False


def admin(version: str, metrics: Metrics, registry: Registry, health: Health) -> FastAPI:
    """The admin application.

    `/livez` is 200 while the process answers; `/readyz` is 503 as soon as it drains; `/metrics` is Prometheus text;
    `/plugins` is what `beyond-ai plugins list --json` prints, as this process sees it. Anything else is a 404.
    """
    app = FastAPI(title="Beyond AI gateway, admin", version=version)
    collectors = CollectorRegistry()
    collectors.register(metrics)
    ProcessCollector(registry=collectors)
    PlatformCollector(registry=collectors)
    GCCollector(registry=collectors)

    @app.get("/livez")
    async def livez() -> dict[str, str]:
        return {"status": "ok", "version": version}

    @app.get("/readyz")
    async def readyz() -> Response:
        if health.draining:
            return JSONResponse({"status": "not_ready", "reason": "draining"}, 503)
        return JSONResponse({"status": "ok", "version": version})

    @app.get("/metrics", response_class=Response)
    async def exposition() -> Response:
        return Response(generate_latest(collectors), media_type=CONTENT_TYPE_LATEST)

    @app.get("/plugins")
    async def plugins() -> list[dict[str, object]]:
        return [{**asdict(report), "state": report.state.value} for report in registry.reports]

    @app.exception_handler(HTTPException)
    async def not_found(_request: Request, error: HTTPException) -> JSONResponse:
        status = "not_found" if error.status_code == 404 else "error"
        return JSONResponse({"status": status, "version": version}, error.status_code)

    return app
