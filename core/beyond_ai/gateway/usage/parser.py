"""From the two ends of an answer to its usage.

What decides is structure: an event's or a body's own members, never text within them. A stream is read from its end,
and as little of it as holds the last report; Anthropic's begins with one half of the report and ends with the other.
"""

import re
from typing import Final

from beyond_ai.gateway.tap import Tap
from beyond_ai.gateway.usage.counts import Report, Usage, adjust_counts, dollars, read_counts, tier_name
from beyond_ai.gateway.usage.events import Piece
from beyond_ai.gateway.usage.fragments import load_object, member_from_end, member_from_start, number_text
from beyond_ai.gateway.usage.wire import Wire
from beyond_ai.spec.usage import UsageQuirk

Path = tuple[str, ...]
Paths = tuple[Path, ...]
"""Where a usage object may be. All are tried in what is there whole; in a fragment the wire's own place alone, since
only its depth can be told there."""

_NEAR_BYTES: Final = 2 * 1024
"""How much of a stream's end is looked at first; the last events are nearly always there."""

_OBJECT_FOLLOWS: Final = re.compile(rb"(?>(?:[ \t]|\n(?:data:)?)*):(?>(?:[ \t]|\n(?:data:)?)*)\{")
"""After a key: its value is an object. Line breaks are those of an event with several data lines."""

_EVENT_STREAM: Final = re.compile(rb"(?:\xef\xbb\xbf)?[\r\n]*+(?:data|event|id|retry)?:")
"""The beginning of a first line with a field, or of a comment
(https://html.spec.whatwg.org/multipage/server-sent-events.html)."""
_BODY_PATH: Final = ("usage",)
_MESSAGE_START_PATH: Final = ("message", "usage")
_MODEL_PARENTS: Final = ("message", "response")
_CHOICE_WIRES: Final = (Wire.CHAT, Wire.COMPLETIONS)
_COUNTS: Final = frozenset(("prompt_tokens", "completion_tokens", "input_tokens", "output_tokens"))
_FAILURES: Final = ("error", "response.failed")


def parse_usage(
    wire: Wire, streaming: bool, tap: Tap, *, complete: bool = True, quirk: UsageQuirk | None = None
) -> Usage:
    """The usage of the answer that TAP kept the ends of; never raises, whatever the bytes.

    STREAMING is whether the answer was an event stream, by its own content type. COMPLETE is whether it ended as its
    framing said: False for one cut short, where the end that is there may not be the end of anything. QUIRK is how
    the provider's reports differ from those of WIRE.
    """
    usage = Usage()
    if not wire.metered:
        return usage
    paths: Paths = (wire.event_report if streaming else _BODY_PATH,)
    if quirk is not None:
        paths += quirk.paths
    report = _read_stream(usage, wire, tap, paths, complete) if streaming else _read_body(usage, tap, paths, complete)
    if report is not None:
        read_counts(wire, report, usage)
        if quirk is not None and usage.found:
            if quirk.cost:
                usage.upstream_cost_usd = _cost(report.get(quirk.cost), quirk.cost, tap)
            if quirk.adjust is not None:
                adjust_counts(quirk.adjust, report, usage)
    return usage


def has_event_form(tap: Tap) -> bool:
    """Whether the answer begins as an event stream does, which no JSON can: for one whose content type says nothing."""
    return _EVENT_STREAM.match(tap.head()) is not None


# One JSON body


def _read_body(usage: Usage, tap: Tap, paths: Paths, complete: bool) -> Report | None:
    head, tail = tap.whole, b""
    if head is not None:
        document = load_object(head)
        if document is not None:
            usage.finished = True
            usage.error = bool(document.get("error"))
            usage.model = _model_in(document)
            usage.service_tier = tier_name(document.get("service_tier"))
            return _report_in(document, paths)
        if complete:
            return None
    elif complete:
        usage.finished = True
        tail = tap.tail()
    head = head or tap.head()
    usage.model = _name(member_from_start(head, "model", 1)) or _name(member_from_end(tail, "model", 1))
    usage.service_tier = tier_name(member_from_end(tail, "service_tier", 1))
    return _report_at_end(tail, _BODY_PATH) or _report_at_start(head, _BODY_PATH)


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
    report = _last_report(usage, wire, near, paths, complete)
    if wire in _CHOICE_WIRES and _has_error(near):
        usage.error = True
    if report is not None or not near.cut:
        return report
    whole = tap.whole
    if whole is not None:
        return _last_report(usage, wire, Piece(whole, cut=False), paths, complete)
    kept = Piece(tap.tail(), cut=True)
    report = _last_report(usage, wire, kept, paths, complete)
    return report if report is not None else _report_of_cut_event(usage, wire, kept, complete)


