"""Scanners: read what the gateway must know out of a request body as it streams by, in constant memory.

Which scanner serves is `scanner` in the configuration; `auto` takes the one with the highest `preference`, so a
native scanner replaces the Python one by being installed. This one sees nothing:

    from beyond_ai import Component, ScannerFactory, hookimpl

    class Blind:
        model = stream = None
        options = ()
        open_option = root_end = -1
        root_empty = True
        words = 0
        def feed(self, data): pass

    @hookimpl
    def beyond_scanners():
        yield Component(name="blind", summary="sees nothing", create=lambda context: ScannerFactory(Blind, -1))
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec

OPTIONS_KEPT: Final = 16
"""How many values of `stream_options` a scanner tells of, so that no body makes it grow."""


@runtime_checkable
class Scanner(Protocol):
    """Reads the root members `model`, `stream` and `stream_options` of one JSON object, and counts its words.

    State survives any chunk border, and what the attributes say never depends on where the borders were. Only keys at
    depth 1 of a root object count; a root array never matches. Offsets are bytes from the body's first. A body that is
    not JSON is no error: the attributes then mean little, and the provider will refuse it. Of several roots, one after
    the other, `model` is looked for in each; the rest is about the first.

    A value of `stream` or `stream_options` is what stands between its key with the colon and the comma or bracket that
    ends the member, surrounding white space excluded; until then it is not complete.
    """

    @property
    def model(self) -> bytes | None:
        """The first `model` that is a string, cut at 256 bytes, not yet checked to be UTF-8; None until it is complete.

        Escapes are not decoded, in the value and in this key: the backslash is dropped and the next byte kept.
        """

    @property
    def stream(self) -> bool | None:
        r"""The last complete `stream`: True and False for these literals, None for any other value and while none is.

        This key, and `stream_options`, are recognised in every spelling that JSON allows, `\u0073tream` too.
        """

    @property
    def options(self) -> Sequence[tuple[int, int]]:
        """Start and end of each complete value of `stream_options`; only of the first `OPTIONS_KEPT` of them."""

    @property
    def open_option(self) -> int:
        """Where a value of `stream_options` starts that is not complete yet; -1 when none is open."""

    @property
    def root_end(self) -> int:
        """Where the closing bracket of the root is; -1 until it was seen, and when the root is no object."""

    @property
    def root_empty(self) -> bool:
        """Whether no key of the root object has begun so far."""

    @property
    def words(self) -> int:
        """How often an ASCII letter is followed by a space: no more than the tokens of any text, in any tokenizer."""

    def feed(self, data: bytes) -> None:
        """Look at the next DATA of the body, of any length."""
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
