"""Several workers: what one of them takes along when it dies, and what holds for all of them together."""

import asyncio
import contextlib
import os
import signal
import statistics
import sys
import time
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from itertools import chain
from pathlib import Path

import httpx
import nats
import pytest
from tests.fidelity.matrix import OK, RESPONSES, Lab
from tests.gateway_process import BYO, MANAGED, gateway_config, workers_of
from tests.integration.exchanges import id_of, metrics
from tests.nats_server import NatsServer, until

from beyond_ai.testing import (
    LAST_CHUNK,
    GatewayProcess,
    ReadBody,
    ScriptedUpstream,
    Send,
    Until,
    WireClient,
    chunk,
    chunked_head,
)
from beyond_ai.testing.gateway import usage_fields

NOBODY = "127.0.0.1:9"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers are found in /proc")


@pytest.fixture
async def upstream() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream(default=(ReadBody(), Send(OK))) as scripted:
        yield scripted


def config(upstream: ScriptedUpstream, workers: int, **settings: float | str) -> str:
    usual = gateway_config(upstream.authority, NOBODY).replace("workers = 1", f"workers = {workers}").splitlines()
    kept = [line for line in usual if line.partition(" ")[0] not in settings]
    return "\n".join([*(f"{name} = {value!r}".replace("'", '"') for name, value in settings.items()), *kept])


