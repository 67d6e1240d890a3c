"""The snapshot: its bytes, what may be wrong with a file, and a start without NATS."""

import contextlib
import itertools
import logging
import os
import random
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.nats_server import NatsServer, until
from tests.plugins.deny.conftest import ControlPlane, Watch

from beyond_ai_plugins.deny.nats import snapshot_file
from beyond_ai_plugins.deny.nats.entries import Update
from beyond_ai_plugins.deny.nats.snapshot import HEADER, Contents, CorruptError, Stored, replay, update_records, whole
from beyond_ai_plugins.deny.nats.snapshot_file import SnapshotFile

NewWatch = Callable[..., Watch]
EXAMPLE = bytes.fromhex(
    "5047535302001ec23bd7010c00626c61636b686f6c652e3432050000007370656e64080000000000000005e2850fc303080000000000000005"
)
REVISIONS = st.none() | st.integers(0, 2**64 - 1)
ENTRIES = st.dictionaries(st.binary(max_size=30), st.tuples(st.binary(max_size=30), REVISIONS), max_size=8)
UPDATES = st.builds(
    Update,
    st.integers(1, 9).map(lambda number: f"blackhole.{number}"),
    st.none() | st.sampled_from([b"", b"spend", b"fraud"]),
    st.integers(1, 2**64 - 1),
    st.just(0),
)


def test_the_example_of_the_format() -> None:
    assert len(EXAMPLE) == 57
    assert whole({b"blackhole.42": (b"spend", 5)}, 5) == EXAMPLE
    assert HEADER + update_records(Update("blackhole.42", b"spend", 5, 0)) == EXAMPLE
    assert replay(EXAMPLE) == Contents({b"blackhole.42": (b"spend", 5)}, 5, compact=True)


@given(ENTRIES, REVISIONS)
def test_what_is_written_is_read(entries: dict[bytes, Stored], cursor: int | None) -> None:
    assert replay(whole(entries, cursor)) == Contents(entries, cursor, compact=True)


@given(ENTRIES, st.lists(UPDATES, min_size=1, max_size=12))
def test_what_is_appended_counts(entries: dict[bytes, Stored], updates: list[Update]) -> None:
    contents = replay(whole(entries, 1) + b"".join(map(update_records, updates)))
    expected = dict(entries)
    for update in updates:
        expected.pop(update.key.encode(), None)
        if update.value:
            expected[update.key.encode()] = update.value, update.revision
    assert (contents.entries, contents.cursor, contents.compact) == (expected, updates[-1].revision, False)


@given(ENTRIES, st.data())
def test_any_cut_leaves_what_was_whole(entries: dict[bytes, Stored], data: st.DataObject) -> None:
    file = whole(entries, 7)
    cut = replay(file[: data.draw(st.integers(0, len(file) - 1))])
    assert cut.entries.items() <= entries.items()
    assert cut.cursor is None
    assert not cut.compact


@given(ENTRIES.filter(bool), st.data())
def test_a_byte_that_changed_is_noticed(entries: dict[bytes, Stored], data: st.DataObject) -> None:
    file = bytearray(whole(entries, 7))
    at = data.draw(st.integers(0, len(file) - 1))
    file[at] ^= data.draw(st.integers(1, 255))
    try:
        contents = replay(bytes(file))
    except CorruptError:
        return
    # a length that points behind the end is like a cut; without its cursor the file is not whole
    assert contents.entries.items() <= entries.items()
    assert contents.cursor is None
    assert not contents.compact


@given(st.binary(max_size=200), st.booleans())
def test_any_bytes_are_read_or_refused(data: bytes, headed: bool) -> None:
    with contextlib.suppress(CorruptError):
        replay(HEADER + data if headed else data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"PGSS\x01\x00" + EXAMPLE[6:], "version 2"),
        (b"JSON", "version 2"),
        (HEADER + b"\0\0\0\0\x04" + EXAMPLE[6:], "unknown type"),
        (EXAMPLE[:20] + b"B" + EXAMPLE[21:], "checksum at byte 6"),
    ],
)
def test_a_file_that_cannot_be_believed(data: bytes, problem: str) -> None:
    with pytest.raises(CorruptError, match=problem):
        replay(data)


