"""Threads that may be left behind: a look-up that hangs in the system's resolver cannot be called back."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Strays(ThreadPoolExecutor):
    """A thread for each call, so that none waits for another; at the end of the program nobody waits for them.

    A `ThreadPoolExecutor` only because an event loop takes nothing else.
    """

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call FUNCTION in a thread of its own."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nobody cancels it under the thread's hands

        def call() -> None:
            try:
                result = function(*args, **kwargs)
            except BaseException as error:  # noqa: BLE001 - it is for whoever waits for the future
                future.set_exception(error)
            else:
                future.set_result(result)

        threading.Thread(target=call, name="doctor", daemon=True).start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Wait for nobody."""
