"""What a scripted upstream may do while it serves a request: one small value a step.

A script is a sequence of steps, played in order for one request:

    upstream.play(ReadBody(), Send(head), Until(client_has_it), Send(rest), Close())

A script that ends without `Close` or `Reset` leaves the connection open for the next request.
"""

import asyncio
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Send:
    """Write DATA exactly as it is and wait until the kernel has all of it (over TLS, all but some 64 KiB)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class ReadBody:
    """Wait until SIZE bytes of the request's body have come, or all of it when SIZE is None."""

    size: int | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait SECONDS. Prefer `Until`: a test that waits for time is slow, and wrong on a busy machine."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Until:
    """Wait until EVENT is set, in the upstream's event loop."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class Tell:
    """Set EVENT: the script has come this far."""

    event: asyncio.Event


@dataclass(frozen=True, slots=True)
class StopReading:
    """Read nothing more from the connection, so that the client's writes fill the kernel's buffers and stall.

    While reading is stopped the client's hang-up is not noticed either.
    """


@dataclass(frozen=True, slots=True)
class ResumeReading:
    """Read from the connection again."""


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN but go on reading (TCP only: TLS has no half-close)."""


@dataclass(frozen=True, slots=True)
class Close:
    """Close the connection in good order: everything written goes out, then FIN."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection at once: RST, and what the kernel still held is lost."""


Step: TypeAlias = Send | ReadBody | Pause | Until | Tell | StopReading | ResumeReading | HalfClose | Close | Reset
