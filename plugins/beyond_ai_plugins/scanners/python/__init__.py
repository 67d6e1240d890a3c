"""The `python` scanner: works wherever Python does, and serves where the native one was not built."""

from collections.abc import Iterable

from beyond_ai import Component, Context, Scanner, ScannerFactory, hookimpl
from beyond_ai_plugins.scanners.python.machine import PythonScanner


def _create(_context: Context) -> ScannerFactory:
    def scanner() -> Scanner:
        return PythonScanner()

    return ScannerFactory(scanner)


@hookimpl
def beyond_scanners() -> Iterable[Component[ScannerFactory]]:
    """Offer the scanner that always works."""
    yield Component(name="python", summary="pure Python, nothing to compile", create=_create)
