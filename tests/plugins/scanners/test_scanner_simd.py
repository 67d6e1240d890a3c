"""What is true of the native scanner alone: how it is offered, what it can be fed, threads and interpreters."""

import gc
import importlib.util
import mmap
import platform
import sys
import threading
import time
import tracemalloc
import weakref
from array import array
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.plugins.scanners.backends import INSTRUCTION_SETS, if_built

from beyond_ai import ConfigError, Context, Scanner, Unavailable
from beyond_ai.config import Settings
from beyond_ai.gateway.assembly import assemble
from beyond_ai.registry import PluginPolicy, State, load
from beyond_ai.testing.conformance.reference_scanner import read
from beyond_ai_plugins.scanners import simd

if INSTRUCTION_SETS:
    from beyond_ai_plugins.scanners.simd import _simd

EXTENSION = "beyond_ai_plugins.scanners.simd._simd"
UNLOCKED_BYTES = 64 * 1024
"""From this size on, a chunk is scanned without the interpreter's lock."""


@if_built
def test_it_is_preferred_and_says_what_it_uses() -> None:
    (component,) = simd.beyond_scanners()
    factory = component.create(Context())
    assert component.name == "simd"
    assert component.summary.endswith(f" {_simd.instruction_set()}")
    assert factory.preference > 0
    assert isinstance(factory.scanner(), Scanner)
    assert factory.scanner() is not factory.scanner()


def test_without_its_extension_it_says_how_to_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, EXTENSION, None)
    with pytest.raises(Unavailable, match=r"extension is not built: install beyond-ai where there is a C compiler"):
        list(simd.beyond_scanners())


def test_without_its_extension_the_python_scanner_serves_in_silence(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, EXTENSION, None)
    assembly = assemble(Settings(no_plugins=True), dev=True)
    assert assembly.scanner == "python"
    assert caplog.records == []
    with pytest.raises(ConfigError, match="scanner: no plugin in use offers simd"):
        assemble(Settings(no_plugins=True, scanner="simd"), dev=True)


def test_an_extension_that_cannot_be_loaded_is_a_failure(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "_simd.abi3.so").write_bytes(b"of another machine")
    monkeypatch.delitem(sys.modules, EXTENSION, raising=False)
    monkeypatch.setattr(simd, "__path__", [str(tmp_path)])
    registry = load(["scanner"], PluginPolicy(third_party=False))
    (report,) = [report for report in registry.reports if report.name == "simd"]
    assert report.state is State.FAILED
    assert report.reason.startswith("`beyond_scanners` raised ImportError: ")
    assert list(registry.scanners()) == ["python"]


@if_built
def test_the_best_instruction_set_of_the_machine_is_used() -> None:
    expected = {"x86_64": ["sse2", "portable"], "aarch64": ["neon", "portable"], "arm64": ["neon", "portable"]}
    sets = expected.get(platform.machine(), ["portable"])
    flags = Path("/proc/cpuinfo")
    if flags.exists() and {"avx2", "bmi1", "popcnt"} <= set(flags.read_text().split()):
        sets = ["avx2", *sets]
    assert [name for name in _simd.instruction_sets() if name != "avx2" or "avx2" in sets] == sets
    assert _simd.instruction_set() == _simd.instruction_sets()[0]
    for name in sets:
        assert read(_simd.Scanner(name), [b'{"model":"m"}']).model == b"m"


@if_built
def test_an_unknown_instruction_set_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no instruction set 'mmx' on this machine, only \(.*'portable'.*\)"):
        _simd.Scanner(instruction_set="mmx")


@if_built
@pytest.mark.parametrize("size", [0, 20, UNLOCKED_BYTES])
def test_any_buffer_can_be_fed(size: int) -> None:
    body = b'{"a":"%b","model":"m"}' % (b"a " * size)
    expected = read(_simd.Scanner(), [body])
    with mmap.mmap(-1, len(body)) as mapped:
        mapped[:] = body
        for data in (bytearray(body), memoryview(body), memoryview(b"-" + body)[1:], array("B", body), mapped):
            scanner = _simd.Scanner()
            scanner.feed(data)
            assert read(scanner, []) == expected


@if_built
def test_what_is_no_buffer_of_bytes_is_refused() -> None:
    scanner = _simd.Scanner()
    with pytest.raises(TypeError, match="bytes-like"):
        scanner.feed("{}")  # type: ignore[arg-type]
    with pytest.raises(BufferError):
        scanner.feed(memoryview(b"{x}x")[::2])
    scanner.feed(b"{}")
    assert scanner.root_end == 1


