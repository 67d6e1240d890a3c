"""The `simd` scanner: the same as `python` by the CPU's vector instructions, in C, some thirty times as fast.

AVX2 or SSE2 on x86-64, NEON on arm64, plain C elsewhere; which one is chosen when a scanner is made. The extension
`_simd` is compiled when the distribution is built, if there is a C compiler. Without it, `python` serves.
"""

from collections.abc import Iterable

from beyond_ai import Component, Context, ScannerFactory, hookimpl


def _summary() -> str:
    try:
        from beyond_ai_plugins.scanners.simd import _simd
    except ImportError:
        return "in C with vector instructions; not built in this installation"
    return f"in C, with the instruction set {_simd.instruction_set()}"


def _create(_context: Context) -> ScannerFactory:
    """Raises ImportError where the extension cannot be loaded."""
    try:
        from beyond_ai_plugins.scanners.simd import _simd
    except ImportError as error:
        raise ImportError(
            f"its extension cannot be loaded ({error}): to have it, install beyond-ai where there is a C compiler, gcc "
            "or clang, and Python's headers"
        ) from error
    return ScannerFactory(_simd.Scanner, preference=10)


@hookimpl
def beyond_scanners() -> Iterable[Component[ScannerFactory]]:
    """Offer the native scanner, and say which instructions it uses here."""
    yield Component(name="simd", summary=_summary(), create=_create)
