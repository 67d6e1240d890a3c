"""A class, function or value as its source defines it, with its docstring."""

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Final

from generators.sources import names, notes
from generators.tables import one_line

ATTRIBUTE: Final = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def definition(module: str, name: str, heading: str = "###") -> Iterator[str]:
    """Yield what MODULE says of NAME, which it defines."""
    body = ast.parse(inspect.getsource(importlib.import_module(module))).body
    node = next(node for node in body if name in names(node))
    yield from ("", f"{heading} `{name}`", "")
    if isinstance(node, ast.ClassDef):
        docstring = ast.get_docstring(node) or ""
        yield from paragraphs(docstring)
        yield from _members(node, described="Attributes:" in docstring)
    elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        yield from ("```text", signature(node), "```", "")
        yield from paragraphs(ast.get_docstring(node) or "")
    else:
        yield from ("```text", ast.unparse(node), "```", "", notes(body).get(name, ""), "")


def signature(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """The line of FUNCTION, without `self`, as a plugin writes it."""
    arguments = ast.unparse(function.args)
    arguments = re.sub(r"^self(, )?", "", arguments)
    returns = f" -> {ast.unparse(function.returns)}" if function.returns is not None else ""
    start = "async def" if isinstance(function, ast.AsyncFunctionDef) else "def"
    return re.sub(r"'([^']*)'", r"\1", f"{start} {function.name}({arguments}){returns}")


def paragraphs(docstring: str) -> Iterator[str]:
    """Paragraphs, and `Attributes:` as a list."""
    prose, _, attributes = docstring.partition("\nAttributes:\n")
    if prose.strip():
        yield prose.strip()
        yield ""
    for name, text in ATTRIBUTE.findall(attributes):
        yield f"- `{name}`: {one_line(text)}"
    if attributes:
        yield ""


def _members(tree: ast.ClassDef, *, described: bool) -> Iterator[str]:
    """Fields, values and methods; fields only where the docstring has not DESCRIBED them already."""
    texts = notes(tree.body)
    for member in tree.body:
        if any(name.startswith("_") for name in names(member)):
            continue
        if isinstance(member, ast.FunctionDef | ast.AsyncFunctionDef):
            is_property = any(isinstance(mark, ast.Name) and mark.id == "property" for mark in member.decorator_list)
            written = member.name if is_property else signature(member)
            yield f"- `{written}`: {one_line(ast.get_docstring(member) or '')}"
        elif names(member) and not described:
            text = texts.get(names(member)[0])
            yield f"- `{_written(member)}`" + (f": {text}" if text else "")
    yield ""


def _written(member: ast.stmt) -> str:
    """MEMBER as it stands, but for the quotes around a type that is only named."""
    if isinstance(member, ast.AnnAssign) and isinstance(member.annotation, ast.Constant):
        return ast.unparse(member).replace(repr(member.annotation.value), str(member.annotation.value), 1)
    return ast.unparse(member)
