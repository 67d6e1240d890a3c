"""Our providers keep the rules of their kind."""

import pytest
from tests.providers.test_provider_records import FACTS

from beyond_ai.testing.conformance import ProviderConformance


class TestProviders(ProviderConformance):
    @pytest.fixture(autouse=True, params=FACTS)
    def _each(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(type(self), "plugin", request.param, raising=False)
