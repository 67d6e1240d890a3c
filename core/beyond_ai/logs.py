"""Logs: one line a record on stderr, as JSON for collectors or in words for people.

    {"time":"2026-03-04T05:06:07.089Z","level":"WARNING","logger":"beyond_ai.gateway.gateway",
     "message":"request rejected","request_id":"1f-0","status":401,"error_type":"authentication_error","reason":"auth"}

A record's extra fields stand beside `message`, and what was raised is text under `exception`. Code that speaks of a
request gives its id, `extra={"request_id": ...}`. A line is never lost to a value that cannot be shown, and nothing
within a record can end its line or reach a terminal as a control character.

Nobody here logs a credential or a query string; `Scrubber` is for what a stranger's exception may say.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import orjson

from beyond_ai.log_writer import LogWriter

OURS: Final = ("beyond_ai", "beyond_ai_plugins", "beyond_ai_providers", "beyond_ai_tools")
"""Loggers that follow the configured level; all others speak from WARNING on. Libraries of HTTP log URLs and headers
below that, credentials included."""
MAX_TEXT: Final = 16_384
"""Characters of one field."""

_STANDARD: Final = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"})
_FIRST: Final = ("time", "level", "logger", "message")
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What may not reach a terminal: control characters, other line ends, changes of direction, halves of characters."""
_PLAIN: Final = re.compile(r"[^\s\"=]+")
_SECRETS: Final = (
    (re.compile(r"((?:://|/)[^\s'\"<>?]*)\?[^\s'\"<>]+"), r"\1?***"),
    (re.compile(r"(://)[^\s/@'\"]+@"), r"\1***@"),
    (re.compile(r"\b(bearer|basic)(\s+)[\w.~+/=-]+", re.IGNORECASE), r"\1\2***"),
    (
        re.compile(r"\b(authorization|cookie|[\w-]*api-key)\b(['\"]?\s*[:,=]\s*b?['\"]?)[^\s'\",]+", re.IGNORECASE),
        r"\1\2***",
    ),
    (re.compile(r"(?<![\w-])([cg]?sk[-_]|xai-|bai_v\d+\.)[\w.-]+"), r"\1***"),
)
"""Query strings, users in URLs, and what looks like a key or stands where one does."""

_SUSPECT: Final = r"[?@]|bearer|basic|authorization|cookie|api-key|sk[-_]|xai-|bai_v"
"""What a text has if one of them is to find anything: looked for first, since a flood of refusals logs much."""


class LogFormat(StrEnum):
    """The form of a line."""

    AUTO = "auto"
    """for people on a terminal, else JSON"""
    JSON = "json"
    HUMAN = "human"


class Scrubber:
    """Takes out of a text query strings, whatever has the shape of a credential, and the secrets that it is given."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = "|".join(map(re.escape, sorted(secrets, key=len, reverse=True)))
        self._rules = ((re.compile(known), "***"), *_SECRETS) if known else _SECRETS
        self._suspect = re.compile(f"{_SUSPECT}|{known}" if known else _SUSPECT, re.IGNORECASE)

    def __call__(self, text: str) -> str:
        """TEXT with `***` for each of them."""
        if self._suspect.search(text) is None:
            return text
        for pattern, replacement in self._rules:
            text = pattern.sub(replacement, text)
        return text


class JsonFormatter(logging.Formatter):
    """A record as one JSON object."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """RECORD without a line end. Raises nothing."""
        fields = _fields(record, self._scrub)
        try:
            return orjson.dumps(fields, default=_text, option=orjson.OPT_NON_STR_KEYS).decode()
        except orjson.JSONEncodeError:  # a number above 64 bits, half a character, a cycle
            return orjson.dumps({_whole(name): _whole(_text(value)) for name, value in fields.items()}).decode()


class HumanFormatter(logging.Formatter):
    """A record as one line, with what was raised in indented lines below it."""

    def __init__(self, scrub: Scrubber) -> None:
        super().__init__()
        self._scrub = scrub

    def format(self, record: logging.LogRecord) -> str:
        """RECORD without the last line end. Raises nothing."""
        fields = _fields(record, self._scrub)
        raised = _text(fields.pop("exception", ""))
        first = [_shown(fields.pop(name)) for name in _FIRST]
        line = f"{first[0]} {first[1]} {first[2]}: {first[3]}"
        for name, value in fields.items():
            shown = _shown(value)
            line += f" {_shown(name)}={shown if _PLAIN.fullmatch(shown) else _quoted(shown)}"
        return "\n    ".join([line, *map(_shown, raised.splitlines())])


def _fields(record: logging.LogRecord, scrub: Scrubber) -> dict[str, object]:
    """What RECORD says, in the order in which it is written."""
    time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
    fields: dict[str, object] = {
        "time": time.replace("+00:00", "Z"),
        "level": record.levelname,
        "logger": record.name,
        "message": scrub(_message(record))[:MAX_TEXT],
    }
    extra = {name: value for name, value in vars(record).items() if name not in _STANDARD}
    if "request_id" in extra:
        fields["request_id"] = extra.pop("request_id")
    for name, value in extra.items():
        fields[f"{name}_" if name in fields else name] = (
            value if isinstance(value, (int, float, bool, type(None))) else scrub(_text(value))[:MAX_TEXT]
        )
    if record.exc_info or record.exc_text:
        fields["exception"] = scrub(_raised(record))[-MAX_TEXT:]
    return fields


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001 - wrong arguments are no reason to lose what was to be said
        return f"{_text(record.msg)} {_text(record.args)} (not formatted: {type(error).__name__})"


def _raised(record: logging.LogRecord) -> str:
    if record.exc_text or not record.exc_info:
        return record.exc_text or ""
    try:
        return "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
    except Exception:  # noqa: BLE001 - an exception's own methods may raise
        return getattr(record.exc_info[0], "__name__", "an exception that cannot be shown")


def _text(value: object) -> str:
    """VALUE as text, whatever it is."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a stranger's __str__
        return f"<{type(value).__name__} that cannot be shown>"


def _whole(text: str) -> str:
    """TEXT with halves of characters escaped, which no encoding has."""
    return text.encode("utf-8", "backslashreplace").decode()


def _shown(value: object) -> str:
    """VALUE as text for a terminal."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), _text(value))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def configure_logs(level: str, form: LogFormat, secrets: Iterable[str] = ()) -> None:
    """Write what is logged from now on to stderr: of our own loggers from LEVEL on, of others from WARNING on.

    SECRETS appear in no line.

    May be called again, and holds in processes that are forked later. Without a stderr nothing is written.
    """
    root = logging.getLogger()
    for handler in list(root.handlers):
        if isinstance(handler, LogWriter):
            root.removeHandler(handler)
            handler.close()
    threshold = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(threshold, logging.WARNING))
    for name in OURS:
        logging.getLogger(name).setLevel(threshold)
    stream = sys.__stderr__
    if stream is None:
        return
    human = form is LogFormat.HUMAN or (form is LogFormat.AUTO and stream.isatty())
    writer = LogWriter(stream.fileno())
    scrub = Scrubber(secrets)
    writer.setFormatter(HumanFormatter(scrub) if human else JsonFormatter(scrub))
    root.addHandler(writer)
