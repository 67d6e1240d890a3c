"""Our transports keep the rules of their kind."""

from beyond_ai.testing.conformance import TransportConformance


class TestHttp1(TransportConformance):
    plugin = "http1"


class TestHttpx(TransportConformance):
    plugin = "httpx"