async def test_a_file_grows_and_is_compacted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_file, "COMPACT_AFTER", 1000)
    file = SnapshotFile(tmp_path / "deny")
    await file.rebuild({b"blackhole.1": (b"spend", 1)}, 1)
    sizes = []
    for revision in range(2, 60):
        await file.append(update_records(Update("blackhole.2", b"fraud", revision, 0)))
        sizes.append(file.path.stat().st_size)
    assert max(sizes) < 1200
    assert sum(after < before for before, after in itertools.pairwise(sizes)) == 2
    contents = await file.load()
    assert contents is not None
    assert contents.entries == {b"blackhole.1": (b"spend", 1), b"blackhole.2": (b"fraud", 59)}
    assert contents.cursor == 59
    assert replay(file.path.read_bytes()).compact, "reading did not compact it"
    assert sorted(os.listdir(tmp_path)) == ["deny", "deny.lock"]
    await file.aclose()


async def test_one_process_writes(tmp_path: Path) -> None:
    first, second = SnapshotFile(tmp_path / "deny"), SnapshotFile(tmp_path / "deny")
    await first.rebuild({b"blackhole.1": (b"spend", 1)}, 1)
    await second.rebuild({}, 9)
    await second.append(b"junk")
    contents = await second.load()
    assert contents == Contents({b"blackhole.1": (b"spend", 1)}, 1)
    await first.aclose()
    await second.rebuild({}, 9)
    assert await second.load() == Contents({}, 9)
    await second.aclose()


async def test_a_disk_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = SnapshotFile(tmp_path / "none" / "deny")
    for _ in range(3):
        await file.rebuild({}, 1)
        await file.append(b"x")
    assert await file.load() is None
    await file.aclose()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "does without" in caplog.text


async def test_a_record_that_the_disk_takes_in_part_is_not_followed_by_others(tmp_path: Path) -> None:
    """They would be behind a torn one, which makes the whole file unreadable; so it goes."""
    path = tmp_path / "snapshot"
    file = SnapshotFile(path)
    await file.load()
    await file.rebuild({b"blackhole.1": (b"spend", 1)}, 1)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        await file.append(update_records(Update("blackhole.2", b"fraud", 2, 0)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    await file.append(update_records(Update("blackhole.3", b"fraud", 3, 0)))
    await file.aclose()
    assert not path.exists()


async def test_a_snapshot_that_cannot_be_replaced_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = SnapshotFile(tmp_path / "deny")
    await file.rebuild({b"blackhole.1": (b"spend", 1)}, 1)

    def full(fd: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        await file.rebuild({}, 2)
    assert await file.load() is None, "a stale file would bring a denial back"
    assert "No space left" in caplog.text
    await file.rebuild({}, 3)
    assert await file.load() == Contents({}, 3)
    await file.aclose()


async def test_enforced_before_nats_answers(
    nats_server: NatsServer, control_plane: ControlPlane, watch: NewWatch, tmp_path: Path
) -> None:
    path = tmp_path / "deny"
    before = await (await watch(path).start()).ready()
    await control_plane.put("blackhole.1")
    await control_plane.put("blackhole.key.7", b"fraud")
    await control_plane.put("blackhole.2")
    last = await control_plane.delete("blackhole.2")
    await until(lambda: path.exists() and replay(path.read_bytes()).cursor == last)
    await before.store.aclose()
    await control_plane.aclose()
    nats_server.stop()

    after = await watch(path).start()
    assert (after.tenant(1), after.tenant(2), after.key(7), len(after.denied)) == ("spend", None, "fraud", 2)
    assert (after.store.ready, after.store.connected) == (False, False)

    nats_server.start()
    await control_plane.connect()
    await control_plane.delete("blackhole.key.7")
    await control_plane.put("blackhole.3")
    await after.denies(1, 3)


@pytest.mark.parametrize("harm", ["cut", "changed", "foreign"])
async def test_a_harmed_file_is_made_good_by_a_scan(
    control_plane: ControlPlane, watch: NewWatch, tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    path = tmp_path / "deny"
    good = whole({b"blackhole.%d" % number: (b"spend", number) for number in range(1, 100)}, 99)
    at = random.Random(4).randrange(10, len(good) - 40)
    changed = good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :]
    path.write_bytes({"cut": good[:-3], "changed": changed, "foreign": b"{}"}[harm])
    await control_plane.put_bucket_with(5, 6)
    found = await watch(path).start()
    if harm == "cut":
        assert "99 entries" in caplog.text
    await found.ready()
    await found.denies(5, 6)
    await until(
        lambda: replay(path.read_bytes()) == Contents({b"blackhole.5": (b"spend", 1), b"blackhole.6": (b"spend", 2)}, 2)
    )
