"""What stands in the source and not in the object: the texts below fields."""

import ast
import inspect
from collections.abc import Mapping
from textwrap import dedent

from generators.tables import one_line


def class_tree(owner: type) -> ast.ClassDef:
    """The definition of OWNER."""
    (tree,) = ast.parse(dedent(inspect.getsource(owner))).body
    assert isinstance(tree, ast.ClassDef)
    return tree


def notes(tree: ast.ClassDef) -> Mapping[str, str]:
    """The text below each field or value that has one, by its name."""
    found: dict[str, str] = {}
    for member, following in zip(tree.body, tree.body[1:], strict=False):
        name = next((target.id for target in targets(member) if isinstance(target, ast.Name)), None)
        if name is not None and isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            found[name] = one_line(str(following.value.value))
    return found


def targets(member: ast.stmt) -> list[ast.expr]:
    """What MEMBER gives a value or a type to."""
    if isinstance(member, ast.AnnAssign):
        return [member.target]
    return member.targets if isinstance(member, ast.Assign) else []
