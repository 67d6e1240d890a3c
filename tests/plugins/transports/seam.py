"""Our transports between a relay and a provider, made as the gateway makes them."""

from collections.abc import Callable, Iterator
from typing import Final

from beyond_ai import Component, Transport
from beyond_ai.testing.transport_events import BOUND, Heard, TransportSeam, ask
from beyond_ai_plugins.transports import http1, httpx

COMPONENTS: Final[dict[str, Callable[[], Iterator[Component[Transport]]]]] = {
    "http1": http1.beyond_transports,
    "httpx": httpx.beyond_transports,
}


class Seam(TransportSeam):
    """The transport NAME."""

    def __init__(self, name: str) -> None:
        (component,) = COMPONENTS[name]()
        super().__init__(component.create)
        self.name = name


__all__ = ["BOUND", "COMPONENTS", "Heard", "Seam", "ask"]
