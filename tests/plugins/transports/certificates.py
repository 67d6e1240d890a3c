"""A certificate authority for one test, and contexts of servers that it vouches for."""

import ssl
from datetime import UTC, datetime, timedelta
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

    def context(
        self, name: str = "127.0.0.1", protocols: tuple[str, ...] = (), *, days: int | None = None
    ) -> ssl.SSLContext:
        """A server's context with a certificate for NAME that ends in DAYS; by default it outlives every test."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ends = None if days is None else datetime.now(UTC) + timedelta(days=days)
        self._ca.issue_cert(name, not_after=ends).configure_cert(context)
        if protocols:
            context.set_alpn_protocols(list(protocols))
        return context


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)
