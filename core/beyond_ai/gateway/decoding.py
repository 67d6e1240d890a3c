"""Decodes an answer that its provider compressed although identity was asked for, so that it is metered all the same.

What is relayed is not touched: the client gets the bytes as they came, and a copy of the decoded ones goes to the tap.
They are decoded as they arrive, in steps, with bounds on the memory and on the work that a hostile body can cost. Past
a bound, and where the data is broken, decoding stops for good; what was decoded by then stays in the tap.

Sources: RFC 9110 section 8.4 (codings and their order), RFC 1950 to 1952 (zlib, deflate, gzip), RFC 7932 (br), RFC 8878
and RFC 9659 (zstd and its window).
"""

import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_CODINGS: Final = 3
"""Codings of one body, as clients that decode lists allow for; each may hold a window of up to 16 MiB."""

PIECE_BYTES: Final = 16 * 1024
"""How much is handed to a decoder at a time. What it has not used yet is copied at each step: long input is costly."""

STEP_BYTES: Final = 32_752
"""How much a decoder gives at a time: brotli's first block, since its limit is kept by whole blocks
(https://github.com/google/brotli/issues/1396)."""

ZSTD_WINDOW_LOG: Final = 23
"""8 MiB, which RFC 9659 section 3 lets a decoder be content with. brotli's window is 16 MiB at most by its format."""

RATIO: Final = 128
"""Decoded bytes that are allowed for each that arrives. Streams of events repeat themselves: recorded ones are up to 92
times as long as their brotli form. A bomb expands a thousandfold (gzip) or far more."""

BURST_BYTES: Final = 16 * 1024 * 1024
"""Decoded bytes beyond the ratio, for a stream that says one token over and over. With `RATIO` it bounds how long one
feed can take: these are decoded in 7 to 25 ms."""

MAX_DECODED: Final = 512 * 1024 * 1024
"""Decoded bytes of a body in all: three times the longest answers, 2048 embeddings of 3072 numbers each."""

MEMBER_COST: Final = 16 * 1024
"""What the beginning of a member counts as, in decoded bytes: a body of nothing but beginnings is work as well."""


class _UndecodableError(Exception):
    """Decoding cannot, or must not, go on; the text says why."""


# One member: compressed data from its header to its own end


class _Member(Protocol):
    """What decodes one member, step by step."""

    @property
    def ended(self) -> bool:
        """Whether the member's own end was reached."""

    @property
    def more(self) -> bool:
        """Whether there is, or may be, more output without more data."""

    @property
    def rest(self) -> bytes:
        """What followed the end."""

    def step(self, data: bytes) -> bytes:
        """At most `STEP_BYTES` of the output; DATA is empty as long as there is `more`."""


class _Zlib:
    """A gzip member, or the one zlib or raw deflate stream, by WBITS as zlib has it."""

    __slots__ = ("_engine", "more")

    def __init__(self, wbits: int) -> None:
        self._engine = zlib.decompressobj(wbits)
        self.more = False

    @property
    def ended(self) -> bool:
        return self._engine.eof

    @property
    def rest(self) -> bytes:
        return self._engine.unused_data

    def step(self, data: bytes) -> bytes:
        engine = self._engine
        output = engine.decompress(data or engine.unconsumed_tail, STEP_BYTES)
        self.more = bool(engine.unconsumed_tail) or len(output) == STEP_BYTES
        return output


class _Zstd:
    """A zstd frame; a skippable one is a frame without output."""

    __slots__ = ("_engine",)

    def __init__(self) -> None:
        self._engine = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: ZSTD_WINDOW_LOG})

    @property
    def ended(self) -> bool:
        return self._engine.eof

    @property
    def more(self) -> bool:
        return not self._engine.needs_input

    @property
    def rest(self) -> bytes:
        return self._engine.unused_data

    def step(self, data: bytes) -> bytes:
        return self._engine.decompress(data, STEP_BYTES)


class _BrotliEngine(Protocol):
    """What is used of `brotli.Decompressor`, which comes without types."""

    def process(self, data: bytes, /, output_buffer_limit: int) -> bytes: ...

    def can_accept_more_data(self) -> bool: ...

    def is_finished(self) -> bool: ...


