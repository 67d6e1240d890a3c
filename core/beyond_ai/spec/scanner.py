"""Scanners: read the model's name out of a request body as it streams by, in constant memory.

Which scanner serves is `scanner` in the configuration; `auto` takes the one with the highest `preference`, so a
native scanner replaces the Python one by being installed.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec


@runtime_checkable
class Scanner(Protocol):
    """Looks for the string member `model` at the root of one JSON object.

    State survives any chunk border. Only keys at depth 1 of a root object count; a root array never matches. A
    value that is not a string is passed over and the search goes on; the first string wins and ends it. Escapes
    are not decoded: the backslash is dropped and the next byte kept. At most 256 bytes of a key or value are held.
    """

    model: bytes | None
    """The value found, at most 256 bytes, not yet checked to be UTF-8; None until then."""

    def feed(self, data: bytes) -> None:
        """Look at the next DATA of the body; a no-op once `model` is set."""
        ...


@dataclass(frozen=True, slots=True)
class ScannerFactory:
    """How to make a scanner for one body, and how good it is beside others (`python` is 0)."""

    scanner: Callable[[], Scanner]
    preference: int = 0


class ScannerHooks:
    """The hook of the group `beyond_ai.scanners`."""

    @hookspec
    def beyond_scanners(self) -> Iterable[Component[ScannerFactory]]:  # type: ignore[empty-body]
        """Yield the scanners that this plugin adds.

        Called once, when a program starts. A scanner whose `create` raises is set aside and the next best serves.
        """