def _last_report(usage: Usage, wire: Wire, piece: Piece, paths: Paths, complete: bool) -> Report | None:
    """The usage object of the last event in PIECE that has one. How the stream ended is read on the way."""
    report = _read_end(usage, wire, piece, paths)
    if report is not None:
        # With it as its last event, a stream that is complete has said all, whatever mark of an end it lacks.
        usage.finished |= complete and wire in _CHOICE_WIRES
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
    if report is not None:
        usage.service_tier = _tier_in(event)
    if kind in wire.terminal_events or (report is not None and _has_ended_choices(event)):
        usage.finished = True
    return report


def _has_error(piece: Piece) -> bool:
    """Whether an event in PIECE is an error. It need not be the last: OpenRouter has usage follow."""
    if piece.text.rfind(b'"error"') < 0:
        return False
    events = (load_object(block.data) for block in piece.containing(b'"error"', _OBJECT_FOLLOWS) if not block.cut)
    return any(event is not None and event.get("error") for event in events)


def _has_ended_choices(event: Report) -> bool:
    """Whether EVENT, a Chat chunk with usage, is the last: some send no `[DONE]`, and some send usage on each chunk."""
    choices = event.get("choices")
    if not isinstance(choices, list):
        return False
    return all(isinstance(choice, dict) and choice.get("finish_reason") is not None for choice in choices)


def _report_of_cut_event(usage: Usage, wire: Wire, piece: Piece, complete: bool) -> Report | None:
    """The usage object at the end of an event that is longer than the tail, as Responses' last one can be."""
    block = next(piece.forwards(), None)
    if block is None or not block.cut or not (block.ended or complete):
        return None
    data = block.cut_data
    report = _report_at_end(data, wire.event_report)
    if report is not None:
        usage.service_tier = tier_name(member_from_end(data, "service_tier", len(wire.event_report)))
        if wire is Wire.RESPONSES:
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
            report, model = _report_in(event, (_MESSAGE_START_PATH,)), _model_in(event)
        elif not block.ended and member_from_start(data, "type", 1) == "message_start":
            report = _report_at_start(data, _MESSAGE_START_PATH)
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
        report = _report(value)
        if report is not None:
            return report
    return None


def _report_at_end(fragment: bytes, path: Path) -> Report | None:
    return _report(member_from_end(fragment, path[-1], len(path)))


def _report_at_start(fragment: bytes, path: Path) -> Report | None:
    return _report(member_from_start(fragment, path[-1], len(path)))


def _report(value: object) -> Report | None:
    """VALUE if it is a usage object: one that names a count, in any dialect. Timings alone hide no earlier report."""
    return value if isinstance(value, dict) and not _COUNTS.isdisjoint(value) else None


def _tier_in(event: Report) -> str | None:
    """The service tier of EVENT: at its root (Chat), or under `response` (Responses)."""
    response = event.get("response")
    return tier_name((response if isinstance(response, dict) else event).get("service_tier"))


def _cost(value: object, name: str, tap: Tap) -> str | None:
    """The text of VALUE, an amount that the usage object has under NAME: digit for digit as the provider wrote it.

    A parsed float has lost that, so its text is looked up in the answer: what decides is the value, read by structure.
    """
    if type(value) is int:
        return dollars(str(value))
    if type(value) is not float:
        return dollars(value)
    text = number_text(tap.tail(_NEAR_BYTES), name, value)
    if text is None:
        text = number_text(tap.tail(), name, value) or number_text(tap.head(), name, value)
    return dollars(text)


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
