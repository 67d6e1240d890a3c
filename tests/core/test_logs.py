"""Log lines: whatever a record holds, it is one line that says it, in either form, and no secret of a known shape."""

import io
import logging
import os
import pty
import re
import subprocess
import sys
from types import TracebackType

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.logs import HumanFormatter, JsonFormatter, LogFormat, Scrubber, configure_logs

SCRUB = Scrubber(["pool.key+fake", "pool.key"])
JSON = JsonFormatter(SCRUB)
HUMAN = HumanFormatter(SCRUB)
ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]


class Sullen:
    """Will not be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__


class SullenError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


def record(
    message: object = "it happened", *arguments: object, raised: BaseException | None = None, **extra: object
) -> logging.LogRecord:
    """As `Logger` makes one."""
    info = (type(raised), raised, raised.__traceback__) if raised is not None else None
    return logging.getLogger("beyond_ai.test").makeRecord(
        "beyond_ai.test", logging.WARNING, "test.py", 1, message, arguments, info, extra=extra
    )


def raised(error: BaseException) -> BaseException:
    """ERROR with a traceback."""

    def fail() -> None:
        raise error

    try:
        fail()
    except BaseException as caught:  # noqa: BLE001
        return caught
    return error


def test_a_json_line() -> None:
    made = record("%s of %d", "one", 2, status=401, seconds=1.5, request_id="1f-0", nothing=None, yes=True)
    made.created = 1_772_600_767.0891
    assert JSON.format(made) == (
        '{"time":"2026-03-04T05:06:07.089Z","level":"WARNING","logger":"beyond_ai.test","message":"one of 2",'
        '"request_id":"1f-0","status":401,"seconds":1.5,"nothing":null,"yes":true}'
    )


def test_a_human_line() -> None:
    made = record("%s of %d", "one", 2, status=401, reason='an old "key"', request_id="1f-0")
    made.created = 1_772_600_767.0
    assert HUMAN.format(made) == (
        '2026-03-04T05:06:07.000Z WARNING beyond_ai.test: one of 2 request_id=1f-0 status=401 reason="an old \\"key\\""'
    )


def test_what_was_raised() -> None:
    made = record(raised=raised(ValueError("first\nsecond\x1b[31m")))
    told = orjson.loads(JSON.format(made))["exception"]
    assert told.startswith("Traceback (most recent call last):\n")
    assert told.endswith("ValueError: first\nsecond\x1b[31m")
    first, *below = HUMAN.format(made).split("\n")
    assert first.endswith("beyond_ai.test: it happened")
    assert all(line.startswith("    ") for line in below)
    assert below[-2:] == ["    ValueError: first", "    second\\x1b[31m"]


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (record("%d apples", "many"), "%d apples ('many',) (not formatted: TypeError)"),
        (record("%s"), "%s"),
        (record("%s", Sullen()), "%s <tuple that cannot be shown> (not formatted: RuntimeError)"),
        (record(Sullen()), "<Sullen that cannot be shown> () (not formatted: RuntimeError)"),
        (record(12), "12"),
        (record(""), ""),
    ],
)
def test_a_message_that_cannot_be_formatted_is_said_all_the_same(made: logging.LogRecord, message: str) -> None:
    assert orjson.loads(JSON.format(made))["message"] == message
    assert f"beyond_ai.test: {message}" in HUMAN.format(made)


def test_values_that_cannot_be_shown_cost_nothing_else() -> None:
    made = record("m", number=2**70, half="\ud800", sullen=Sullen(), bytes=b"\xff", list=[1], raised=None)
    told = orjson.loads(JSON.format(made))
    assert told["message"] == "m"
    assert (told["number"], told["half"]) == (str(2**70), "\\ud800")
    assert (told["sullen"], told["bytes"], told["list"]) == ("<Sullen that cannot be shown>", "b'\\xff'", "[1]")
    assert "half=\\ud800" in HUMAN.format(made)


def test_an_exception_that_cannot_be_shown() -> None:
    made = record(raised=raised(SullenError()))
    assert "SullenError" in orjson.loads(JSON.format(made))["exception"]
    assert "SullenError" in HUMAN.format(made)


def test_a_field_with_the_name_of_ours_stands_beside_it() -> None:
    told = orjson.loads(JSON.format(record("m", time="then", level="high", logger="me")))
    assert (told["time_"], told["level_"], told["logger_"]) == ("then", "high", "me")
    assert (told["level"], told["logger"]) == ("WARNING", "beyond_ai.test")


VALUES = st.one_of(
    st.text(), st.text(st.characters()), st.integers(), st.floats(), st.none(), st.binary(), st.lists(st.integers())
)
NAMES = st.text(min_size=1).filter(lambda name: name not in vars(record()) and name not in ("message", "asctime"))


@given(
    st.text(st.characters()),
    st.lists(VALUES, max_size=3),
    st.dictionaries(NAMES, VALUES, max_size=4),
    st.one_of(st.none(), st.text(st.characters())),
)
def test_any_record_is_one_line(
    message: str, arguments: list[object], extra: dict[str, object], error: str | None
) -> None:
    made = record(message, *arguments, raised=None if error is None else raised(RuntimeError(error)), **extra)
    line = JSON.format(made)
    told = orjson.loads(line.encode())
    assert "\n" not in line
    assert {"time", "level", "logger", "message"} <= set(told)
    assert ("exception" in told) >= (error is not None)
    first, *below = HUMAN.format(made).split("\n")
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARNING beyond_ai\.test: ", first)
    assert all(text.startswith("    ") for text in below)
    assert below == [] or error is not None or "exception" in extra
    for text in (first, *below):
        assert text.isprintable() or not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202e]", text)
        text.encode()


def test_long_fields_are_cut() -> None:
    made = record("x" * 100_000, raised=raised(ValueError("y" * 100_000)), text="z" * 100_000)
    assert len(JSON.format(made)) < 60_000
    assert JSON.format(made).endswith('y"}')


SECRETS = (
    "sk-fake-key-123",
    "gsk_fakefakefake",
    "xai-fakefakefake",
    "bai_v1.1.KgAAAA.sig-_x",
    "opaquefake",
    "fakevalue",
    "pool.key",
)


@pytest.mark.parametrize(
    "text",
    [
        "GET https://api.test/v1/models?key=fakevalue&x=1 failed",
        "url: /v1/traces?fakevalue (refused)",
        "'/v1/chat/completions?k%65y=sk-fake-key-123'",
        "Authorization: Bearer opaquefake",
        "{'authorization': 'Bearer opaquefake'}",
        "(b'authorization', b'Basic opaquefake==')",
        "x-api-key: fakevalue",
        "[(b'X-Api-Key', b'opaquefake')]",
        "x-goog-api-key=fakevalue",
        '{"api-key":"fakevalue"}',
        "Cookie: session=fakevalue",
        "bad key sk-fake-key-123",
        "bad key 'gsk_fakefakefake'",
        "no tenant for xai-fakefakefake.",
        "KeyError: 'bai_v1.1.KgAAAA.sig-_x'",
        "/openai/v1/sk-fake-key-123/chat",
        "nats://user:fakevalue@nats.test:4222 is away",
        "Illegal header value b'Key pool.key+fake'",
    ],
)
def test_what_a_stranger_says_loses_its_secrets(text: str) -> None:
    for made in (record(text), record("%s", text), record("m", field=text), record(raised=raised(ValueError(text)))):
        for line in (JSON.format(made), HUMAN.format(made)):
            assert not [secret for secret in SECRETS if secret in line], line


@pytest.mark.parametrize(
    "text",
    [
        "deny-set: 3 entries, following NATS at nats://127.0.0.1:4222",
        "is another gateway running? choose another address",
        "openai: send failure: api.openai.com:443: broken off",
        "https://api.test/v1/models, and what then?",
        "ask-me, task_name and risk-free stay",
    ],
)
def test_the_rest_stays(text: str) -> None:
    assert SCRUB(text) == text


PROGRAM = """
import logging, sys
from beyond_ai.logs import LogFormat, configure_logs
configure_logs("debug", LogFormat(sys.argv[1]), ["hidden-fake"])
configure_logs("debug", LogFormat(sys.argv[1]), ["hidden-fake"])
for name in ("beyond_ai.one", "beyond_ai_plugins.two", "hpack.hpack", "httpx"):
    logging.getLogger(name).debug("debug of %s: hidden-fake", name)
    logging.getLogger(name).info("info of %s", name)
    logging.getLogger(name).warning("warning of %s", name)
