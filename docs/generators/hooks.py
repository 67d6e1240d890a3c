"""Every seam, from its file in `beyond_ai.spec`: the hook with its signature, its story, its example and its types."""

import ast
import inspect
import re
from collections.abc import Iterator
from typing import Final

from beyond_ai.spec import KINDS, Kind
from generators.sources import class_tree, notes, targets
from generators.tables import one_line

FIRST_NAME: Final = re.compile(r'yield \w+\(\s*name="([\w-]+)"')
ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)
SET_IN: Final = re.compile(r"(^ {4}.+(?:\n+ {4}.+)*)", re.MULTILINE)
FURTHER: Final = {"provider": ("beyond_ai.spec.usage",), "sink": ("beyond_ai.spec.usage_event",)}
"""Modules beside a seam's own that hold types of its records."""
SHARED: Final = ("beyond_ai.spec.component", "beyond_ai.spec.availability")
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
        yield from _types(module, without="")


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
    yield _signature(hook)
    yield "```"
    yield ""
    yield from _text(ast.get_docstring(hook) or "")
    yield from _types(module.__name__, without=kind.hooks.__name__)
    for further in FURTHER.get(kind.name, ()):
        yield from _types(further, without="")


def _function(kind: Kind) -> ast.FunctionDef:
    return next(
        node for node in class_tree(kind.hooks).body if isinstance(node, ast.FunctionDef) and node.name == kind.hook
    )


def _signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The line of FUNCTION, without `self`, as a plugin writes it."""
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^self(, )?", "", arguments)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns is not None else ""
    start = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    return re.sub(r"'([^']*)'", r"\1", f"{start} {function.name}({arguments}){returns}")


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


def _text(docstring: str) -> Iterator[str]:
    """Paragraphs, and `Attributes:` as a list."""
    prose, _, attributes = docstring.partition("\nAttributes:\n")
    if prose.strip():
        yield prose.strip()
        yield ""
    for name, text in ATTRIBUTE.findall(attributes):
        yield f"- `{name}`: {one_line(text)}"
    if attributes:
        yield ""


def _types(module: str, without: str) -> Iterator[str]:
    """The public classes of MODULE."""
    source = inspect.getsource(__import__(module, fromlist=["_"]))
    for node in ast.parse(source).body:
        if isinstance(node, ast.ClassDef) and node.name != without and not node.name.startswith("_"):
            yield ""
            yield f"### `{node.name}`"
            yield ""
            yield from _text(ast.get_docstring(node) or "")
            yield from _members(node, described="Attributes:" in (ast.get_docstring(node) or ""))


def _members(tree: ast.ClassDef, *, described: bool) -> Iterator[str]:
    """Fields, values and methods; fields only where the docstring has not DESCRIBED them already."""
    texts = notes(tree)
    for member in tree.body:
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef) and not member.name.startswith("_"):
            is_property = any(isinstance(mark, ast.Name) and mark.id == "property" for mark in member.decorator_list)
            written = member.name if is_property else _signature(member)
            yield f"- `{written}`: {one_line(ast.get_docstring(member) or '')}"
        elif targets(member) and not described:
            text = texts.get(ast.unparse(targets(member)[0]))
            yield f"- `{_written(member)}`" + (f": {text}" if text else "")
    yield ""


def _written(member: ast.stmt) -> str:
    """MEMBER as it stands, but for the quotes around a type that is only named."""
    if isinstance(member, ast.AnnAssign) and isinstance(member.annotation, ast.Constant):
        return ast.unparse(member).replace(repr(member.annotation.value), str(member.annotation.value), 1)
    return ast.unparse(member)
