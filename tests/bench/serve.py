"""What `beyond-ai agent serve` costs: `python tests/bench/serve.py [DELTAS]`. Exits 1 above a budget.

How long an event takes: from the bytes of a delta that leave the gateway to its frame, read by the client. A bare
socket of this process stands for the gateway, so that the time is the agent's alone, and of one clock. Deltas are sent
one by one, each when the frame of the one before is there, as a model does that is slower than the agent. And how much
memory the process holds, in rest and after a task.
"""

import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Final

from beyond_ai.testing.wire import LAST_CHUNK, chunk, chunked_head

DELTAS: Final = 1_000
LATENCY: Final = 2.0
"""Milliseconds of the median."""
MEMORY: Final = 60.0
"""MiB in rest."""
COMMAND: Final = Path(sys.executable).with_name("beyond-ai")
END: Final = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def main() -> int:
    """Measure; 1 above a budget."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else DELTAS
    with (
        tempfile.TemporaryDirectory() as folder,
        socket.create_server(("127.0.0.1", 0)) as listener,
        subprocess.Popen(
            [COMMAND, "agent", "serve", "--model", "gpt-oss-120b"],
            cwd=folder,
            env=environment(folder, listener.getsockname()[1]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        read(process.stdout, "ready")
        idle = resident(process.pid)
        process.stdin.write(b'{"id":"1","type":"prompt","message":"hello"}\n')
        process.stdin.flush()
        taken = sorted(deltas(listener, process.stdout, count))
        used = resident(process.pid)
        process.stdin.close()
        read(process.stdout, "exit")
    median, late = statistics.median(taken), taken[int(len(taken) * 0.99)]
    print(f"an event is passed on in {median:.2f} ms, 1 of 100 in more than {late:.2f} ms; budget {LATENCY:g} ms")
    print(f"memory: {idle:.0f} MiB in rest, {used:.0f} MiB after a task; budget {MEMORY:g} MiB in rest")
    return 0 if median <= LATENCY and idle <= MEMORY else 1


def deltas(listener: socket.socket, frames: IO[bytes], count: int) -> list[float]:
    """Answer the request with COUNT deltas; milliseconds until the frame of each."""
    connection, _ = listener.accept()
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        request = b""
        while b"\r\n\r\n" not in request or not request.endswith(b"}"):
            request += connection.recv(65_536)
        connection.sendall(chunked_head(200, [(b"content-type", b"text/event-stream")]))
        taken = []
        for number in range(count):
            text = f"word {number} "
            data = sse({"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}}]})
            start = time.perf_counter()
            connection.sendall(data)
            frame = read(frames, "event", "text_delta")
            taken.append((time.perf_counter() - start) * 1_000)
            assert text in frame
        connection.sendall(sse(END) + chunk(b"data: [DONE]\n\n") + LAST_CHUNK)
        read(frames, "response")
    return taken


def sse(event: Mapping[str, object]) -> bytes:
    """EVENT as a chunk with one SSE event in it."""
    return chunk(b"data: " + json.dumps(event).encode() + b"\n\n")


def read(frames: IO[bytes], kind: str, event: str = "") -> str:
    """The next frame of KIND, and with an EVENT of that type in it."""
    for line in frames:
        text = line.decode()
        if text.startswith(f'{{"type":"{kind}"') and f'"{event}' in text:
            return text
    raise SystemExit(f"the agent has ended before a frame {kind}")


def resident(pid: int) -> float:
    """MiB that the process PID holds; Linux alone says it."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024**2


def environment(folder: str, port: int) -> dict[str, str]:
    """Of an agent that asks the socket on PORT, and finds nothing of its user's."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "PYTHON"))}
    own = {"HOME": folder, "AI_GATEWAY_URL": f"http://127.0.0.1:{port}", "AI_AGENT_KEY": "sk-fake"}
    return {**inherited, **own}


if __name__ == "__main__":
    sys.exit(main())
