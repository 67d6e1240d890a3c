"""CPU time of the gateway beside nginx relaying the same bytes: `python tests/bench/relay.py [CASE ...]`.

    json      2 KB up, 0.6 KB down, 64 connections
    body      100 KB up with `model` last, the same answer
    stream    500 event streams at a time of 100 chunks each, 50 ms apart; the figure is for one chunk

Managed requests, scanned and metered, events into a file, no limits, one worker on one processor and the load on
another. CPU time is of the process tree, from /proc, so it holds on a busy machine, where rates and latencies do not;
run it more than once. Needs Linux, two processors, and `nginx` and `wrk` (Debian: nginx-light, wrk).
"""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

SECONDS: Final = 6
STREAMS: Final = 500
CHUNKS: Final = 100
PAUSE: Final = 0.05
GATEWAY_CPU: Final = "0"
LOAD_CPU: Final = "1"
COMMAND: Final = str(Path(sys.executable).with_name("beyond-ai"))
PROMPT: Final = "Tell me of the sea, and of the ships on it. "
BODIES: Final = {"json": 45, "body": 2_400}
"""How often the prompt stands in the request of a case."""
ANSWER: Final = json.dumps(
    {
        "id": "chatcmpl-bench",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "gpt-4o-2024-08-06",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "calm and wide " * 18}, "finish_reason": "stop"}
        ],
        "usage": {"prompt_tokens": 19, "completion_tokens": 10, "total_tokens": 29},
    }
)
EVENT: Final = {
    "id": "chatcmpl-bench",
    "object": "chat.completion.chunk",
    "created": 1_700_000_000,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "delta": {"content": " calm"}, "finish_reason": None}],
}
LAST: Final = {**EVENT, "choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 100, "total_tokens": 109}}


def tree_of(pid: int) -> list[int]:
    """PID and all that came of it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(entry.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(entry.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def cpu_of(pid: int) -> float:
    """Seconds of CPU, user and system, of the tree of PID."""
    ticks = 0
    for one in tree_of(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """COUNT ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports: list[int] = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


@contextmanager
def running(words: Sequence[str], port: int, cpu: str, folder: Path) -> Iterator[int]:
    """Run WORDS on CPU until it listens on PORT; its process id. All of it ends with the block."""
    with (folder / "out").open("ab") as out, (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["taskset", "-c", cpu, *words], stdout=out, stderr=log, cwd=folder, start_new_session=True
        )
    try:
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    sys.exit(f"{words[0]} does not serve:\n{(folder / 'log').read_text()[-2000:]}")
                time.sleep(0.05)
        yield process.pid
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def nginx(folder: Path, name: str, servers: str) -> list[str]:
    """The command of an nginx of one worker with SERVERS."""
    own = folder / name
    own.mkdir()
    paths = "".join(f"{kind}_temp_path {own}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.geteuid() == 0 else ""
    (own / "conf").write_text(
        f"{user} worker_processes 1; daemon off; pid {own}/pid; error_log {own}/log;"
        "events { worker_connections 4096; }"
        f"http {{ access_log off; keepalive_requests 100000000; client_max_body_size 8m; {paths} {servers} }}"
    )
    return ["nginx", "-e", f"{own}/log", "-c", f"{own}/conf"]


def answering(port: int, folder: Path) -> str:
    """The provider: it reads the whole request and gives the answer."""
    inner = folder / "answer.socket"
    return (
        f"upstream inner {{ server unix:{inner}; keepalive 32; keepalive_requests 100000000; }}"
        f"server {{ listen unix:{inner}; location / {{ default_type application/json; return 200 '{ANSWER}'; }} }}"
        f"server {{ listen 127.0.0.1:{port}; client_body_buffer_size 1m; location / {{ proxy_pass http://inner;"
        "proxy_http_version 1.1; proxy_set_header Connection ''; proxy_set_header Content-Length 0;"
        "proxy_pass_request_body off; } }"
    )


def relaying(port: int, provider: int) -> str:
    """The floor: nginx as a relay that buffers nothing and sets a key."""
    return (
        f"upstream provider {{ server 127.0.0.1:{provider}; keepalive 512; keepalive_requests 100000000; }}"
        f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://provider; proxy_http_version 1.1;"
        "proxy_set_header Connection ''; proxy_set_header Authorization 'Bearer sk-pool-fake';"
        "proxy_buffering off; proxy_request_buffering off; } }"
    )


def output_of(*words: str, folder: Path) -> str:
    """What WORDS print."""
    return subprocess.run(words, capture_output=True, text=True, check=True, cwd=folder).stdout


def gateway(folder: Path, port: int, admin: int, provider: int) -> tuple[list[str], str]:
    """The command of the gateway, and a key that it takes."""
    made = output_of(COMMAND, "keys", "new", "--out", "bench.key", folder=folder)
    public = next(line.split()[2] for line in made.splitlines() if line.startswith("public key"))
    key = output_of(COMMAND, "keys", "mint", "--key", "bench.key", "--tenant", "1", "--vpc", "2", folder=folder).strip()
    (folder / "bench.toml").write_text(
        f'listen = "127.0.0.1:{port}"\nmetrics_listen = "127.0.0.1:{admin}"\nworkers = 1\nupstream_tls = false\n'
        'rate_limit_rps = 0\nbyo_rate_limit_rps = 0\ncircuit_breaker_threshold = 0\ndeny_store = ""\n'
        f'[provider_authorities]\nopenai = "127.0.0.1:{provider}"\n'
        f'[signing_keys]\n1 = "{public}"\n[pool_keys]\nopenai = "sk-pool-fake"\n'
    )
    return [COMMAND, "gateway", "-c", "bench.toml"], key


def load(case: str, port: int, key: str, folder: Path) -> int:
    """Put the load of CASE on PORT; exchanges, or chunks, that were served. Exits where one failed."""
    if case == "stream":
        words = [sys.executable, __file__, "--client", str(port), key]
    else:
        body = json.dumps({"messages": [{"role": "user", "content": PROMPT * BODIES[case]}], "model": "gpt-4o"})
        (folder / "load.lua").write_text(
            f"wrk.method = 'POST'\nwrk.body = [==[{body}]==]\n"
            f"wrk.headers['Authorization'] = 'Bearer {key}'\nwrk.headers['Content-Type'] = 'application/json'\n"
            "function done(summary)\n  local wrong = summary.errors\n"
            "  print('served', summary.requests, wrong.status + wrong.read + wrong.connect + wrong.timeout)\nend\n"
        )
        url = f"http://127.0.0.1:{port}/v1/chat/completions"
        words = ["wrk", "-t1", "-c64", f"-d{SECONDS}", "-s", str(folder / "load.lua"), url]
    printed = output_of("taskset", "-c", LOAD_CPU, *words, folder=folder)
    served, wrong = next(line.split()[1:] for line in printed.splitlines() if line.startswith("served"))
    if int(wrong):
        sys.exit(f"{wrong} of {served} were not answered well")
    return int(served)


def microseconds(case: str, words: Sequence[str], port: int, key: str, folder: Path) -> float:
    """CPU microseconds that WORDS take for an exchange of CASE, or for a chunk."""
    with running(words, port, GATEWAY_CPU, folder) as pid:
        load(case, port, key, folder)  # warm
        before = cpu_of(pid)
        served = load(case, port, key, folder)
        return (cpu_of(pid) - before) / served * 1e6


def measure(case: str) -> tuple[float, float]:
    """Microseconds of the gateway and of nginx."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        provider, relay, port, admin = free_ports(4)
        if case == "stream":
            upstream = [sys.executable, __file__, "--provider", str(provider)]
        else:
            upstream = nginx(folder, "provider", answering(provider, folder))
        command, key = gateway(folder, port, admin, provider)
        with running(upstream, provider, LOAD_CPU, folder):
            ours = microseconds(case, command, port, key, folder)
            return ours, microseconds(case, nginx(folder, "relay", relaying(relay, provider)), relay, key, folder)


# The provider and the client of the streams are processes of their own, so that their CPU time is not counted.


def framed(*events: object) -> bytes:
    """EVENTS as one chunk of an event stream."""
    data = "".join(f"data: {event if isinstance(event, str) else json.dumps(event)}\n\n" for event in events).encode()
    return b"%x\r\n%b\r\n" % (len(data), data)


async def provide(port: int) -> None:
    """Serve event streams on PORT."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    event, last = framed(EVENT), framed(LAST, "[DONE]") + b"0\r\n\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head_of_request := await reader.readuntil(b"\r\n\r\n"):
                fields = dict(line.lower().partition(b":")[::2] for line in head_of_request.split(b"\r\n"))
                await reader.readexactly(int(fields.get(b"content-length", b"0")))
                writer.write(head)
                for _ in range(CHUNKS):
                    writer.write(event)
                    await asyncio.sleep(PAUSE)
                writer.write(last)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def read_streams(port: int, key: str) -> None:
    """Read STREAMS streams from PORT at once; prints how many chunks came, and how many did not."""
    body = json.dumps(
        {"messages": [], "model": "gpt-4o", "stream": True, "stream_options": {"include_usage": True}}
    ).encode()
    request = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (key.encode(), len(body), body)
    )

    async def one() -> int:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request)
        answer = await reader.readuntil(b"[DONE]")
        writer.close()
        return answer.count(b"data: {")

    came = sum(await asyncio.gather(*(one() for _ in range(STREAMS))))
    print("served", came, STREAMS * (CHUNKS + 1) - came)


def main() -> None:
    """Print a line for each case."""
    match sys.argv[1:]:
        case ["--provider", port]:
            asyncio.run(provide(int(port)))
        case ["--client", port, key]:
            asyncio.run(read_streams(int(port), key))
        case cases:
            if missing := [name for name in ("nginx", "wrk", "taskset") if shutil.which(name) is None]:
                sys.exit(f"{' and '.join(missing)} not found: see the top of {__file__}")
            for one in cases or ["json", "body", "stream"]:
                ours, floor = measure(one)
                print(f"{one:<8}{ours:8.1f} us   nginx {floor:6.1f} us   {ours / floor:.2f}x", flush=True)


if __name__ == "__main__":
    main()
