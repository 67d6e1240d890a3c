"""What stands in the source and not in the object: the texts below fields."""

import ast
import inspect
from collections.abc import Mapping, Sequence
from itertools import pairwise
from textwrap import dedent

from generators.tables import one_line


def class_tree(owner: type) -> ast.ClassDef:
    """The definition of OWNER."""
    (tree,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    return tree


def notes(body: Sequence[ast.stmt]) -> Mapping[str, str]:
    """The text below each field or value in BODY that has one, by its name."""
    return {
        name: one_line(str(following.value.value))
        for member, following in pairwise(body)
        for name in names(member)
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
    }


def names(node: ast.stmt) -> list[str]:
    """What NODE defines, or gives a value or a type to."""
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]
