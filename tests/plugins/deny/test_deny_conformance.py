"""Our deny store keeps the rules of its kind, on a real server."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.nats_server import NatsServer
from tests.plugins.deny.conftest import IMPATIENT, ControlPlane

from beyond_ai import Context, DenyReason, DenyScope, NatsSettings
from beyond_ai.testing.conformance import DenyStoreConformance

KEYS = {DenyScope.TENANT: "blackhole", DenyScope.KEY: "blackhole.key"}


class TestNats(DenyStoreConformance):
    plugin = "nats"

    @pytest.fixture(autouse=True)
    def _server(self, nats_server: NatsServer) -> None:
        self.server = nats_server

    def settings(self, folder: Path) -> Mapping[str, object]:
        return IMPATIENT.model_dump(exclude_defaults=True)

    def context(self, folder: Path) -> Context:
        return Context(nats=NatsSettings(url=self.server.url), snapshot_path=folder / "denied")

    async def deny(self, folder: Path, scope: DenyScope, number: int, reason: DenyReason) -> None:
        control_plane = await ControlPlane(self.server).connect()
        try:
            await control_plane.bucket()
            await control_plane.put(f"{KEYS[scope]}.{number}", reason.value.encode())
        finally:
            await control_plane.aclose()

    async def allow(self, folder: Path, scope: DenyScope, number: int) -> None:
        control_plane = await ControlPlane(self.server).connect()
        try:
            await control_plane.delete(f"{KEYS[scope]}.{number}")
        finally:
            await control_plane.aclose()