class _Brotli:
    """The one brotli stream of a body. Bytes after its end are an error to the engine when they come with the end."""

    __slots__ = ("_engine", "more")

    rest: Final = b""

    def __init__(self) -> None:
        self._engine: _BrotliEngine = brotli.Decompressor()
        self.more = False

    @property
    def ended(self) -> bool:
        return self._engine.is_finished()

    def step(self, data: bytes) -> bytes:
        output = self._engine.process(data, output_buffer_limit=STEP_BYTES)
        self.more = len(output) >= STEP_BYTES or not self._engine.can_accept_more_data()
        return output


# The codings


@dataclass(frozen=True, slots=True)
class Coding:
    """A content coding."""

    name: str
    mark: int
    """How many bytes tell how a member is to be decoded."""
    begin: Callable[[bytes], _Member | None]
    """A decoder of the member that these bytes begin; None when they begin none."""
    several: bool
    """Whether a member may follow another."""


def _begin_gzip(data: bytes) -> _Member | None:
    return _Zlib(16 + zlib.MAX_WBITS) if data.startswith(b"\x1f\x8b") else None


def _begin_deflate(data: bytes) -> _Member:
    """Decode deflate with the zlib header that belongs there, or without, as some old servers send it.

    No encoder writes raw data that looks like the header: it would be a stored block with padding that is not zero.
    """
    method, flags = data[0], data[1]
    wrapped = method & 0x8F == 0x08 and (method << 8 | flags) % 31 == 0
    return _Zlib(zlib.MAX_WBITS if wrapped else -zlib.MAX_WBITS)


def _begin_br(_data: bytes) -> _Member:
    return _Brotli()


def _begin_zstd(data: bytes) -> _Member | None:
    skippable = data[1:4] == b"\x2a\x4d\x18" and data[0] & 0xF0 == 0x50
    return _Zstd() if skippable or data.startswith(b"\x28\xb5\x2f\xfd") else None


_GZIP: Final = Coding("gzip", 2, _begin_gzip, several=True)

CODINGS: Final[Mapping[bytes, Coding]] = MappingProxyType(
    {
        b"gzip": _GZIP,
        b"x-gzip": _GZIP,
        b"deflate": Coding("deflate", 2, _begin_deflate, several=False),
        b"br": Coding("br", 1, _begin_br, several=False),
        b"zstd": Coding("zstd", 4, _begin_zstd, several=True),
    }
)
"""By their names in `Content-Encoding`, in lower case."""


class _Budget:
    """How much may be decoded: earned by what arrives, spent on what comes out of any of the decoders."""

    __slots__ = ("_credit", "_left")

    def __init__(self) -> None:
        self._credit = BURST_BYTES
        self._left = MAX_DECODED

    def earn(self, size: int) -> None:
        """Take note of SIZE more bytes that arrived. What was not spent is kept up to a burst, and no further."""
        self._credit = min(self._credit + RATIO * size, BURST_BYTES)

    def spend(self, size: int) -> None:
        """Pay for SIZE bytes; raises `_UndecodableError` when there is no more."""
        self._credit -= size
        self._left -= size
        if self._credit < 0:
            raise _UndecodableError(f"the body expands to more than {RATIO} times its size")
        if self._left < 0:
            raise _UndecodableError(f"the body expands to more than {MAX_DECODED >> 20} MiB")


class _Decoder:
    """Undoes one coding of a body. What follows its last member is ignored, as browsers do."""

    __slots__ = ("_budget", "_coding", "_ended", "_held", "_member", "_members")

    def __init__(self, coding: Coding, budget: _Budget) -> None:
        self._coding = coding
        self._budget = budget
        self._member: _Member | None = None
        self._members = 0
        self._held = b""
        self._ended = False

    @property
    def complete(self) -> bool:
        """Whether nothing is missing: a member has ended, or there never was any data."""
        return self._member is None and (self._members > 0 or not self._held)

    def decode(self, data: bytes) -> Iterator[bytes]:
        """What DATA adds, in pieces of at most `STEP_BYTES`; raises `_UndecodableError`."""
        while not self._ended:
            try:
                member = self._member
                if member is None:
                    data = self._held + data
                    member = self._begin(data)
                    if member is None:
                        return
                output = member.step(data)
            except _UndecodableError:
                raise
            except Exception as error:  # a library's own, on bytes that may be anybody's
                raise _UndecodableError(f"broken {self._coding.name} data: {error}") from error
            if output:
                self._budget.spend(len(output))
                yield output
            if member.ended:
                data = member.rest
                self._member = None
                self._members += 1
                self._ended = not self._coding.several
            elif member.more and (output or data):
                data = b""
            else:
                return

    def _begin(self, data: bytes) -> _Member | None:
        """Begin the member that DATA begins; None when that cannot be told yet, or when it is no member's beginning."""
        coding = self._coding
        if len(data) < coding.mark:
            self._held = data
            return None
        self._held = b""
        self._budget.spend(MEMBER_COST)
        self._member = coding.begin(data)
        if self._member is None:
            if not self._members:
                raise _UndecodableError(f"the body is not {coding.name} data")
            self._ended = True
        return self._member


