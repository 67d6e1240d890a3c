"""Every seam, from its file in `beyond_ai.spec`: the hook with its signature, its story, its example and its types."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Final

import beyond_ai
from beyond_ai.spec import KINDS, Kind
from generators.definitions import definition, paragraphs, signature
from generators.sources import class_tree, names

FIRST_NAME: Final = re.compile(r'yield \w+\(\s*name="([\w-]+)"')
SET_IN: Final = re.compile(r"(^ {4}.+(?:\n+ {4}.+)*)", re.MULTILINE)
FURTHER: Final = {
    "provider": ("beyond_ai.spec.usage", "beyond_ai.spec.token_count"),
    "sink": ("beyond_ai.spec.usage_event",),
}
"""Modules beside a seam's own that hold types of its records."""
SHARED: Final = (
    "beyond_ai.spec.markers",
    "beyond_ai.spec.component",
    "beyond_ai.spec.availability",
    "beyond_ai.configured",
    "beyond_ai.errors",
)
"""What several seams have in common."""


def page() -> Iterator[str]:
    """Yield the page."""
    yield "# Hooks"
    yield ""
    yield (
        "A plugin is a module that an entry point names, with one function marked `hookimpl`. Each kind has a hook of "
        "its own, which is called once, when a program starts, and yields records. [Plugins](../plugins.md) tells how "
        "to write one; here is what each seam promises, from the docstrings of `beyond_ai.spec`. The examples are "
        "complete, and run by the tests."
    )
    for kind in KINDS:
        yield from _seam(kind)
    yield ""
    yield "## What several kinds have in common"
    for module in SHARED:
        yield from _types(module)


def _seam(kind: Kind) -> Iterator[str]:
    module = inspect.getmodule(kind.hooks)
    assert module is not None
    hook = _function(kind)
    yield ""
    yield f"## {kind.name}"
    yield ""
    yield from _story(inspect.getdoc(module) or "", kind)
    yield f"### `{kind.hook}`"
    yield ""
    yield f"In the entry-point group `{kind.group}`."
    yield ""
    yield "```text"
    yield signature(hook)
    yield "```"
    yield ""
    yield from paragraphs(ast.get_docstring(hook) or "")
    yield from _types(module.__name__)
    for further in FURTHER.get(kind.name, ()):
        yield from _types(further)


def _function(kind: Kind) -> ast.FunctionDef:
    return next(
        node for node in class_tree(kind.hooks).body if isinstance(node, ast.FunctionDef) and node.name == kind.hook
    )


def _story(text: str, kind: Kind) -> Iterator[str]:
    """The docstring of a module; what is set in by four spaces is an example, or else a picture."""
    for part in SET_IN.split(text):
        yield from _code(inspect.cleandoc(part), kind) if part.startswith("    ") else (part.strip("\n"), "")


def _code(block: str, kind: Kind) -> Iterator[str]:
    found = FIRST_NAME.search(block)
    if found is not None:
        yield f"<!-- example: {kind.name} {found[1]} -->"
    yield "```python" if found is not None else "```text"
    yield block
    yield "```"
    yield ""


def _types(module: str) -> Iterator[str]:
    """What MODULE defines for others: its classes but for the hooks, and what else `beyond_ai` hands on."""
    for node in ast.parse(inspect.getsource(importlib.import_module(module))).body:
        is_type = isinstance(node, ast.ClassDef) and not node.name.endswith("Hooks") and not node.name.startswith("_")
        if is_type or set(names(node)) & set(beyond_ai.__all__):
            yield from definition(module, names(node)[0])
