"""A plugin that hangs while it is loaded is interrupted and set aside with the place where it hung."""

import signal
import sys
import threading
import time
from collections.abc import Callable

import pytest

from beyond_ai import ConfigError, PluginError
from beyond_ai.registry import PluginPolicy, State, load
from beyond_ai.registry.deadline import within
from beyond_ai.registry.plugin import Unusable

Install = Callable[..., None]

GOOD = """
    from beyond_ai import Provider, hookimpl

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443")
"""
HOOK = """\
import socket, subprocess, threading, time
from beyond_ai import hookimpl
@hookimpl
def beyond_providers():
  """
LATE = "`beyond_providers` did not end in 0.3 s"
HANGS = {
    "sleeps_at_import": (
        "import time\ntime.sleep(30)",
        "its import did not end in 0.3 s (sleeps_at_import_plugin, line 2)",
    ),
    "sleeps": (HOOK + "time.sleep(30)", f"{LATE} (sleeps_plugin, line 5)"),
    "spins": (HOOK + "while True: pass", f"{LATE} (spins_plugin, line 5)"),
    "waits_for_a_lock": (HOOK + "threading.Event().wait()", f"{LATE} (threading, line "),
    "waits_for_a_socket": (
        HOOK + "one, other = socket.socketpair()\n  with one, other: one.recv(1)",
        f"{LATE} (waits_for_a_socket_plugin, line 6)",
    ),
    "waits_for_a_child": (HOOK + "subprocess.run(['sleep', '30'])", f"{LATE} (subprocess, line "),
    "catches_exceptions": (
        HOOK + "\n  try: time.sleep(30)\n  except Exception: yield from ()",
        f"{LATE} (catches_exceptions_plugin, line 6)",
    ),
    "catches_everything": (HOOK + "\n  try: time.sleep(30)\n  except: yield from ()", LATE),
    "catches_and_goes_on": (
        HOOK + "\n  try: time.sleep(30)\n  except: time.sleep(30)",
        f"{LATE} (catches_and_goes_on_plugin, line 7)",
    ),
}


@pytest.mark.parametrize("case", HANGS)
def test_what_hangs_is_set_aside(install: Install, case: str) -> None:
    source, reason = HANGS[case]
    install("good-dist", {"providers": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    install("bad-dist", {"providers": {case: f"{case}_plugin"}}, {f"{case}_plugin": source}, version="0.3")
    before = signal.getsignal(signal.SIGALRM)
    started = time.monotonic()

    registry = load(["provider"], PluginPolicy(load_timeout=0.3))

    assert time.monotonic() - started < 10, "it was waited for"
    rows = {report.name: report for report in registry.reports}
    assert (rows[case].state, rows[case].distribution) == (State.FAILED, "bad-dist")
    assert rows[case].reason.startswith(reason)
    assert rows[case].load_ms >= 300
    assert rows["good"].state is State.LOADED
    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
    if case == "sleeps_at_import":
        assert f"{case}_plugin" not in sys.modules


def test_strict_raises_for_what_hangs(install: Install) -> None:
    install("bad-dist", {"providers": {"sleeps": "sleeps_plugin"}}, {"sleeps_plugin": HANGS["sleeps"][0]})
    with pytest.raises(PluginError, match=r"of bad-dist 1\.0: `beyond_providers` did not end in 0\.1 s"):
        load(["provider"], PluginPolicy(load_timeout=0.1, strict=True))


def test_what_ends_in_time_is_left_alone() -> None:
    assert within(5, "it", lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        within(5, "it", lambda: 1 // 0)
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)


def test_no_limit_holds_in_another_thread() -> None:
    done: list[str] = []

    def load_late() -> None:
        try:
            within(0.05, "it", lambda: time.sleep(0.3))
            done.append("loaded")
        except Unusable:
            done.append("interrupted")

    thread = threading.Thread(target=load_late)
    thread.start()
    thread.join(10)
    assert done == ["loaded"]


@pytest.mark.parametrize("value", [0, -1, "soon", True, "inf", []])
def test_a_limit_that_is_none_is_refused(value: object) -> None:
    with pytest.raises(ConfigError, match="plugins_load_timeout_secs: must be a number of seconds above 0"):
        PluginPolicy.from_values({"plugins_load_timeout_secs": value})
    assert PluginPolicy.from_values({"plugins_load_timeout_secs": "2.5"}).load_timeout == 2.5
