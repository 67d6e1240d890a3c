"""How fast the scanners read: `python tests/bench/scanner.py`. Exits 1 below a budget of the native one, or without it.

Every body is a managed request with `model` last, so that all of it is read. Rates are the best of many rounds, of
memory that is in the CPU's cache, as a chunk from the socket is. `NAME...` measures these backends alone: `python`,
`simd`, or an instruction set of the native one.
"""

import json
import sys
import timeit
from collections.abc import Callable
from typing import Final

from beyond_ai import Scanner
from beyond_ai_plugins.scanners.python.machine import PythonScanner

try:
    from beyond_ai_plugins.scanners.simd import _simd
except ImportError as error:
    sys.exit(f"the native scanner is not built: {error}")

SECONDS: Final = 0.02
"""How long a round takes, about."""
ROUNDS: Final = 15

PROSE: Final = (
    'The quarterly report says that revenue grew by 12% while costs stayed flat; "steady" is the word it uses.\n'
    "Summarise the three main risks, then list what the team should decide before Friday's meeting. "
)
SOURCE: Final = 'def greet(name: str) -> str:\n    """Say hello."""\n    return f"hello, {name}\\n"\n\n'
PROPERTY: Final = {"type": "string", "description": "Path of the file, relative to the root.", "minLength": 1}
CHOICE: Final = {"type": ["integer", "null"], "enum": [1, 2, 3, None], "default": None}


def body(**members: object) -> bytes:
    """A request whose `model` is last."""
    members = {"stream": True, "temperature": 0.2, **members, "model": "gpt-4o-2024-08-06"}
    return json.dumps(members, separators=(",", ":")).encode()


def chat(text: str, size: int) -> bytes:
    """A conversation of about SIZE bytes in messages of 2 KB."""
    message = (text * (2000 // len(text) + 1))[:2000]
    roles = ("user", "assistant")
    messages = [{"role": roles[turn % 2], "content": message} for turn in range(size // 2000)]
    return body(messages=messages)


def tools(size: int) -> bytes:
    """The schemas of an agent's tools, about SIZE bytes of them."""
    parameters = {
        "type": "object",
        "properties": {"path": PROPERTY, "limit": CHOICE, "range": {"type": "array", "items": CHOICE}},
        "required": ["path"],
        "additionalProperties": False,
    }
    tool = {"name": "read", "description": "Read a file and return its lines.", "parameters": parameters}
    count = size // len(json.dumps(tool, separators=(",", ":")))
    return body(tools=[{"type": "function", "function": tool}] * count, messages=[{"role": "user", "content": "Go."}])


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


CHAT: Final = chat(PROSE, 100_000)
ROWS: Final[list[tuple[str, list[bytes], float | None]]] = [
    ("chat text, 100 KB", [CHAT], 4.0),
    ("chat text, 100 KB in chunks of 4 KiB", chunks(CHAT, 4096), 3.0),
    ("tool schemas, 100 KB", [tools(100_000)], 2.0),
    ("source code in chat, 100 KB", [chat(SOURCE, 100_000)], None),
    ("chat text, 1 MB in chunks of 64 KiB", chunks(chat(PROSE, 1_000_000), 65536), None),
    ("chat text, 2 KB", [chat(PROSE, 2_000)], None),
]
"""What is read, in which pieces, and the least GB/s of `simd`."""


def backend(name: str) -> Callable[[], Scanner]:
    if name == "python":
        return PythonScanner
    return lambda: _simd.Scanner(None if name == "simd" else name)


def rate(new_scanner: Callable[[], Scanner], pieces: list[bytes]) -> float:
    """GB/s, with making the scanner and asking for the model."""

    def scan() -> bytes | None:
        scanner = new_scanner()
        feed = scanner.feed
        for piece in pieces:
            feed(piece)
        return scanner.model

    assert scan() == b"gpt-4o-2024-08-06"
    timer = timeit.Timer(scan)
    number = max(1, round(SECONDS / min(timer.repeat(number=1, repeat=5))))
    best = min(timer.repeat(number=number, repeat=ROUNDS)) / number
    return sum(map(len, pieces)) / best / 1e9


def main() -> int:
    """Print a table; 1 when a row is below its budget."""
    names = sys.argv[1:] or ["python", "simd"]
    print(f"{'GB/s':<40}" + "".join(f"{name:>10}" for name in names) + f"   ({_simd.instruction_set()})")
    below = False
    for title, pieces, budget in ROWS:
        rates = {name: rate(backend(name), pieces) for name in names}
        below |= budget is not None and rates.get("simd", budget) < budget
        line = f"{title:<40}" + "".join(f"{found:10.2f}" for found in rates.values())
        print(line + (f"   at least {budget:.0f}" if budget is not None else ""))
    return below


if __name__ == "__main__":
    sys.exit(main())