@if_built
def test_what_is_fed_is_not_kept() -> None:
    data = bytearray(b'{"model":"m","stream_options":{')
    scanner = _simd.Scanner()
    scanner.feed(data)
    data.clear()  # BufferError if it were
    assert scanner.model == b"m"


@if_built
def test_feeding_allocates_nothing() -> None:
    body = b'{"messages":"%b","%b":1,"model":"%b"}' % (b"some text, " * 100_000, b"k" * 1000, b"m" * 1000)
    first, *pieces = [body[at : at + 4096] for at in range(0, len(body), 4096)]
    scanner = _simd.Scanner()
    feed = scanner.feed
    feed(first)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for piece in pieces:
            feed(piece)
        feed(body)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert scanner.model == b"m" * 256
    assert peak - before < 1024  # what this test itself takes


@pytest.fixture
def no_switching() -> Iterator[None]:
    """Threads give the interpreter's lock away of their own accord or not at all."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(interval)


@if_built
@pytest.mark.usefixtures("no_switching")
def test_other_threads_run_while_a_large_chunk_is_scanned() -> None:
    gate, ran = threading.Event(), threading.Event()

    def other() -> None:
        gate.wait()
        ran.set()

    thread = threading.Thread(target=other)
    thread.start()
    scanner = _simd.Scanner()
    small, large = bytes(UNLOCKED_BYTES - 1), bytes(16 * 1024 * 1024)
    gate.set()
    for _ in range(200):
        scanner.feed(small)
    assert not ran.is_set()
    deadline = time.monotonic() + 20
    while not ran.is_set() and time.monotonic() < deadline:
        scanner.feed(large)
    assert ran.is_set()
    thread.join()


@if_built
@pytest.mark.usefixtures("no_switching")
def test_two_threads_cannot_feed_one_scanner() -> None:
    scanner = _simd.Scanner()
    large = b"a " * (8 * 1024 * 1024)
    refused = threading.Event()
    fed = 0

    def feed() -> None:
        nonlocal fed
        deadline = time.monotonic() + 20
        while not refused.is_set() and time.monotonic() < deadline:
            scanner.feed(large)
            fed += 1

    thread = threading.Thread(target=feed)
    thread.start()
    while thread.is_alive() and not refused.is_set():
        time.sleep(0)  # let the other thread have the lock
        try:
            scanner.feed(b"")
        except RuntimeError:
            # While this thread has the lock, the other one cannot end its scan.
            with pytest.raises(RuntimeError, match="another thread is feeding this scanner"):
                scanner.feed(bytearray(b"a b"))
            for name in ("model", "stream", "options", "open_option", "root_end", "root_empty", "words"):
                with pytest.raises(RuntimeError, match="use one scanner for each body"):
                    getattr(scanner, name)
            refused.set()
    thread.join()
    assert refused.is_set()
    assert scanner.words == fed * len(large) // 2


def new_module() -> ModuleType:
    """The extension once more, as another interpreter would load it."""
    spec = importlib.util.spec_from_file_location("_simd", _simd.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@if_built
def test_modules_share_nothing_and_are_collected() -> None:
    module = new_module()
    assert module.Scanner is not _simd.Scanner
    vars(module)["itself"] = module.Scanner()  # a cycle through the type
    kind = weakref.ref(module.Scanner)
    del module
    gc.collect()
    assert kind() is None


@if_built
def test_a_scanner_cannot_be_changed_or_subclassed() -> None:
    scanner = _simd.Scanner()
    with pytest.raises(AttributeError):
        scanner.model = b"m"  # type: ignore[misc]
    with pytest.raises(TypeError):
        _simd.Scanner.feed = None  # type: ignore[assignment, method-assign]
    with pytest.raises(TypeError):
        type("Other", (_simd.Scanner,), {})


@if_built
def test_it_works_in_another_interpreter() -> None:
    name = "_xxsubinterpreters" if sys.version_info < (3, 13) else "_interpreters"
    interpreters = pytest.importorskip(name)
    other = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create(isolated=False)
    code = f"""
import importlib.util
spec = importlib.util.spec_from_file_location("_simd", {_simd.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
scanner = module.Scanner()
scanner.feed(b'{{"model":"m"}}')
assert scanner.model == b"m"
"""
    try:
        assert interpreters.run_string(other, code) is None
    finally:
        interpreters.destroy(other)
    assert read(_simd.Scanner(), [b'{"model":"m"}']).model == b"m"
