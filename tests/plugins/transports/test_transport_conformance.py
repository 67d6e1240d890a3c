"""Our transports keep the rules of their kind."""

from beyond_ai.testing.conformance import TransportConformance


class TestHttp1(TransportConformance):
    plugin = "http1"
    keeps_connections = repeats_attempts = True


class TestHttpx(TransportConformance):
    plugin = "httpx"
    keeps_connections = repeats_attempts = True
