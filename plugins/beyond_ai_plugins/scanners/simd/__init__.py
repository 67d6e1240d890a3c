"""The `simd` scanner: the same as `python` by the CPU's vector instructions, in C, some fifty times as fast.

AVX2 or SSE2 on x86-64, NEON on arm64, plain C elsewhere; which one is chosen when a scanner is made. The extension
`_simd` is compiled when the distribution is built, if there is a C compiler. Without it, `python` serves.
"""

from collections.abc import Iterable

from beyond_ai import Component, ScannerFactory, Unavailable, hookimpl


@hookimpl
def beyond_scanners() -> Iterable[Component[ScannerFactory]]:
    """Offer the native scanner, and say which instructions it uses here.

    Raises Unavailable where the extension was not built. One that cannot be loaded is broken, and raises ImportError.
    """
    try:
        import beyond_ai_plugins.scanners.simd._simd as native
    except ModuleNotFoundError as error:
        raise Unavailable(
            "its extension is not built: install beyond-ai where there is a C compiler, gcc or clang, and Python's "
            "headers"
        ) from error
    yield Component(
        name="simd",
        summary=f"in C, with the instruction set {native.instruction_set()}",
        create=lambda _context: ScannerFactory(native.Scanner, preference=10),
    )
