"""The sink keeps to what every sink keeps to."""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from beyond_ai.testing.conformance import SinkConformance


class TestSqlite(SinkConformance):
    plugin = "sqlite"

    def settings(self, folder: Path) -> Mapping[str, object]:
        return {"path": str(folder / "usage.db"), "flush_ms": 0}

    def received(self, folder: Path) -> Sequence[str]:
        with closing(sqlite3.connect(folder / "usage.db")) as database:
            return [request_id for (request_id,) in database.execute("SELECT request_id FROM usage ORDER BY rowid")]