"""


def run(form: str, stderr: int) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM, form], stderr=stderr, check=False, timeout=30)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("form", "terminal", "json"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("json", True, True),
        ("human", False, False),
    ],
)
def test_a_program_and_its_stderr(form: str, terminal: bool, json: bool) -> None:
    """All that was logged is there at its end; libraries are heard from WARNING on."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    try:
        run(form, writer)
        lines = os.read(reader, 65_536).decode().splitlines()
    finally:
        os.close(reader)
        os.close(writer)
    assert all(line.startswith("{") == json for line in lines)
    said = [orjson.loads(line)["message"] if json else line.split(": ", 1)[1] for line in lines]
    assert said == [
        *("debug of beyond_ai.one: ***", "info of beyond_ai.one", "warning of beyond_ai.one"),
        *("debug of beyond_ai_plugins.two: ***", "info of beyond_ai_plugins.two", "warning of beyond_ai_plugins.two"),
        *("warning of hpack.hpack", "warning of httpx"),
    ]


def test_no_stderr_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    root, ours = logging.getLogger(), [logging.getLogger(name) for name in ("beyond_ai", "beyond_ai_plugins")]
    levels = [logger.level for logger in (root, *ours)]
    before = list(root.handlers)
    monkeypatch.setattr(sys, "__stderr__", None)
    try:
        configure_logs("debug", LogFormat.JSON)
        assert root.handlers == before
    finally:
        for logger, level in zip((root, *ours), levels, strict=True):
            logger.setLevel(level)
    assert isinstance(sys.stderr, io.TextIOBase)
