"""The gateway as a part of another program, in its event loop.

It keeps a listener of its own: the relay works below ASGI, and what an ASGI server would make of a request costs more
than relaying it. The admin application is plain ASGI, which the program can mount where it likes.

    async with embedded_gateway(load_settings(Path("gateway.toml")).settings) as gateway:
        print(gateway.url)
"""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from beyond_ai.config import Settings
from beyond_ai.gateway.admin import admin
from beyond_ai.gateway.alone import ProcessView
from beyond_ai.gateway.assembly import assemble
from beyond_ai.gateway.front import Asgi
from beyond_ai.gateway.server import ClientServer
from beyond_ai.gateway.sockets import bind, url_of
from beyond_ai.version import VERSION


@dataclass(frozen=True, slots=True)
class EmbeddedGateway:
    """A gateway that serves.

    Attributes:
        url: of its listener.
        admin: the admin application: health, metrics, plugins, providers, guarded by the setting `admin_token`.
        dev_key: a virtual key of tenant 1, in dev mode; else None.
    """

    url: str
    admin: Asgi
    dev_key: str | None = field(repr=False)


@contextlib.asynccontextmanager
async def embedded_gateway(settings: Settings, *, dev: bool = False) -> AsyncIterator[EmbeddedGateway]:
    """Serve as SETTINGS say while the context is open. Raises BeyondError where a gateway would not start.

    `metrics_listen` and `workers` mean nothing here, and signals, logging and garbage collection stay the program's.
    At the end requests that are under way have `shutdown_grace_period_secs`. With DEV the embedded provider answers
    wherever there is no pool key, as with `gateway --dev`.
    """
    assembly = assemble(settings, dev=dev)
    dev_key = None if assembly.dev_credential is None else assembly.dev_credential.credential
    with contextlib.closing(bind(settings.listen)) as sock:
        server = ClientServer(assembly, VERSION, sock, lambda _events: None)
        view = ProcessView(assembly, lambda: server.leaving, server.publisher.publish)
        await server.start(owns_process=False)
        try:
            yield EmbeddedGateway(url_of(sock), admin(VERSION, view, lambda: _secret(settings)), dev_key)
        finally:
            server.stop()
            await server.ended()


def _secret(settings: Settings) -> str | None:
    return None if settings.admin_token is None else settings.admin_token.get_secret_value()
