#!/usr/bin/env python3
"""Checks what is in a wheel of beyond-ai against the tree that it was built from: `check_wheel.py WHEEL`.

Run in the root of the tree. Ends with exit code 1 and a line for each problem.
"""

import configparser
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

IGNORED = ("__pycache__",)


def problems(wheel: zipfile.ZipFile) -> Iterator[str]:
    """What is wrong with WHEEL, a line each."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))
    sources = [Path(package) for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    name, version = project["project"]["name"].replace("-", "_"), project["project"]["version"]
    metadata = f"{name}-{version}.dist-info"
    inside = set(wheel.namelist())

    expected = {
        f"{source.name}/{file.relative_to(source).as_posix()}"
        for source in sources
        for file in source.rglob("*")
        if file.is_file() and not set(file.parts) & set(IGNORED)
    }
    shipped = {file for file in inside if not file.startswith(f"{metadata}/")}
    yield from (f"missing: {file}" for file in sorted(expected - shipped))
    yield from (f"not of the tree: {file}" for file in sorted(shipped - expected))
    for source in sources:
        yield from (
            f"missing: {source.name}/{file}" for file in ("__init__.py", "py.typed") if not (source / file).is_file()
        )
    if f"{metadata}/licenses/LICENSE" not in inside:
        yield "missing: the licence"

    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read_string(wheel.read(f"{metadata}/entry_points.txt").decode())
    declared = {"console_scripts": project["project"]["scripts"], **project["project"]["entry-points"]}
    found = {group: dict(parser[group]) for group in parser.sections()}
    if found != declared:
        yield f"entry_points.txt differs from pyproject.toml: {found} is not {declared}"


def main() -> None:
    """Check the wheel that the command line names."""
    if len(sys.argv) != 2:
        sys.exit("usage: check_wheel.py WHEEL")
    with zipfile.ZipFile(sys.argv[1]) as wheel:
        found = list(problems(wheel))
    if found:
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
