"""How long `beyond-ai agent run` takes from start to first request: `python tests/bench/agent_start.py [ROUNDS]`.

Exits 1 above the budget. A bare socket stands for the gateway, so that nothing of the measured time is a server's. The
time that counts is the best round: a machine that does other work makes a start longer, never shorter. CPU time is
that of the whole process up to its end, which is some milliseconds more than what the first request has cost. Byte
code is kept, as an installation does, in a folder of the measure's own.
"""

import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROUNDS: Final = 15
BUDGET: Final = 350.0
"""Milliseconds."""
COMMAND: Final = Path(sys.executable).with_name("beyond-ai")
REFUSAL: Final = (
    b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nContent-Length: 37\r\nConnection: close\r\n\r\n"
    b'{"error":{"message":"only a measure"}}'
)


def first_request(listener: socket.socket, folder: str) -> tuple[float, float, int]:
    """Milliseconds until the head of a request is there, CPU milliseconds of the process, bytes of the request."""
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AI_", "PYTHON"))}
    environ = {
        **inherited,
        "HOME": folder,
        "PYTHONPYCACHEPREFIX": f"{folder}/bytecode",
        "AI_GATEWAY_URL": url,
        "AI_AGENT_KEY": "sk-fake",
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    process = subprocess.Popen(
        [COMMAND, "agent", "run", "--model", "claude-opus-4-8", "hello"],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    connection, _ = listener.accept()
    with connection:
        request = connection.recv(65_536)
        took = (time.perf_counter() - started) * 1000
        while b"\r\n\r\n" not in request or len(request.partition(b"\r\n\r\n")[2]) < length_of(request):
            request += connection.recv(65_536)
        connection.sendall(REFUSAL)
        process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000
    return took, used, length_of(request)


def length_of(request: bytes) -> int:
    """What the head of REQUEST says of its body."""
    for line in request.partition(b"\r\n\r\n")[0].split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def main() -> int:
    """Measure; 1 above the budget."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        first_request(listener, folder)  # compiles what is not compiled yet
        measured = [first_request(listener, folder) for _ in range(rounds)]
    best, middle = min(took for took, _, _ in measured), statistics.median(took for took, _, _ in measured)
    print(f"start to first request: best {best:.0f} ms, median {middle:.0f} ms of {rounds}; budget {BUDGET:.0f} ms")
    print(f"CPU time of a process: best {min(used for _, used, _ in measured):.0f} ms")
    print(f"first request, all built-in tools: {measured[0][2]:,} bytes")
    return 0 if best <= BUDGET else 1


if __name__ == "__main__":
    sys.exit(main())
