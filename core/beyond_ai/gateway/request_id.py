"""Request ids: unique across processes, cheap to make, never more than 33 characters."""

import itertools
import os


class RequestIds:
    """`{instance}-{sequence}`, both hexadecimal: 8 random bytes drawn once a process, and a counter."""

    def __init__(self) -> None:
        instance = int.from_bytes(os.urandom(8), "little")
        self._prefix = f"{instance:x}-"
        self._sequence = itertools.count()

    def next(self) -> str:
        """The next id."""
        return f"{self._prefix}{next(self._sequence):x}"
