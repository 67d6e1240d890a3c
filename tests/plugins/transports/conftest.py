"""Each test of the seam runs against both transports, and without the proxies of whoever runs it."""

from collections.abc import AsyncIterator

import pytest
from tests.plugins.transports.certificates import authority
from tests.plugins.transports.seam import COMPONENTS, Seam

from beyond_ai.testing import ScriptedUpstream


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
async def provider() -> AsyncIterator[ScriptedUpstream]:
    """A provider in the test's own loop."""
    async with ScriptedUpstream() as running:
        yield running


@pytest.fixture(params=sorted(COMPONENTS))
async def seam(request: pytest.FixtureRequest, provider: ScriptedUpstream) -> AsyncIterator[Seam]:
    """Closed before the provider is, so that this does not wait for idle connections."""
    seam = Seam(request.param)
    yield seam
    await seam.aclose()


__all__ = ["authority"]
