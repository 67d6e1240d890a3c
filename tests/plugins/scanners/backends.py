"""The scanners that we ship: the Python one, and the native one with each instruction set of this machine."""

import os

import pytest

from beyond_ai import Scanner
from beyond_ai_plugins.scanners.python.machine import PythonScanner

try:
    from beyond_ai_plugins.scanners.simd import _simd
except ImportError:
    if os.environ.get("CI"):
        raise  # there is a compiler there
    INSTRUCTION_SETS: tuple[str, ...] = ()
else:
    INSTRUCTION_SETS = _simd.instruction_sets()

if_built = pytest.mark.skipif(not INSTRUCTION_SETS, reason="the extension of the scanner `simd` is not built")

each_backend = pytest.mark.parametrize(
    "backend", ["python", *(INSTRUCTION_SETS or [pytest.param("simd", marks=if_built)])]
)


def new_scanner(backend: str) -> Scanner:
    return PythonScanner() if backend == "python" else _simd.Scanner(instruction_set=backend)
