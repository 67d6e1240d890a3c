"""A FastAPI application with the gateway in it: one process, one event loop.

    python examples/programs/gateway_in_fastapi.py        # PORT=8000

The gateway listens on a port of its own, and its health and metrics are pages of the application. Here it runs in dev
mode, so that nothing has to be configured: the embedded `echo` provider answers, and `/` shows a key. Leave `dev=True`
out to serve as `config.toml` and the `AI_*` variables say.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request

from beyond_ai.config import Address, load_settings
from beyond_ai.gateway.embedded import embedded_gateway


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings = load_settings().settings.model_copy(update={"listen": Address("127.0.0.1", 0)})
    async with embedded_gateway(settings, dev=True) as gateway:
        app.mount("/gateway", gateway.admin)
        app.state.gateway = gateway
        yield


app = FastAPI(lifespan=lifespan)


@app.get("/")
async def home(request: Request) -> dict[str, str | None]:
    gateway = request.app.state.gateway
    return {"base_url": f"{gateway.url}/v1", "key": gateway.dev_key, "metrics": f"{request.base_url}gateway/metrics"}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", "8000")))
