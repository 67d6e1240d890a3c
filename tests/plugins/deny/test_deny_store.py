"""The store on a real server, and on an older one: what is written gets into the set, whatever happens there."""

import asyncio
import logging
import time
from collections.abc import Callable
from statistics import median

import pytest
from tests.nats_server import NatsServer, Partition, binary, until, version
from tests.plugins.deny.conftest import STREAM, SUBJECT, ControlPlane, Watch

from beyond_ai import Context, DenyStore, NatsSettings
from beyond_ai_plugins.deny.nats.plugin import NatsConfig, beyond_deny_stores
from beyond_ai_plugins.deny.nats.store import Backoff

NewWatch = Callable[..., Watch]


@pytest.fixture(params=["wheel", "older"])
def nats_program(request: pytest.FixtureRequest) -> str:
    """Each test here is run on the server of the wheel, and on an older one where there is one."""
    return binary() if request.param == "wheel" else str(request.getfixturevalue("older_program"))


@pytest.fixture
def message_lifetimes(nats_program: str) -> None:
    """For a test that sets a lifetime for one message."""
    if version(nats_program) < (2, 11):
        pytest.skip("a message has no lifetime of its own before nats-server 2.11")


async def test_the_component_makes_a_store() -> None:
    (component,) = beyond_deny_stores()
    store = component.create(Context(config=NatsConfig(), nats=NatsSettings(url="nats://127.0.0.1:1")))
    assert isinstance(store, DenyStore)
    assert (store.connected, store.ready) == (False, False)
    await store.aclose()


async def test_entries_come_and_go(control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch().start()).ready()
    assert (len(found.denied), found.store.ready) == (0, True)
    await control_plane.put("blackhole.1", b"spend")
    await control_plane.put("blackhole.2", b'{"reason": "fraud", "exp": 5}')
    await control_plane.put("blackhole.3", b"whatever")
    await control_plane.put("blackhole.key.9", b"fraud")
    await control_plane.put("blackhole.007", b"fraud")
    await control_plane.put("allowance.8", b"x")
    last = await control_plane.put("blackhole.4", b"spend")
    await until(lambda: found.tenant(4))
    assert [found.tenant(number) for number in range(10)] == [
        *(None, "spend", "fraud", "unknown", "spend"),
        *(None, None, None, None, None),
    ]
    assert (found.key(9), len(found.denied), last) == ("fraud", 5, 7)
    await control_plane.delete("blackhole.1")
    await control_plane.delete("blackhole.2", "PURGE")
    await control_plane.put("blackhole.3", b"")
    await control_plane.delete("blackhole.key.9")
    await found.denies(4)


async def test_what_was_there_is_found(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket(max_msgs_per_subject=3)
    for number in range(1, 501):
        await control_plane.put(f"blackhole.{number}", b"fraud")
    await control_plane.put("blackhole.1", b"spend")
    await control_plane.delete("blackhole.2")
    found = await (await watch().start()).ready()
    assert (len(found.denied), found.tenant(1), found.tenant(2), found.tenant(3)) == (499, "spend", None, "fraud")
    config = (await control_plane.jetstream.stream_info(STREAM)).config
    assert config.max_msgs_per_subject == 3, "an existing bucket was changed"


async def test_a_bucket_is_made_where_there_is_none(control_plane: ControlPlane, watch: NewWatch) -> None:
    await asyncio.gather(*(found.start() for found in (watch(), watch(), watch())))
    await (await watch().start()).ready()
    config = (await control_plane.jetstream.stream_info(STREAM)).config
    assert (config.max_msgs_per_subject, config.max_bytes, config.storage) == (1, 10 * 1024 * 1024, "file")
    assert (config.num_replicas, config.max_age, config.subjects) == (1, 0, [f"{SUBJECT}>"])


async def test_writes_during_the_scan_are_not_lost(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket()
    for number in range(300):
        await control_plane.put(f"blackhole.{number}")
    found = watch()

    async def write() -> None:
        for number in range(300, 600):
            await control_plane.put(f"blackhole.{number}")
            await control_plane.delete(f"blackhole.{number - 300}")

    await asyncio.gather(found.start(), write())
    await found.denies(*range(300, 600))


async def test_a_denial_arrives_quickly(control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch().start()).ready()
    seconds = []
    for number in range(1, 52):
        started = time.perf_counter()
        await control_plane.put(f"blackhole.{number}")
        while found.tenant(number) is None:
            await asyncio.sleep(0)
            assert time.perf_counter() - started < 5
        seconds.append(time.perf_counter() - started)
    assert median(seconds) < 0.1


async def test_a_restart_with_the_same_data(
    nats_server: NatsServer, control_plane: ControlPlane, watch: NewWatch
) -> None:
    found = await (await watch().start()).ready()
    await control_plane.put("blackhole.1")
    await found.denies(1)
    nats_server.stop()
    await found.lost()
    assert found.tenant(1) == "spend", "an error emptied the set"
    nats_server.start()
    await found.ready()
    await control_plane.connect()
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)


async def test_writes_while_disconnected_are_not_lost(
    control_plane: ControlPlane, watch: NewWatch, partition: Partition
) -> None:
    found = await (await watch(url=partition.url).start()).ready()
    await control_plane.put("blackhole.1")
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)
    scanned = found.store._scanned
    for number in range(3, 8):
        await partition.cut()
        await found.lost()
        await control_plane.put(f"blackhole.{number}")
        await control_plane.delete(f"blackhole.{number - 2}")
        await partition.heal()
        await found.denies(number, number - 1)
    assert found.store._scanned is scanned, "it was scanned and not resumed"


