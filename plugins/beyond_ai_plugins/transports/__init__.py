"""Transports to providers: `http1`, the default, and `httpx` for HTTP/2 and proxies."""
