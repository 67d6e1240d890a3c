"""From the two ends of an answer to its usage.

What decides is structure: an event's or a body's own members, never text within them. A stream is read from its end,
and as little of it as holds the last report; Anthropic's begins with one half of the report and ends with the other.
"""

import re
from collections.abc import Mapping
from typing import Final

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage.counts import Quirk, Usage, read_counts
from beyond_ai.gateway.usage.events import Piece
from beyond_ai.gateway.usage.fragments import load_object, member_from_end, member_from_start
from beyond_ai.gateway.usage.wire import Wire

Report = Mapping[str, object]
Paths = tuple[tuple[str, ...], ...]

_NEAR_BYTES: Final = 2 * 1024
"""How much of a stream's end is looked at first; the last events are nearly always there."""

_OBJECT_FOLLOWS: Final = re.compile(rb"(?>(?:[ \t]|\n(?:data:)?)*):(?>(?:[ \t]|\n(?:data:)?)*)\{")
"""After a key: its value is an object. Line breaks are those of an event with several data lines."""

_BODY_PATHS: Final[Paths] = (("usage",),)
_MESSAGE_START_PATHS: Final[Paths] = (("message", "usage"),)
_MODEL_PARENTS: Final = ("message", "response")
_CHOICE_WIRES: Final = (Wire.CHAT, Wire.COMPLETIONS)
_FAILURES: Final = ("error", "response.failed")


def parse_usage(wire: Wire, streaming: bool, tap: Tap, *, complete: bool = True, quirk: Quirk | None = None) -> Usage:
    """The usage of the answer that TAP kept the ends of; never raises, whatever the bytes.

    STREAMING is whether the answer was an event stream, by its own content type. COMPLETE is whether it ended as its
    framing said: False for one cut short, where the end that is there may not be the end of anything. QUIRK is what
    the provider does differently from WIRE.
    """
    usage = Usage()
    if not wire.metered:
        return usage
    paths: Paths = (wire.event_report,) if streaming else _BODY_PATHS
    if quirk is not None:
        paths += quirk.paths
    report = _read_stream(usage, wire, tap, paths, complete) if streaming else _read_body(usage, tap, paths, complete)
    if report is not None:
        read_counts(wire, report, usage)
        if quirk is not None and usage.found:
            quirk.apply(report, usage)
    return usage


# One JSON body


def _read_body(usage: Usage, tap: Tap, paths: Paths, complete: bool) -> Report | None:
    head, tail = tap.whole, b""
    if head is not None:
        document = load_object(head)
        if document is not None:
            usage.finished = True
            usage.model = _model_in(document)
            return _report_in(document, paths)
        if complete:
            return None
    elif complete:
        usage.finished = True
        tail = tap.tail()
    head = head or tap.head()
    usage.model = _name(member_from_start(head, "model", 1)) or _name(member_from_end(tail, "model", 1))
    return _report_at_end(tail, paths) or _report_at_start(head, paths)


# A stream of events


def _read_stream(usage: Usage, wire: Wire, tap: Tap, paths: Paths, complete: bool) -> Report | None:
    report = _read_last_events(usage, wire, tap, paths, complete)
    if wire is Wire.MESSAGES:
        start = _read_message_start(usage, tap)
        return report if report is not None else start
    if usage.model is None:
        usage.model = _model_at_start(tap)
    return report


def _read_last_events(usage: Usage, wire: Wire, tap: Tap, paths: Paths, complete: bool) -> Report | None:
    end = tap.tail(_NEAR_BYTES)
    near = Piece(end, cut=len(end) == _NEAR_BYTES)
    report = _last_report(usage, wire, near, paths)
    if wire in _CHOICE_WIRES and _has_error(near):
        usage.error = True
    if report is not None or not near.cut:
        return report
    whole = tap.whole
    if whole is not None:
        return _last_report(usage, wire, Piece(whole, cut=False), paths)
    kept = Piece(tap.tail(), cut=True)
    report = _last_report(usage, wire, kept, paths)
    return report if report is not None else _report_of_cut_event(usage, wire, kept, paths, complete)


def _last_report(usage: Usage, wire: Wire, piece: Piece, paths: Paths) -> Report | None:
    """The usage object of the last event in PIECE that has one. How the stream ended is read on the way."""
    report = _read_end(usage, wire, piece, paths)
    if report is not None:
        return report
    for block in piece.containing(b'"usage"', _OBJECT_FOLLOWS):
        if block.cut:
            break
        event = load_object(block.data)
        if event is not None and _report_in(event, paths) is not None:
            return _read_event(usage, wire, event, paths)
    return None


