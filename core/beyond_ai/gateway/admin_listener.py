"""The admin application on a socket of its own."""

from collections.abc import Awaitable, Callable

import uvicorn
from pydantic import SecretStr

from beyond_ai.gateway.admin import admin
from beyond_ai.gateway.admin_view import AdminView
from beyond_ai.gateway.front import Asgi, Message, Receive, Send
from beyond_ai.gateway.listener import Listener


def admin_listener(
    version: str,
    view: AdminView,
    token: Callable[[], SecretStr | None],
    refresh: Callable[[], Awaitable[None]] | None = None,
) -> Listener:
    """A server of the admin application over VIEW, guarded by what TOKEN is at each request.

    REFRESH is waited for before the metrics are read.
    """

    def text() -> str | None:
        secret = token()
        return None if secret is None else secret.get_secret_value()

    application = admin(version, view, text)
    return Listener(
        uvicorn.Config(
            application if refresh is None else _refreshing(application, refresh),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=1,
        )
    )


def _refreshing(application: Asgi, refresh: Callable[[], Awaitable[None]]) -> Asgi:
    async def refreshed(scope: Message, receive: Receive, send: Send) -> None:
        if scope.get("path") == "/metrics":
            await refresh()
        await application(scope, receive, send)

    return refreshed
