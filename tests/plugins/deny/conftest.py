"""A server for each test, and stores that watch it with little patience."""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.js.api import StorageType, StreamConfig
from nats.js.client import JetStreamContext
from tests.nats_server import OLDER, NatsServer, Partition, binary, until

from beyond_ai import DenyReason, DenySet, NatsSettings
from beyond_ai_plugins.deny.nats.plugin import NatsConfig
from beyond_ai_plugins.deny.nats.store import NatsDenyStore

STREAM = "KV_ai-gateway"
SUBJECT = "$KV.ai-gateway."
IMPATIENT = NatsConfig(heartbeat_secs=0.2, retry_secs=0.05, retry_max_secs=0.2, timeout_secs=1)


class Watch:
    """A store with its set, as the gateway has them."""

    def __init__(self, server_url: str, snapshot: Path | None = None, config: NatsConfig = IMPATIENT) -> None:
        self.denied = DenySet()
        self.store = NatsDenyStore(NatsSettings(url=server_url), snapshot, config)

    async def start(self) -> "Watch":
        await self.store.start(self.denied.updater())
        return self

    def tenant(self, number: int) -> str | None:
        return _word(self.denied.reason(number, None))

    def key(self, number: int) -> str | None:
        return _word(self.denied.reason(2**64 - 1, number))

    async def ready(self) -> "Watch":
        await until(lambda: self.store.connected, what="the store did not connect")
        return self

    async def lost(self) -> None:
        await until(lambda: not self.store.connected, what="the store did not notice")

    async def denies(self, *tenants: int) -> None:
        """Wait until exactly these are in the set."""
        await until(
            lambda: len(self.denied) == len(tenants) and all(self.tenant(number) for number in tenants),
            what=f"{tenants} are not what is denied",
        )


def _word(reason: DenyReason | None) -> str | None:
    return None if reason is None else reason.value


class ControlPlane:
    """What writes into the bucket: a client of its own, made anew after the server was."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self.client: Client | None = None

    @property
    def jetstream(self) -> JetStreamContext:
        assert self.client is not None
        return self.client.jetstream(timeout=5)

    async def connect(self) -> "ControlPlane":
        await self.aclose()
        self.client = await nats.connect(self._server.url, allow_reconnect=False)
        return self

    async def aclose(self) -> None:
        if self.client is not None:
            await self.client.close()

    async def bucket(self, **settings: object) -> None:
        await self.jetstream.add_stream(
            StreamConfig(
                name=STREAM,
                subjects=[f"{SUBJECT}>"],
                max_msgs_per_subject=1,
                allow_rollup_hdrs=True,
                storage=StorageType.FILE,
            ),
            **settings,
        )

    async def put_bucket_with(self, *tenants: int) -> None:
        await self.bucket()
        for number in tenants:
            await self.put(f"blackhole.{number}")

    async def put(self, key: str, value: bytes = b"spend", **headers: str) -> int:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return (await self.jetstream.publish(f"{SUBJECT}{key}", value, headers=named or None)).seq

    async def delete(self, key: str, operation: str = "DEL") -> int:
        return await self.put(key, b"", KV_Operation=operation)


@pytest.fixture
def nats_program() -> str:
    return binary()


@pytest.fixture
def older_program() -> str:
    if not os.environ.get(OLDER):
        pytest.skip(f"{OLDER} names no older nats-server")
    return os.environ[OLDER]


@pytest.fixture
def nats_server(tmp_path: Path, nats_program: str) -> Iterator[NatsServer]:
    with NatsServer(tmp_path, program=nats_program) as server:
        yield server


@pytest.fixture
async def control_plane(nats_server: NatsServer) -> AsyncIterator[ControlPlane]:
    control_plane = await ControlPlane(nats_server).connect()
    yield control_plane
    await control_plane.aclose()


@pytest.fixture
async def partition(nats_server: NatsServer) -> AsyncIterator[Partition]:
    """A healthy way to the server."""
    partition = Partition(nats_server.port)
    await partition.heal()
    yield partition
    await partition.cut()


@pytest.fixture
async def watch(nats_server: NatsServer) -> AsyncIterator[Callable[..., Watch]]:
    """Makes stores, and closes them in the end."""
    made: list[Watch] = []

    def make(snapshot: Path | None = None, url: str = nats_server.url, **settings: object) -> Watch:
        config = IMPATIENT.model_copy(update=settings)
        made.append(Watch(url, snapshot, config))
        return made[-1]

    yield make
    for found in made:
        await found.store.aclose()