def _read_end(usage: Usage, wire: Wire, piece: Piece, paths: Paths) -> Report | None:
    """Read the last event of PIECE, which tells how the stream ended; what it has of a usage object is returned."""
    for block in piece.backwards():
        if block.cut:
            break
        data = block.data
        if data.strip() == b"[DONE]":
            usage.finished = True
        elif data:
            event = load_object(data)
            if event is not None:
                return _read_event(usage, wire, event, paths)
    return None


def _read_event(usage: Usage, wire: Wire, event: Report, paths: Paths) -> Report | None:
    kind = event.get("type")
    if event.get("error") or kind in _FAILURES:
        usage.error = True
    if usage.model is None:
        usage.model = _model_in(event)
    report = _report_in(event, paths)
    if kind in wire.terminal_events or (report is not None and _has_ended_choices(event)):
        usage.finished = True
    return report


def _has_error(piece: Piece) -> bool:
    """Whether an event in PIECE is an error. It need not be the last: OpenRouter has usage follow."""
    events = (load_object(block.data) for block in piece.containing(b'"error"', _OBJECT_FOLLOWS) if not block.cut)
    return any(event is not None and event.get("error") for event in events)


def _has_ended_choices(event: Report) -> bool:
    """Whether EVENT, a Chat chunk with usage, is the last: some send no `[DONE]`, and some send usage on each chunk."""
    choices = event.get("choices")
    if not isinstance(choices, list):
        return False
    return all(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)


def _report_of_cut_event(usage: Usage, wire: Wire, piece: Piece, paths: Paths, complete: bool) -> Report | None:
    """The usage object at the end of an event that is longer than the tail, as Responses' last one can be."""
    block = next(piece.forwards(), None)
    if block is None or not block.cut or not (block.ended or complete):
        return None
    report = _report_at_end(block.cut_data, paths)
    if report is not None and wire is Wire.RESPONSES:
        # Its type is in the part that is missing, but only an event that ends a response has usage.
        usage.finished = True
    return report


def _read_message_start(usage: Usage, tap: Tap) -> Report | None:
    """Read the counts that an Anthropic stream begins with; its usage object is returned."""
    for block in Piece(tap.head(), cut=False).forwards():
        data = block.data
        event = load_object(data)
        if event is not None:
            if event.get("type") != "message_start":
                continue
            report, model = _report_in(event, _MESSAGE_START_PATHS), _model_in(event)
        elif not block.ended:
            report = _report_at_start(data, _MESSAGE_START_PATHS)
            model = _name(member_from_start(data, "model", 2))
        else:
            continue
        usage.model = usage.model or model
        if report is not None:
            read_counts(Wire.MESSAGES, report, usage)
        return report
    return None


def _model_at_start(tap: Tap) -> str | None:
    """The model that the first event says; None when none in the head does."""
    for block in Piece(tap.head(), cut=False).forwards():
        data = block.data
        event = load_object(data)
        if event is not None:
            model = _model_in(event)
        elif not block.ended:
            model = _name(member_from_start(data, "model", 1)) or _name(member_from_start(data, "model", 2))
        else:
            continue
        if model is not None:
            return model
    return None


# Members


def _report_in(document: Report, paths: Paths) -> Report | None:
    for path in paths:
        value: object = document
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        if value and isinstance(value, dict):
            return value
    return None


def _report_at_end(fragment: bytes, paths: Paths) -> Report | None:
    for path in paths:
        value = member_from_end(fragment, path[-1], len(path))
        if value and isinstance(value, dict):
            return value
    return None


def _report_at_start(fragment: bytes, paths: Paths) -> Report | None:
    for path in paths:
        value = member_from_start(fragment, path[-1], len(path))
        if value and isinstance(value, dict):
            return value
    return None


def _model_in(document: Report) -> str | None:
    """The model of a body or event: at its root, or under `message` (Anthropic) or `response` (Responses)."""
    model = _name(document.get("model"))
    if model is not None:
        return model
    for parent in _MODEL_PARENTS:
        inner = document.get(parent)
        if isinstance(inner, dict):
            return _name(inner.get("model"))
    return None


def _name(value: object) -> str | None:
    """VALUE if it is a name: not empty, and text that UTF-8 can write, as a lone surrogate cannot be."""
    if not isinstance(value, str) or not value:
        return None
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return None
    return value
