"""What supervisor and workers say survives the way."""

import socket
from datetime import date

import pytest

from beyond_ai.gateway.report import ProviderFacts
from beyond_ai.gateway.supervisor.messages import (
    ORDER,
    REPORT,
    Assembled,
    Counted,
    Failed,
    Leave,
    Lines,
    Order,
    Publish,
    Published,
    Ready,
    Report,
    Retired,
    Rows,
    Start,
    line,
)

FACTS = ProviderFacts(
    name="acme", authority="a.test:1", dialect="openai", transport="http1", pool_key=True, managed=True
)


@pytest.mark.parametrize(
    "order", [Start({"a": {"b": [1, "\n"]}}, first=True), Rows(4, 3), Publish(7), Leave("retire"), Leave("cut")]
)
def test_orders(order: Order) -> None:
    assert line(order).count(b"\n") == 1
    assert ORDER.validate_json(line(order)) == order


@pytest.mark.parametrize(
    "report",
    [
        Assembled(["acme"]),
        Ready([{"kind": "sink", "provides": ["x"]}], [FACTS], managed=True, compiled=False),
        Failed("no\nway", "go", 2),
        Counted([("lost", "file", 3)]),
        Published(7),
        Retired(),
    ],
)
def test_reports(report: Report) -> None:
    assert line(report).count(b"\n") == 1
    assert REPORT.validate_json(line(report)) == report


def test_a_value_that_only_toml_knows_goes_as_text() -> None:
    start = ORDER.validate_json(line(Start({"plugins": {"acme": {"since": date(2026, 1, 2)}}}, first=False)))
    assert start == Start({"plugins": {"acme": {"since": "2026-01-02"}}}, first=False)


def test_a_worker_reads_orders_that_come_in_pieces_and_with_descriptors() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        lines = Lines(theirs)
        text = line(Start({}, first=True))
        ours.sendall(text[:5])
        ours.sendall(text[5:])
        assert lines.next() == Start({}, first=True)
        socket.send_fds(ours, [line(Rows(2, 1))], [ours.fileno()])
        assert lines.next() == Rows(2, 1)
        [descriptor] = lines.descriptors
        socket.socket(fileno=descriptor).close()
        ours.close()
        with pytest.raises(EOFError):
            lines.next()
