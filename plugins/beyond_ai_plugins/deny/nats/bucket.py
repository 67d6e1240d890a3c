"""A connection to NATS that ends for good when it breaks, and the key-value bucket on it.

The client of NATS can reconnect by itself. It is not allowed to: whoever follows the bucket must know of each break, to
resume exactly where it was.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import orjson
from nats.aio.client import Client
from nats.errors import NoServersError
from nats.js.api import DiscardPolicy, StorageType, StreamConfig, StreamInfo
from nats.js.client import JetStreamContext
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from beyond_ai import BeyondError, NatsSettings
from beyond_ai_plugins.deny.nats.login import login_options, servers_of, shown

MAX_BYTES: Final = 10 * 1024 * 1024
"""Of a bucket that is made here, where nobody made one before."""
MARKER_TTL: Final = 3600.0
"""Seconds for which such a bucket remembers that an entry expired; longer than most connections are away."""
_NAME_IN_USE: Final = 10058
"""The server's code for a stream that was made by someone else in the meantime."""

_log = logging.getLogger(__name__)


class LostError(Exception):
    """The connection, or what was followed on it, is over. The text says why."""


class Connection:
    """One connection. `lost` says why it is over; None while it is not."""

    def __init__(self, timeout: float) -> None:
        self.client = Client()
        self.timeout = timeout
        self.lost: str | None = None
        self.on_lost: set[Callable[[], None]] = set()
        self._problem: Exception | None = None

    @property
    def jetstream(self) -> JetStreamContext:
        """JetStream on this connection."""
        return self.client.jetstream(timeout=self.timeout)

    @property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the server."""
        version = self.client.connected_server_version
        return version.major, version.minor

    async def open(self, settings: NatsSettings) -> None:
        """Connect, to the first server that answers. Raises BeyondError for the login, LostError for the rest."""
        try:
            login = login_options(settings)
            async with asyncio.timeout(2 * self.timeout):
                await self.client.connect(
                    servers=servers_of(settings),
                    name="beyond-ai deny-set",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=self.timeout,  # type: ignore[arg-type]  # a fraction is fine
                    error_cb=self._on_error,
                    closed_cb=self._on_closed,
                    **login,
                )
        except TimeoutError:
            reason = self._said("no answer")
            await self.aclose()
            raise LostError(reason) from None
        except asyncio.CancelledError:
            await self.aclose()
            raise
        except BeyondError:
            raise
        except Exception as error:
            # that no server is left says nothing; why the last one was left does
            reason = self._said("no answer") if isinstance(error, NoServersError) else in_words(error)
            await self.aclose()
            raise LostError(reason) from error

    async def aclose(self) -> None:
        """Close it, whatever its state."""
        self.lost = self.lost or "closed"
        with contextlib.suppress(Exception):
            async with asyncio.timeout(self.timeout):
                await self.client.close()

    def _said(self, otherwise: str) -> str:
        """What the client reported of its own accord, which says more than the error that follows."""
        return otherwise if self._problem is None else in_words(self._problem)

    async def _on_error(self, error: Exception) -> None:
        self._problem = error
        _log.debug("NATS: %s", in_words(error))

    async def _on_closed(self) -> None:
        self.lost = self.lost or self._said("the server closed the connection")
        for notify in list(self.on_lost):
            notify()


@contextlib.asynccontextmanager
async def connected(settings: NatsSettings, timeout: float) -> AsyncIterator[Connection]:  # noqa: ASYNC109 - of each request
    """A connection for a while. TIMEOUT is for each request, in seconds. Raises BeyondError and LostError."""
    connection = Connection(timeout)
    await connection.open(settings)
    try:
        yield connection
    finally:
        await connection.aclose()


@dataclass(frozen=True, slots=True)
class BucketState:
    """What tells whether a bucket is the one it was, and whether anything in it has come or gone."""

    created: datetime | None
    messages: int
    bytes: int
    first: int
    last: int

    def resumes(self, before: "BucketState", revision: int) -> bool:
        """Whether all that happened after REVISION is still here, in the bucket that was seen BEFORE."""
        return self.created == before.created and self.first <= revision + 1 <= self.last + 1


class Bucket:
    """The bucket. Every method raises LostError when the server does not answer as it should."""

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name
        self.stream = f"KV_{name}"
        self.prefix = f"$KV.{name}."

    async def config(self) -> StreamConfig | None:
        """How the bucket is set up; None when there is no such bucket."""
        info = await self._info()
        return None if info is None else info.config

    async def require(self) -> StreamConfig:
        """How the bucket is set up; it is made where there is none. One that is there stays as it is."""
        for _ in range(2):
            config = await self.config()
            if config is not None:
                return config
            with _answered(self.connection):
                try:
                    return (await self.connection.jetstream.add_stream(self._new_config())).config
                except APIError as error:
                    if error.err_code != _NAME_IN_USE:
                        raise
        raise LostError(f"the bucket {self.name} is neither there nor can it be made")

    async def state(self) -> BucketState:
        """What is in the bucket now."""
        info = await self._info()
        if info is None:
            raise LostError(f"the bucket {self.name} is gone")
        state = info.state
        return BucketState(info.created, state.messages, state.bytes, state.first_seq, state.last_seq)

    async def server_time(self) -> float | None:
        """The server's clock, in seconds since 1970; None where it does not tell, before version 2.10."""
        with _answered(self.connection):
            subject = f"$JS.API.STREAM.INFO.{self.stream}"
            reply = await self.connection.client.request(subject, b"", timeout=self.connection.timeout)
            stamp = orjson.loads(reply.data).get("ts")
        return datetime.fromisoformat(stamp).timestamp() if isinstance(stamp, str) else None

    async def publish(self, key: str, value: bytes, headers: dict[str, str]) -> None:
        """Write VALUE under KEY."""
        with _answered(self.connection):
            await self.connection.jetstream.publish(
                f"{self.prefix}{key}", value, timeout=self.connection.timeout, headers=headers or None
            )

    async def _info(self) -> StreamInfo | None:
        with _answered(self.connection):
            try:
                return await self.connection.jetstream.stream_info(self.stream)
            except NotFoundError:
                return None

    def _new_config(self) -> StreamConfig:
        expiry = self.connection.version >= (2, 11)
        return StreamConfig(
            name=self.stream,
            subjects=[f"{self.prefix}>"],
            storage=StorageType.FILE,
            num_replicas=1,
            max_bytes=MAX_BYTES,
            max_msgs_per_subject=1,
            max_msgs=-1,
            max_consumers=-1,
            duplicate_window=120,
            discard=DiscardPolicy.NEW,
            allow_rollup_hdrs=True,
            deny_delete=True,
            allow_direct=True,
            allow_msg_ttl=True if expiry else None,
            subject_delete_marker_ttl=MARKER_TTL if expiry else None,
        )


@contextlib.asynccontextmanager
async def opened(settings: NatsSettings, timeout: float) -> AsyncIterator[Bucket]:  # noqa: ASYNC109 - of each request
    """The bucket of SETTINGS for a while, for a command. TIMEOUT as of `connected`. Raises BeyondError with a hint."""
    try:
        async with connected(settings, timeout) as connection:
            yield Bucket(connection, settings.bucket)
    except LostError as error:
        raise BeyondError(
            f"NATS at {shown(settings)}: {error}", "is it running? nats_url, nats_creds and config_bucket say where"
        ) from None


@contextlib.contextmanager
def _answered(connection: Connection) -> Iterator[None]:
    """Whatever the client raises within is a LostError with a reason."""
    try:
        yield
    except LostError:
        raise
    except Exception as error:
        raise LostError(connection.lost or in_words(error)) from error


def in_words(error: BaseException) -> str:
    """ERROR in a few words, on one line."""
    if isinstance(error, ServiceUnavailableError):
        return "JetStream does not answer: is it enabled on the server, and for this account?"
    if isinstance(error, APIError) and error.description:
        return str(error.description)
    text = " ".join(str(error).split()).removeprefix("nats: ")
    return text or type(error).__name__
