"""What becomes of events: rows, once each, whoever else writes; or a count of what was lost."""

import asyncio
import re
import sqlite3
import tomllib
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from beyond_ai import UsageEvent
from beyond_ai.spec.provider import Dialect
from sqlite_sink.sink import SqliteSettings, SqliteSink

README = (Path(__file__).parents[1] / "README.md").read_text()
TABLE, BILL = re.findall(r"^```sql\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def event(request_id: str, tenant_id: int = 1, **fields: object) -> UsageEvent:
    made = UsageEvent(
        time=datetime(2026, 11, 30, 23, 59, 59, tzinfo=UTC),
        request_id=request_id,
        tenant_id=tenant_id,
        vpc_id=7,
        key_id=None,
        provider="acme",
        model="acme-1",
        requested_model="acme-1",
        stream=False,
    )
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def sink(path: Path, lost: Counter[str], **settings: int) -> SqliteSink:
    made = SqliteSettings.model_validate({"path": path, "flush_ms": 0, **settings})
    return SqliteSink(made, lambda _name, label: lost.update([label]))


def rows(path: Path, query: str = "SELECT request_id FROM usage ORDER BY 1", **values: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query, values).fetchall()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - another thread's doing has no event
            await asyncio.sleep(0.01)


async def test_several_sinks_write_each_request_once(tmp_path: Path) -> None:
    path, lost = tmp_path / "usage.db", Counter[str]()
    sinks = [sink(path, lost, batch_events=10) for _ in range(3)]
    await asyncio.gather(*(each.start() for each in sinks))
    for number in range(100):
        for each in sinks:
            each.emit(event(f"1-{number:03}"))
    await asyncio.gather(*(each.aclose() for each in sinks))
    assert rows(path) == [(f"1-{number:03}",) for number in range(100)]
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]
    assert not lost


async def test_all_64_bits_of_an_id_and_no_nonsense_of_a_count(tmp_path: Path) -> None:
    path, lost = tmp_path / "usage.db", Counter[str]()
    writer = sink(path, lost)
    await writer.start()
    writer.emit(event("1-0", tenant_id=2**64 - 1, key_id=2**64 - 2, output_tokens=2**64 - 1, upstream_cost_usd="0.10"))
    await writer.aclose()
    query = "SELECT tenant_id, key_id, output_tokens, upstream_cost_usd FROM usage"
    assert rows(path, query) == [(str(2**64 - 1), str(2**64 - 2), 2**63 - 1, "0.10")]
    assert not lost


async def test_one_that_is_odd_costs_no_other(tmp_path: Path) -> None:
    path, lost = tmp_path / "usage.db", Counter[str]()
    writer = sink(path, lost)
    await writer.start()
    for odd in ({"model": "half \ud800"}, {"outcome": None}, {"upstream_status": object()}, {}):
        writer.emit(event(f"1-{len(odd)}-{next(iter(odd), '')}", **odd))
    await writer.aclose()
    assert rows(path, "SELECT request_id, model FROM usage ORDER BY 1") == [("1-0-", "acme-1"), ("1-1-model", "half ?")]
    assert lost == {"failed": 2}


async def test_a_locked_database_holds_nothing_up_and_loses_what_does_not_fit(tmp_path: Path) -> None:
    path, lost = tmp_path / "usage.db", Counter[str]()
    writer = sink(path, lost, busy_ms=1, queue_events=2)
    await writer.start()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        writer.emit(event("1-0"))
        await until(writer._queue.empty)  # the writer has it, and cannot write
        for number in range(1, 5):
            writer.emit(event(f"1-{number}"))
        assert lost == {"dropped": 2}
        other.execute("ROLLBACK")
    await writer.aclose()
    assert rows(path) == [("1-0",), ("1-1",), ("1-2",)]


async def test_what_is_no_database_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "usage.db").write_text("a text of more than a few bytes, and no database")
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        await sink(tmp_path / "usage.db", Counter()).start()


async def test_the_bill_of_the_readme(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    writer = sink(path, Counter())
    await writer.start()
    counts = {"input_tokens": 1000, "cache_read_tokens": 400, "output_tokens": 10}
    writer.emit(event("1-0", usage_wire=Dialect.OPENAI, **counts))
    writer.emit(event("1-1", usage_wire=Dialect.ANTHROPIC, **counts))
    writer.emit(event("1-2", tenant_id=2, model="acme-2", usage_estimated=True, **counts))
    writer.emit(event("1-3", time=datetime(2026, 12, 1, tzinfo=UTC), **counts))
    await writer.aclose()
    with closing(sqlite3.connect(path)) as database:
        database.executescript(TABLE)
        database.execute("INSERT INTO price VALUES ('acme', 'acme-1', 3000, 15000, 300, 3750)")
        database.commit()
    openai, anthropic = 600 * 3000 + 400 * 300 + 10 * 15000, 1000 * 3000 + 400 * 300 + 10 * 15000
    assert rows(path, BILL, month="2026-11") == [
        ("1", 2, 0, 0, 2000, 20, (openai + anthropic) / 1e9),
        ("2", 1, 1, 1, 1000, 10, None),
    ]


def test_the_readme_shows_each_setting_with_its_default() -> None:
    [shown] = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(shown)["plugins"]["sqlite"] == SqliteSettings().model_dump(mode="json")
