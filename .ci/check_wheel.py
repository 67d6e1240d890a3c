#!/usr/bin/env python3
"""Checks what is in a wheel of beyond-ai against the tree that it was built from: `check_wheel.py WHEEL`.

Run in the root of the tree. A wheel for one Python on one platform has to hold the native scanner and all that is
listed as compiled, one for every later Python the scanner alone, one for any platform neither. Ends with exit code 1
and a line for each problem.
"""

import configparser
import re
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

IGNORED = ("__pycache__",)
EXTENSION = "beyond_ai_plugins/scanners/simd/_simd.abi3.so"
SHARED = "beyond_ai__mypyc"
FORMATS = (b"\x7fELF", b"\xcf\xfa\xed\xfe")  # Linux; macOS


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
        if file.is_file() and not set(file.parts) & set(IGNORED) and file.suffix != ".so"
    }
    shipped = {file for file in inside if not file.startswith(f"{metadata}/") and not file.endswith(".so")}
    yield from (f"missing: {file}" for file in sorted(expected - shipped))
    yield from (f"not of the tree: {file}" for file in sorted(shipped - expected))
    for source in sources:
        yield from (
            f"missing: {source.name}/{file}" for file in ("__init__.py", "py.typed") if not (source / file).is_file()
        )
    if f"{metadata}/licenses/LICENSE" not in inside:
        yield "missing: the licence"

    compiled = project["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"]
    modules = [SHARED, *(module.removesuffix(".py") for module in compiled)]
    yield from native_problems(wheel, wheel.read(f"{metadata}/WHEEL").decode().splitlines(), modules)

    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read_string(wheel.read(f"{metadata}/entry_points.txt").decode())
    declared = {"console_scripts": project["project"]["scripts"], **project["project"]["entry-points"]}
    found = {group: dict(parser[group]) for group in parser.sections()}
    if found != declared:
        yield f"entry_points.txt differs from pyproject.toml: {found} is not {declared}"


def native_problems(wheel: zipfile.ZipFile, facts: list[str], modules: list[str]) -> Iterator[str]:
    """What is wrong with the extensions in WHEEL, or with FACTS, the lines of its WHEEL file.

    MODULES are the paths, without a suffix, of those which mypyc compiles.
    """
    tags = [line.removeprefix("Tag: ") for line in facts if line.startswith("Tag: ")]
    inside = {name for name in wheel.namelist() if name.endswith(".so")}
    form = re.fullmatch(r"cp3(\d+)-(abi3|cp3\1)-(?!any$)\w+", tags[0]) if len(tags) == 1 else None
    if form is None and tags != ["py3-none-any"]:
        yield f"tagged {tags}"
    expected = {EXTENSION} if form is not None else set()
    if form is not None and form[2] != "abi3":
        suffix = f".cpython-3{form[1]}"
        found = {name.partition(suffix)[0]: name for name in inside - expected}
        expected |= {found.get(module, f"{module}{suffix}*.so") for module in modules}
    yield from (f"missing: {name}, in a wheel for {tags}" for name in sorted(expected - inside))
    yield from (f"not expected: {name}, in a wheel for {tags}" for name in sorted(inside - expected))
    if bool(inside) != ("Root-Is-Purelib: false" in facts):
        yield f"Root-Is-Purelib does not fit: {'an' if inside else 'no'} extension is in it"
    for name in inside:
        extension = wheel.read(name)
        module = name.rpartition("/")[2].partition(".")[0]
        if not extension.startswith(FORMATS) or f"PyInit_{module}".encode() not in extension:
            yield f"{name} is no extension module"


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