async def test_history_that_is_gone_means_a_scan(
    control_plane: ControlPlane, watch: NewWatch, partition: Partition
) -> None:
    found = await (await watch(url=partition.url).start()).ready()
    await control_plane.put("blackhole.1")
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)
    scanned = found.store._scanned
    await partition.cut()
    await found.lost()
    await control_plane.put("blackhole.3")
    await control_plane.put("blackhole.4")
    await control_plane.jetstream.purge_stream(STREAM, seq=4)  # 1, 2 and 3 leave without a word
    await partition.heal()
    await found.denies(4)
    assert found.store._scanned is not scanned


async def test_killed_and_wiped(nats_server: NatsServer, control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch().start()).ready()
    for number in range(5):
        await control_plane.put(f"blackhole.{number}")
    await found.denies(*range(5))
    nats_server.kill(wipe=True)
    await found.lost()
    assert len(found.denied) == 5, "an error emptied the set"
    nats_server.start()
    await control_plane.connect()
    await found.ready()
    await control_plane.put("blackhole.77")
    await found.denies(77)


async def test_a_bucket_that_is_made_anew_while_connected(control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch().start()).ready()
    for number in range(5):
        await control_plane.put(f"blackhole.{number}")
    await found.denies(*range(5))
    await control_plane.jetstream.delete_stream(STREAM)
    await control_plane.bucket()
    for number in range(3, 20):  # so that the old cursor is a revision of the new one too
        await control_plane.put(f"blackhole.{number}")
    await found.denies(*range(3, 20))


async def test_a_short_pause(nats_server: NatsServer, control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch(heartbeat_secs=5).start()).ready()
    await control_plane.put("blackhole.1")
    await found.denies(1)
    nats_server.pause()
    writing = asyncio.create_task(control_plane.put("blackhole.2"))
    await asyncio.sleep(0.2)
    assert (found.tenant(1), found.tenant(2), found.store.connected) == ("spend", None, True)
    nats_server.resume()
    await found.denies(1, 2)
    await writing


async def test_a_pause_that_is_noticed(nats_server: NatsServer, control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch(timeout_secs=0.3).start()).ready()
    await control_plane.put("blackhole.1")
    await found.denies(1)
    nats_server.pause()
    await found.lost()
    await asyncio.sleep(0.5)  # some attempts, on sockets that nobody answers
    assert found.tenant(1) == "spend"
    nats_server.resume()
    await found.ready()
    await control_plane.connect()
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)


@pytest.mark.usefixtures("message_lifetimes")
async def test_an_expiry_with_a_marker(control_plane: ControlPlane, watch: NewWatch) -> None:
    found = await (await watch().start()).ready()  # which makes the bucket, with markers
    await control_plane.put("blackhole.1", Nats_TTL="1s")
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)
    scanned = found.store._scanned
    await found.denies(2)
    assert found.store._scanned is scanned


@pytest.mark.usefixtures("message_lifetimes")
async def test_an_expiry_without_a_marker(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket(allow_msg_ttl=True)
    found = await (await watch(rescan_secs=0.2).start()).ready()
    await control_plane.put("blackhole.1", Nats_TTL="1s")
    await control_plane.put("blackhole.2")
    await found.denies(1, 2)
    await found.denies(2)


async def test_a_purge_of_the_stream_is_found_by_looking(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket()
    for number in range(5):
        await control_plane.put(f"blackhole.{number}")
    found = await (await watch(rescan_secs=0.2).start()).ready()
    await found.denies(*range(5))
    await control_plane.jetstream.purge_stream(STREAM, subject=f"{SUBJECT}blackhole.3")
    await found.denies(0, 1, 2, 4)


async def test_nothing_is_scanned_when_nothing_happens(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket()
    await control_plane.put("blackhole.1")
    found = await (await watch(rescan_secs=0.02).start()).ready()
    scanned, looked = found.store._scanned, found.store._look_at
    await until(lambda: found.store._look_at > looked + 0.1)
    assert found.store._scanned is scanned


async def test_ten_thousand(control_plane: ControlPlane, watch: NewWatch) -> None:
    await control_plane.bucket()
    for at in range(0, 10_000, 500):
        await asyncio.gather(*(control_plane.put(f"blackhole.{number}") for number in range(at, at + 500)))
    found = await (await watch().start()).ready()
    assert len(found.denied) == 10_000
    for at in range(0, 10_000, 500):
        await asyncio.gather(*(control_plane.delete(f"blackhole.{number}") for number in range(at, at + 500)))
    await found.denies()


async def test_no_server_is_one_calm_line(
    nats_server: NatsServer, watch: NewWatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    nats_server.stop()
    found = watch(retry_secs=0.01, retry_max_secs=0.01)
    started = time.perf_counter()
    await found.start()
    assert time.perf_counter() - started < 0.5
    await until(lambda: caplog.records)
    await asyncio.sleep(0.2)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "no connection to NATS" in line
    assert "refused" in line
    assert len(found.denied) == 0


async def test_no_jetstream_is_said(tmp_path_factory: pytest.TempPathFactory, caplog: pytest.LogCaptureFixture) -> None:
    with NatsServer(tmp_path_factory.mktemp("plain"), jetstream=False) as server:
        found = await Watch(server.url).start()
        await until(lambda: caplog.records)
        await found.store.aclose()
    assert "JetStream" in caplog.text


def test_backoff_begins_anew_only_after_a_watch_that_lasted() -> None:
    backoff = Backoff(1, 30)
    assert [backoff.wait(lived=0.5) for _ in range(7)] == [1, 2, 4, 8, 16, 30, 30]
    assert backoff.wait(lived=29.9) == 30
    assert [backoff.wait(lived=30), backoff.wait(lived=0)] == [1, 2]