# The tap


class Fed(Protocol):
    """Where the decoded bytes go: a `Tap`, as a rule."""

    @property
    def feed(self) -> Callable[[bytes], None]:
        """Take the next bytes."""


class DecodingTap:
    """Feeds a tap with one body, decoded.

    `feed` never raises and holds, beside the decoders' windows, at most `STEP_BYTES` for each coding. It decodes at
    most `BURST_BYTES` and `RATIO` times the data that it was given, whatever the data.
    """

    __slots__ = ("_budget", "_decoders", "_tap", "complete", "reason")

    def __init__(self, tap: Fed, codings: Sequence[Coding]) -> None:
        """TAP gets what is decoded; CODINGS are in the order in which they were applied."""
        self._tap = tap
        self._budget = _Budget()
        self._decoders = [_Decoder(coding, self._budget) for coding in reversed(codings)]
        self.complete = False
        """After `end`: whether the data was decoded up to its own end. Else the end of the answer is not in TAP."""
        self.reason: str | None = None
        """Why decoding stopped: fit for a log, without a byte of the body. None while it has not."""

    @property
    def failed(self) -> bool:
        """Whether decoding stopped before the end: nothing more goes to the tap."""
        return self.reason is not None

    def feed(self, data: bytes) -> None:
        """Take the next DATA of the body as it was sent, of any length."""
        if not self._decoders:
            return
        try:
            for start in range(0, len(data), PIECE_BYTES):
                piece = data[start : start + PIECE_BYTES]
                self._budget.earn(len(piece))
                self._pass_on(piece, 0)
        except _UndecodableError as error:
            self.stop(str(error))

    def end(self) -> None:
        """The body is over: let go of the decoders. All that can be decoded was, as it came."""
        if self._decoders:
            self.complete = all(decoder.complete for decoder in self._decoders)
            self._decoders.clear()

    def stop(self, reason: str) -> None:
        """Decode no more, for REASON, and let go of the decoders."""
        self.reason = reason
        self._decoders.clear()

    def _pass_on(self, data: bytes, stage: int) -> None:
        if stage == len(self._decoders):
            self._tap.feed(data)
            return
        for piece in self._decoders[stage].decode(data):
            self._pass_on(piece, stage + 1)


def decoding_tap(content_encoding: bytes, tap: Fed) -> DecodingTap | None:
    """What feeds TAP with a body of that CONTENT_ENCODING, decoded; None when it is not encoded.

    CONTENT_ENCODING is the header's value; several headers are joined by commas. With an unknown coding, or more than
    `MAX_CODINGS`, what is returned has failed already.
    """
    names = [name for item in content_encoding.split(b",") if (name := item.strip(b" \t").lower())]
    names = [name for name in names if name != b"identity"]
    if not names:
        return None
    if len(names) > MAX_CODINGS:
        return _undecodable(tap, f"the body has {len(names)} codings, and at most {MAX_CODINGS} are decoded")
    unknown = next((name for name in names if name not in CODINGS), None)
    if unknown is not None:
        return _undecodable(tap, f"unknown content coding {unknown[:32].decode('ascii', 'backslashreplace')!r}")
    return DecodingTap(tap, [CODINGS[name] for name in names])


def _undecodable(tap: Fed, reason: str) -> DecodingTap:
    stopped = DecodingTap(tap, ())
    stopped.stop(reason)
    return stopped
