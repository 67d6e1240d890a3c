"""What a supervisor and its workers say to each other, over a pair of sockets: a line of JSON for each message.

| supervisor says | worker says |
| --- | --- |
| `Start`: the configuration | `Assembled`: who the providers are |
| `Rows`, and a descriptor | `Ready`, or at any time before it `Failed` |
| `Publish` | `Published`; `Counted`, whenever plugins have counted something |
| `Leave` | `Retired`, when no new connection comes here |
"""

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, TypeAlias

import orjson
from pydantic import Field, TypeAdapter

from beyond_ai.gateway.report import ProviderFacts


@dataclass(frozen=True, slots=True)
class Start:
    """Begin. `values` is the configuration as it was read; the `first` worker logs about it."""

    values: Mapping[str, object]
    first: bool
    kind: Literal["start"] = "start"


@dataclass(frozen=True, slots=True)
class Rows:
    """The shared memory has so many `rows`, and `own` is the worker's. Its descriptor comes with this message."""

    rows: int
    own: int
    kind: Literal["rows"] = "rows"


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish what was counted, now."""

    number: int
    kind: Literal["publish"] = "publish"


@dataclass(frozen=True, slots=True)
class Leave:
    """`retire`: take no new connections. `stop`: and leave within the grace period. `cut`: leave at once."""

    kind: Literal["retire", "stop", "cut"]


@dataclass(frozen=True, slots=True)
class Assembled:
    """The gateway is put together, for these `providers`."""

    providers: Sequence[str]
    kind: Literal["assembled"] = "assembled"


@dataclass(frozen=True, slots=True)
class Ready:
    """Connections are accepted. `managed` is whether virtual keys are served."""

    plugins: Sequence[Mapping[str, object]]
    providers: Sequence[ProviderFacts]
    managed: bool
    compiled: bool
    kind: Literal["ready"] = "ready"


@dataclass(frozen=True, slots=True)
class Retired:
    """No new connection comes here any more."""

    kind: Literal["retired"] = "retired"


@dataclass(frozen=True, slots=True)
class Failed:
    """The start failed, for a reason that a person can mend."""

    message: str
    hint: str
    exit_code: int
    kind: Literal["failed"] = "failed"


@dataclass(frozen=True, slots=True)
class Counted:
    """All that plugins have counted in this worker: event, label, count."""

    events: Sequence[tuple[str, str, int]]
    kind: Literal["counted"] = "counted"


@dataclass(frozen=True, slots=True)
class Published:
    """What was counted before `Publish` came is in the row."""

    number: int
    kind: Literal["published"] = "published"


Order: TypeAlias = Start | Rows | Publish | Leave
Report: TypeAlias = Assembled | Ready | Retired | Failed | Counted | Published

ORDER: TypeAdapter[Order] = TypeAdapter(Annotated[Order, Field(discriminator="kind")])
REPORT: TypeAdapter[Report] = TypeAdapter(Annotated[Report, Field(discriminator="kind")])


def line(message: Order | Report) -> bytes:
    """MESSAGE as it is sent."""
    return orjson.dumps(message, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)


class Lines:
    """Reads orders from a blocking socket, with the descriptors that come with them."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._buffer = b""
        self.descriptors: list[int] = []

    def next(self) -> Order:
        """The next order. Raises EOFError when the other side is gone."""
        while b"\n" not in self._buffer:
            data, descriptors, _flags, _address = socket.recv_fds(self._socket, 65_536, 4)
            self.descriptors += descriptors
            if not data:
                raise EOFError
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\n")
        return ORDER.validate_json(text)