def alive(pid: int) -> bool:
    """Whether the process PID runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except FileNotFoundError:
        return False


def worker_of(client: WireClient, workers: list[int]) -> int:
    """Which of WORKERS has the connection of CLIENT."""
    (_, client_port), (_, port) = (client._writer.get_extra_info(name) for name in ("sockname", "peername"))
    ends = [f"0100007F:{port:04X}", f"0100007F:{client_port:04X}"]
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    [inode] = [fields[9] for fields in lines if fields[1:3] == ends and fields[9] != "0"]
    [worker] = [worker for worker in workers if f"socket:[{inode}]" in open_files(worker)]
    return worker


def open_files(pid: int) -> set[str]:
    """What the process PID has open."""
    found = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            found.add(os.readlink(entry))
    return found


@contextlib.asynccontextmanager
async def streams_on_all(
    lab: Lab, gate: asyncio.Event, workers: list[int]
) -> AsyncIterator[dict[int, list[WireClient]]]:
    """Streams that wait for GATE, two or more on each of WORKERS."""
    script = (ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(gate), Send(chunk(b"last") + LAST_CHUNK))
    found: dict[int, list[WireClient]] = {worker: [] for worker in workers}
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(20):
            while min(map(len, found.values())) < 2:
                lab.upstream.play(*script)
                client = await stack.enter_async_context(lab.client())
                await client.send(lab.ask(target=RESPONSES))
                await client.receive(5)
                found[worker_of(client, workers)].append(client)
        yield found


async def test_a_worker_that_is_killed_takes_its_own_streams_along_and_is_replaced(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    with GatewayProcess(config(upstream, 2), folder=tmp_path) as gateway:
        lab, workers = Lab(gateway, upstream, BYO), workers_of(gateway)
        async with streams_on_all(lab, gate, workers) as streams:
            number = sum(map(len, streams.values()))
            before = await asyncio.to_thread(metrics, gateway)
            assert before["ai_requests_total"] == before["ai_requests_in_flight"] == number
            victim, other = workers
            os.kill(victim, signal.SIGKILL)
            for client in streams[victim]:
                assert (await client.receive()).broken
            await until(lambda: "SIGKILL" in gateway.stderr)
            after = await asyncio.to_thread(metrics, gateway)
            assert after["ai_requests_total"] == number
            assert after["ai_requests_in_flight"] == len(streams[other])
            async with lab.client() as client:
                assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            gate.set()
            await ended_well(streams[other])
        await served(gateway, 2)
        assert victim not in workers_of(gateway)
        page = await asyncio.to_thread(metrics, gateway)
        assert (page["ai_worker_restarts_total"], page["ai_requests_total"]) == (1, number + 1)
        assert page["ai_requests_in_flight"] == 0
        assert page["ai_worker_resident_memory_bytes"] > 20 << 20
        assert page["ai_worker_cpu_seconds_total"] >= before["ai_worker_cpu_seconds_total"] > 0


async def ended_well(clients: Iterable[WireClient]) -> None:
    for client in clients:
        received = await client.receive()
        assert (bytes(received.body), received.complete) == (b"firstlast", True)


async def served(gateway: GatewayProcess, workers: int) -> None:
    """Wait until so many WORKERS serve."""
    ends = time.monotonic() + 20
    while (await asyncio.to_thread(metrics, gateway))["ai_workers"] != workers:
        assert time.monotonic() < ends, gateway.stderr
        await asyncio.sleep(0.05)


async def test_what_a_dead_worker_held_is_free_again(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with GatewayProcess(config(upstream, 2, tenant_max_in_flight=2), folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        async with lab.client() as one, lab.client() as two, lab.client() as third:
            for client in (one, two):
                upstream.play(ReadBody(), Send(chunked_head(200) + chunk(b"first")), Until(asyncio.Event()))
                await client.send(lab.ask(target=RESPONSES))
                await client.receive(5)
            assert (await third.exchange(lab.ask(target=RESPONSES))).status == 429
            for worker in workers_of(gateway):
                os.kill(worker, signal.SIGKILL)
            for client in (one, two):
                assert (await client.receive()).broken
        await until(lambda: gateway.stderr.count("SIGKILL") == 2)
        await served(gateway, 2)
        async with lab.client() as client:
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200


async def test_one_that_dies_again_and_again_is_waited_for_longer(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with GatewayProcess(config(upstream, 1), folder=tmp_path) as gateway:
        for number in range(1, 4):
            [worker] = workers_of(gateway)
            os.kill(worker, signal.SIGSEGV)
            await until(lambda number=number: gateway.stderr.count("SIGSEGV") == number)  # type: ignore[misc]
            answer = await asyncio.to_thread(httpx.get, f"{gateway.admin_url}/readyz")
            assert (answer.status_code, answer.json()["reason"]) == (503, "no_workers")
            await served(gateway, 1)
        said = [str(line["message"]) for line in gateway.log]
        delays = [text.rpartition(" in ")[2] for text in said if "SIGSEGV" in text]
        assert delays == ["0.1 s", "0.2 s", "0.4 s"]
        assert (await asyncio.to_thread(httpx.get, f"{gateway.admin_url}/readyz")).status_code == 200


async def test_workers_finish_and_leave_when_their_supervisor_is_killed(
    upstream: ScriptedUpstream, tmp_path: Path
) -> None:
    gate = asyncio.Event()
    gateway = GatewayProcess(config(upstream, 2), folder=tmp_path)
    await asyncio.to_thread(gateway.start)
    lab, workers = Lab(gateway, upstream, BYO), workers_of(gateway)
    async with streams_on_all(lab, gate, workers) as streams:
        gateway.process.send_signal(signal.SIGKILL)
        gateway.process.wait()
        await until(lambda: not accepts(gateway))
        assert all(map(alive, workers))
        gate.set()
        await ended_well(chain(*streams.values()))
    await until(lambda: not any(map(alive, workers)))
    await asyncio.to_thread(gateway.kill)
    assert "Traceback" not in gateway.stderr


def accepts(gateway: GatewayProcess) -> bool:
    try:
        httpx.get(gateway.url).raise_for_status()
    except httpx.TransportError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_to_all_processes_at_once_loses_nothing(
    upstream: ScriptedUpstream, tmp_path: Path, number: signal.Signals
) -> None:
    """As a service manager sends SIGTERM, and a terminal SIGINT."""
    gate = asyncio.Event()
    gateway = GatewayProcess(config(upstream, 2), folder=tmp_path)
    await asyncio.to_thread(gateway.start)
    lab, workers = Lab(gateway, upstream, BYO), workers_of(gateway)
    async with streams_on_all(lab, gate, workers) as streams:
        for pid in (*workers, gateway.process.pid):
            os.kill(pid, number)
        await until(lambda: not accepts(gateway))
        gate.set()
        await ended_well(chain(*streams.values()))
    await asyncio.to_thread(gateway.stop)
    assert not any(map(alive, workers))
    assert "Traceback" not in gateway.stderr


@pytest.mark.parametrize("busy", ["starting", "reloading"])
async def test_it_may_be_stopped_while_workers_start(upstream: ScriptedUpstream, tmp_path: Path, busy: str) -> None:
    gateway = GatewayProcess(config(upstream, 2), folder=tmp_path)
    start = asyncio.create_task(asyncio.to_thread(gateway.start))
    if busy == "starting":
        await until(lambda: hasattr(gateway, "process") and len(children_of(gateway)) == 2)
    else:
        await start
        gateway.process.send_signal(signal.SIGHUP)
        await until(lambda: len(children_of(gateway)) == 4)
    workers = children_of(gateway)
    gateway.process.send_signal(signal.SIGTERM)
    if busy == "starting":
        with pytest.raises(AssertionError, match="exit code 0"):
            await start
    await asyncio.to_thread(gateway.stop)
    assert not any(map(alive, workers))
    assert "Traceback" not in gateway.stderr


def children_of(gateway: GatewayProcess) -> list[int]:
    return [pid for pid in workers_of(gateway) if pid != gateway.process.pid]


async def test_counters_never_go_back(upstream: ScriptedUpstream, tmp_path: Path) -> None:
    with GatewayProcess(config(upstream, 2), folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        asked, seen = 0, 0.0
        for kill in (False, True, True, False):
            async with lab.client() as client:
                for _ in range(5):
                    assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            asked += 5
            page = await asyncio.to_thread(metrics, gateway)
            assert page["ai_requests_total"] == page['ai_ttft_seconds_count{provider="openai"}'] == asked
            assert page['ai_upstream_latency_seconds_sum{provider="openai"}'] > seen
            seen = page['ai_upstream_latency_seconds_sum{provider="openai"}']
            if kill:
                for worker in workers_of(gateway):
                    os.kill(worker, signal.SIGKILL)
                await until(lambda: not workers_of(gateway) or len(workers_of(gateway)) == 2)
                assert (await asyncio.to_thread(metrics, gateway))["ai_requests_total"] == asked
                await served(gateway, 2)


@pytest.mark.parametrize("output", ["pipe", "file"])
async def test_usage_lines_of_several_workers_stay_whole(
    upstream: ScriptedUpstream, tmp_path: Path, output: str
) -> None:
    gateway = GatewayProcess(config(upstream, 4), folder=tmp_path)
    lines = tmp_path / "usage.log"
    if output == "file":
        script = tmp_path / "to-file"
        program = Path(sys.executable).with_name("beyond-ai")
        script.write_text(f'#!/bin/sh\necho "what was there" > {lines}\nexec {program} "$@" > {lines}.new\n')
        script.chmod(0o755)
        gateway = GatewayProcess(config(upstream, 4), folder=tmp_path, command=script)
    await asyncio.to_thread(gateway.start)
    lab = Lab(gateway, upstream, MANAGED)

    async def ask() -> list[str]:
        async with lab.client() as client:
            return [id_of(await client.exchange(lab.ask(target=RESPONSES))) for _ in range(25)]

    asked: list[str] = []
    while len({request_id.partition("-")[0] for request_id in asked}) < 2:  # one worker may take a whole round
        asked += [request_id for ids in await asyncio.gather(*(ask() for _ in range(40))) for request_id in ids]
        assert len(asked) <= 20_000, "one worker serves all"
    await asyncio.to_thread(gateway.stop)
    whole = await asyncio.to_thread(Path(f"{lines}.new").read_text) if output == "file" else gateway.stdout
    written = whole.splitlines()
    assert Counter(fields["request_id"] for fields in usage_fields(written)) == Counter(asked)
    assert len(written) == len(asked)


async def test_one_ceiling_for_all_workers(
    upstream: ScriptedUpstream, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Ten times as many requests as allowed, from one credential: 100 to 110 of them pass in any second.

    A request is decided between its sending and its answer, so what is certain is told from what is possible: no second
    certainly holds more than 110, and a second that ends with a refusal possibly holds 100. The flood begins shortly
    before the border of two seconds of the monotonic clock, where fixed windows would let 150 through in its first.
    """
    with GatewayProcess(config(upstream, 4, rate_limit_rps=100), folder=tmp_path) as gateway:
        lab = Lab(gateway, upstream, MANAGED)
        passed: list[tuple[float, float]] = []
        refused: list[tuple[float, float]] = []
        begins = int(time.monotonic()) + 1.95
        ends = begins + 3.5

        async def flood(offset: float) -> None:
            async with lab.client() as client:
                due = begins + offset
                while due < ends:
                    await asyncio.sleep(due - time.monotonic())
                    sent = time.monotonic()
                    answer = await client.exchange(lab.ask(target=RESPONSES))
                    (passed if answer.status == 200 else refused).append((sent, time.monotonic()))
                    due += 0.04

        await asyncio.gather(*(flood(number / 1000) for number in range(40)))
        sendings, answers = sorted(sent for sent, _ in passed), sorted(answered for _, answered in passed)
        most = max(sum(start <= sent and answered < start + 1 for sent, answered in passed) for start in sendings)
        fewest = min(bisect_right(sendings, answered) - bisect_left(answers, sent - 1) for sent, answered in refused)
        record_property("passed", len(passed))
        record_property("asked", len(passed) + len(refused))
        record_property("in a second", (fewest, most))
        assert len(refused) > 3 * len(passed), "this machine is too busy to flood it"
        assert len(passed) >= 300, "a flood of 3.5 s has three seconds"
        assert (fewest >= 100, most <= 110) == (True, True), (fewest, most)


