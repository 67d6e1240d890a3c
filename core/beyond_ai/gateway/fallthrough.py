"""Requests that are not for a provider: handed to the ASGI application, by uvicorn's own request-response cycle."""

import asyncio
import logging
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.utils import get_local_addr, get_remote_addr, is_ssl

from beyond_ai.gateway.request import Request

if TYPE_CHECKING:
    from beyond_ai.gateway.client import ClientConnection


class AsgiExchange:
    """One request served by the ASGI application; the scope's state has `request_id` and `request`."""

    def __init__(
        self,
        client: "ClientConnection",
        request: Request,
        path: bytes,
        query: bytes,
        request_id: str,
        *,
        keep_alive: bool,
    ) -> None:
        self._client = client
        self._tasks = client.server_state.tasks
        self._application = client.config.loaded_app
        self.flow = FlowControl(client.transport)
        scope: Any = {
            "type": "http",
            "asgi": {"version": client.config.asgi_version, "spec_version": "2.3"},
            "http_version": "1.0" if request.http10 else "1.1",
            "server": get_local_addr(client.transport),
            "client": get_remote_addr(client.transport),
            "scheme": "https" if is_ssl(client.transport) else "http",
            "root_path": client.config.root_path,
            "method": request.method.decode("ascii"),
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in request.headers],
            "state": {**client.app_state, "request_id": request_id, "request": request},
        }
        metrics = client.gateway.metrics
        if metrics.resting:
            metrics.stir()
        self._cycle = RequestResponseCycle(
            scope=scope,
            transport=client.transport,
            flow=self.flow,
            logger=logging.getLogger("uvicorn.error"),
            access_logger=logging.getLogger("uvicorn.access"),
            access_log=False,
            default_headers=client.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=request.expects_continue,
            keep_alive=keep_alive,
            on_response=client.asgi_answered,
        )

    def start(self) -> None:
        """Run the application."""
        task = asyncio.get_running_loop().create_task(self._cycle.run_asgi(self._application))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def body(self, data: bytes) -> None:
        """Take the next bytes of the request body."""
        if self._cycle.response_complete:
            return
        self._cycle.body += data
        if len(self._cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        self._cycle.message_event.set()

    def request_end(self) -> None:
        """The request is complete."""
        self._cycle.more_body = False
        self._cycle.message_event.set()

    def client_lost(self) -> None:
        """The client is gone."""
        if not self._cycle.response_complete:
            self._cycle.disconnected = True
        self._cycle.message_event.set()
        self.flow.resume_writing()
