"""HTTP messages as they arrived, for tests to look at: nothing merged, sorted or renamed."""

from dataclasses import dataclass, field

import orjson


@dataclass(slots=True, eq=False, kw_only=True)
class Message:
    """What a request and a response have in common; `body` grows while it comes.

    Attributes:
        head: the raw bytes up to the empty line, which is included.
        headers: name and value pairs in order, repeats included, names in the sender's spelling.
        body: transfer coding removed, content coding kept.
        complete: the whole message has come, as its framing says.
    """

    head: bytes = b""
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def names(self) -> list[bytes]:
        """The names of all headers, in order, in lower case."""
        return [name.lower() for name, _ in self.headers]

    def values(self, name: bytes) -> list[bytes]:
        """The values of every header NAME, in order; NAME in lower case."""
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name: bytes) -> bytes | None:
        """The value of the only header NAME; None without one. ValueError when it is repeated."""
        values = self.values(name)
        if len(values) > 1:
            raise ValueError(f"header {name!r} came {len(values)} times")
        return values[0] if values else None

    def json(self) -> object:
        """The body, parsed as JSON."""
        return orjson.loads(self.body)


@dataclass(slots=True, eq=False, kw_only=True)
class ReceivedRequest(Message):
    """A request that a scripted upstream received.

    Attributes:
        connection: number of the connection, counted from 0.
        target: path and query exactly as they stood in the request line.
        answered: the script was played to its end.
        aborted: the client closed the connection before that.
    """

    connection: int
    method: bytes = b""
    target: bytes = b""
    answered: bool = False
    aborted: bool = False


@dataclass(slots=True, eq=False, kw_only=True)
class WireResponse(Message):
    """A response that a wire client received.

    Attributes:
        status, reason: from the status line; 0 and empty until the head is whole.
        interim: status codes of the 1xx responses ahead of it.
        broken: the connection ended before the response did.
    """

    status: int = 0
    reason: bytes = b""
    interim: list[int] = field(default_factory=list)
    broken: bool = False
