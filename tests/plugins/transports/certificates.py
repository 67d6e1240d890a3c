"""A certificate authority for one test, and contexts of servers that it vouches for."""

import ssl
from pathlib import Path

import pytest
import trustme


class Authority:
    """An authority that is trusted once `trust` was called; a transport that is made earlier does not know it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self._file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self._file))

    def trust(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Make this authority the system's only root."""
        monkeypatch.setenv("SSL_CERT_FILE", str(self._file))

    def context(self, name: str = "127.0.0.1", protocols: tuple[str, ...] = ()) -> ssl.SSLContext:
        """A server's context with a certificate for NAME."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._ca.issue_cert(name).configure_cert(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
