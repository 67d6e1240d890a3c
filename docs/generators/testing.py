"""The test kit, from what `beyond_ai.testing` hands on."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from types import ModuleType

from beyond_ai import testing
from beyond_ai.testing import conformance
from generators.definitions import definition, paragraphs
from generators.sources import names


def page() -> Iterator[str]:
    """Yield the page."""
    yield "# Test kit"
    yield ""
    yield (
        "`beyond_ai.testing` is in the wheel, for plugin authors' tests: what our own use. All names below can be "
        "imported from it, or, where their section says so, from `beyond_ai.testing.conformance`. "
        "[Plugins](../plugins.md#testing-yours) has an example."
    )
    for package in (testing, conformance):
        for module, imported in _imports(package):
            yield from _section(module)
            for name in imported:
                yield from definition(module, name)
    for answers in (testing.chat, testing.responses, testing.messages):
        yield from _section(answers.__name__)
        for name in _public(answers):
            yield from definition(answers.__name__, name)


def _imports(package: ModuleType) -> Iterator[tuple[str, list[str]]]:
    """The modules that PACKAGE gets its names from, each with those that it hands on."""
    for node in ast.parse(inspect.getsource(package)).body:
        if isinstance(node, ast.ImportFrom) and node.module not in (None, package.__name__):
            yield str(node.module), [alias.name for alias in node.names]


def _section(module: str) -> Iterator[str]:
    text = (inspect.getdoc(importlib.import_module(module)) or "").partition("\n\n")[0]
    yield from ("", f"## `{module}`", "")
    yield from paragraphs(text)


def _public(module: ModuleType) -> list[str]:
    body = ast.parse(inspect.getsource(module)).body
    functions = (node for node in body if isinstance(node, ast.FunctionDef))
    return [name for node in functions for name in names(node) if not name.startswith("_")]