async def test_a_deny_reaches_every_worker(
    upstream: ScriptedUpstream, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """In less than 100 ms, at the median; asked on one connection to each of four workers."""
    folder = tmp_path / "nats"
    folder.mkdir()
    with NatsServer(folder) as server:
        settings = config(upstream, 4, nats_url=server.url, snapshot_path=str(tmp_path / "denied.snapshot"))
        with GatewayProcess(settings, folder=tmp_path) as gateway:
            await following(gateway)
            lab = Lab(gateway, upstream, MANAGED)
            took: list[float] = []
            async with one_client_each(lab, workers_of(gateway)) as clients, control_plane(server) as write:
                for _ in range(8):
                    took += await write(b"fraud", lambda: asyncio.gather(*(becomes(lab, one, 403) for one in clients)))
                    await write(None, lambda: asyncio.gather(*(becomes(lab, one, 200) for one in clients)))
            record_property("milliseconds", sorted(round(seconds * 1000) for seconds in took))
            assert len(took) == 32
            assert statistics.median(took) < 0.1


Write = Callable[[bytes | None, Callable[[], Awaitable[list[float]]]], Awaitable[list[float]]]


@contextlib.asynccontextmanager
async def control_plane(server: NatsServer) -> AsyncIterator[Write]:
    """Writes a reason for tenant 42, or takes it back; returns how long after that each of what was asked came true."""
    client = await nats.connect(server.url)

    async def write(reason: bytes | None, effects: Callable[[], Awaitable[list[float]]]) -> list[float]:
        headers = {"KV-Operation": "DEL"} if reason is None else None
        written = time.monotonic()
        await client.jetstream().publish("$KV.ai-gateway.blackhole.42", reason or b"", headers=headers)
        return [came_true - written for came_true in await effects()]

    yield write
    await client.close()


async def becomes(lab: Lab, client: WireClient, status: int) -> float:
    """When an answer to CLIENT has STATUS."""
    async with asyncio.timeout(10):
        while (await client.exchange(lab.ask(target=RESPONSES))).status != status:
            pass
    return time.monotonic()


async def following(gateway: GatewayProcess) -> None:
    """Wait until all workers follow the deny-set's source."""
    async with asyncio.timeout(10):
        while not (await asyncio.to_thread(metrics, gateway))["ai_nats_connected"]:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def one_client_each(lab: Lab, workers: list[int]) -> AsyncIterator[list[WireClient]]:
    """A connection to each of WORKERS."""
    async with contextlib.AsyncExitStack() as stack, asyncio.timeout(60):
        found: dict[int, WireClient] = {}
        while len(found) < len(workers):
            client = await stack.enter_async_context(lab.client())
            assert (await client.exchange(lab.ask(target=RESPONSES))).status == 200
            found.setdefault(worker_of(client, workers), client)
        yield list(found.values())
