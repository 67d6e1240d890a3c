"""Which proxy leads to a provider: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case of letters."""

import ssl
from collections.abc import Mapping
from typing import Final
from urllib.request import getproxies, proxy_bypass

import httpcore
import httpx

from beyond_ai import ConfigError

SCHEMES: Final = frozenset({"http", "https", "socks5", "socks5h"})


class Proxies:
    """The proxies of the environment as it was when the transport was made; where it names none, the system's own."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        """for the TLS to the proxy itself"""
        named: Mapping[str, str] = getproxies()
        self._any = self._proxy("all", named.get("all"))
        self._by_tls = {False: self._proxy("http", named.get("http")), True: self._proxy("https", named.get("https"))}

    def for_host(self, host: str, port: int, *, tls: bool) -> httpcore.Proxy | None:
        """The proxy for HOST; None to connect directly."""
        proxy = self._by_tls[tls] or self._any
        if proxy is None or proxy_bypass(f"{host}:{port}"):
            return None
        return proxy

    def _proxy(self, kind: str, value: str | None) -> httpcore.Proxy | None:
        if not value:
            return None
        try:
            parsed = httpx.Proxy(httpx.URL(value if "://" in value else f"http://{value}"))
        except (ValueError, httpx.InvalidURL):
            raise _unusable(kind) from None
        url = parsed.url
        if url.scheme not in SCHEMES:
            raise _unusable(kind)
        return httpcore.Proxy(
            url=httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            auth=parsed.raw_auth,
            ssl_context=self._context if url.scheme == "https" else None,
        )


def _unusable(kind: str) -> ConfigError:
    """The value is not shown: it may hold a password."""
    return ConfigError(
        f"the {kind.upper()}_PROXY of the environment is not the URL of a proxy",
        "write it as http://host:port, https://host:port or socks5://host:port, with user:password@ where needed",
    )
