"""What an answer cost at least whose usage never came: cut short, cancelled, or without a report.

An estimate errs low. Its input is the words of the request's body (`Scanner.words`), its output the tokens that the
text which was relayed has at least (`generated`); what the provider did say is a floor, and Anthropic's input and
cache counts, which come first, stand as they are. Cache and reasoning stay what they were: nothing shows them.

Words are fewer than tokens in any prompt, and a body adds little that is none: its keys hold no spaces, an image or a
file in base64 neither, and a schema's descriptions are read by the model as its keys and brackets are, which count
nothing here. What may still be too much: words of a body that the provider leaves out of the prompt (`metadata`, the
reasoning of earlier turns, what is cut off to fit the context or an embedding model's length, a schema that only
constrains the output). And on Anthropic's wire `input_tokens` leaves out what came from a cache: before `message_start`
nothing tells, and all words are given as input, a lower bound of the prompt but not of what was uncached.

Of a stream that is longer than what the tap keeps, the middle is unseen. It is taken to be as sparse as the sparsest
8 KiB that are there, and for nothing where it may hold something else: on Anthropic's wire unless one block spans it
(the results of a web search are blocks too), on Responses beyond the number of events that the sequence says.
"""

import sys
from collections.abc import Sequence
from typing import Final

import orjson
from pydantic_core import from_json

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage.counts import Usage
from beyond_ai.gateway.usage.events import Piece
from beyond_ai.gateway.usage.fragments import load_object
from beyond_ai.gateway.usage.generated import Event, Generated, read_body, read_event
from beyond_ai.gateway.usage.wire import Wire
from beyond_ai.spec.token_count import U64_MAX, token_count

_SPAN_BYTES: Final = 8 * 1024
"""How much of a stream is looked at together to see how dense it is: some 30 to 80 events."""

_PREAMBLE_END: Final = 1
"""The sequence number of `response.in_progress`: before it is `response.created`, and both repeat the request."""

_PLACES: Final = {Wire.RESPONSES: "sequence_number", Wire.MESSAGES: "index"}


def estimate_usage(wire: Wire, streaming: bool, tap: Tap, usage: Usage, words: int) -> bool:
    """Raise the counts of USAGE, as read from the answer that TAP kept the ends of, to what was spent at least.

    WORDS is the scanner's count over the request's body, which the provider had whole; STREAMING is whether the answer
    was an event stream. An answer of which nothing came is estimated by its input alone. Returns whether USAGE is an
    estimate now: it stays as it is for an answer that was an error alone. Never raises, whatever the bytes.
    """
    if not wire.metered:
        return False
    output = _stream_output(wire, tap, words) if streaming else _body_output(wire, tap, words)
    if usage.error and not output:
        return False
    prompt = usage.input_tokens
    if wire is Wire.MESSAGES:
        prompt += usage.cache_read_tokens + usage.cache_write_tokens
    if not prompt:
        usage.input_tokens = min(words, U64_MAX)
    usage.output_tokens = max(usage.output_tokens, min(output, U64_MAX))
    return True


def _body_output(wire: Wire, tap: Tap, words: int) -> int:
    """The tokens of a JSON body, of which only the beginning needs to be there."""
    try:
        body: object = from_json(tap.whole or tap.head(), allow_partial="trailing-strings")
    except (TypeError, ValueError):
        # TypeError: pydantic before 2.9 does not know how to take a string that is cut.
        return 0
    generated = Generated()
    if isinstance(body, dict):
        read_body(wire, body, generated)
    return _without_echo(wire, generated.tokens, [generated], words)


def _without_echo(wire: Wire, tokens: int, parts: Sequence[Generated], words: int) -> int:
    """TOKENS of PARTS without the prompt, of WORDS, with which each text of a completion may begin (`echo`)."""
    if wire is not Wire.COMPLETIONS:
        return tokens
    texts = set().union(*(part.keys for part in parts))
    return max(0, tokens - len(texts) * words)


# A stream of events


class _Span:
    """Consecutive events of a stream: `size` bytes of it, from `start`.

    `first` and `last` are the places of the first and the last event that tell one: the number of a Responses event,
    the index of an Anthropic block.
    """

    __slots__ = ("events", "first", "generated", "last", "size", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.size = 0
        self.events = 0
        self.generated = Generated()
        self.first: int | None = None
        self.last: int | None = None


def _stream_output(wire: Wire, tap: Tap, words: int) -> int:
    whole = tap.whole
    if whole is not None:
        spans = _spans(wire, Piece(whole, cut=False))
        unseen = 0
    else:
        begin, end = tap.head(), tap.tail()
        tail = Piece(end, cut=True)
        before, after = _spans(wire, Piece(begin, cut=False)), _spans(wire, tail, _SPAN_BYTES)
        spans = before + after
        # Spans are measured without the carriage returns that a piece has lost.
        size = (tap.length - len(begin) - len(end)) * len(tail.text) // len(end)
        unseen = _unseen_tokens(wire, before[-1], after, size)
    generated = [span.generated for span in spans]
    return _without_echo(wire, sum(part.tokens for part in generated) + unseen, generated, words)


def _spans(wire: Wire, piece: Piece, size: int = sys.maxsize) -> list[_Span]:
    """The events of PIECE in spans of SIZE bytes or a little more, the last of which is the rest; at least one."""
    read, place_name = read_event(wire), _PLACES.get(wire, "")
    span = _Span(0)
    spans = [span]
    for block in piece.forwards():
        if block.start - span.start >= size:
            span.size = block.start - span.start
            span = _Span(block.start)
            spans.append(span)
        event = None if block.cut else _event(block.data)
        if event is None or read is None:
            continue
        read(event, span.generated)
        span.events += 1
        place = token_count(event.get(place_name))
        if place is not None:
            span.last = place
            if span.first is None:
                span.first = place
    span.size = len(piece.text) - span.start
    return spans


def _unseen_tokens(wire: Wire, before: _Span, after: Sequence[_Span], size: int) -> int:
    """The tokens of the SIZE bytes between BEFORE and AFTER, at least."""
    first = after[0].first
    full = [span for span in after if span.size >= _SPAN_BYTES and span.events]
    if not full or wire is Wire.COMPLETIONS:
        return 0
    if wire is Wire.RESPONSES:
        if first is None:
            return 0
        events = first - 1 - max(_PREAMBLE_END, before.last or 0)
        by_events = min(span.generated.tokens / span.events for span in full) * events
        return max(0, min(int(by_events), _by_size(full, size)))
    if wire is Wire.MESSAGES and (first is None or first != before.last):
        return 0
    return _by_size([before, *full], size)


def _by_size(spans: Sequence[_Span], size: int) -> int:
    return int(min(span.generated.tokens / max(span.size, 1) for span in spans) * size)


def _event(data: bytes) -> Event | None:
    try:
        event: object = orjson.loads(data)
    except ValueError:
        # Lone surrogates, which models do write; what is cut off or no JSON at all is not worth another look.
        return load_object(data) if data.rstrip().endswith(b"}") else None
    return event if isinstance(event, dict) else None
