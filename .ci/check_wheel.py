#!/usr/bin/env python3
"""Checks what is in a wheel of beyond-ai against the tree that it was built from: `check_wheel.py WHEEL`.

Run in the root of the tree. A wheel that is tagged for one platform has to hold the native scanner, one for any must
not. Ends with exit code 1 and a line for each problem.
"""

import configparser
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path

IGNORED = ("__pycache__",)
EXTENSION = "beyond_ai_plugins/scanners/simd/_simd.abi3.so"
ENTRY = b"PyInit__simd"
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
    shipped = {file for file in inside if not file.startswith(f"{metadata}/") and file != EXTENSION}
    yield from (f"missing: {file}" for file in sorted(expected - shipped))
    yield from (f"not of the tree: {file}" for file in sorted(shipped - expected))
    for source in sources:
        yield from (
            f"missing: {source.name}/{file}" for file in ("__init__.py", "py.typed") if not (source / file).is_file()
        )
    if f"{metadata}/licenses/LICENSE" not in inside:
        yield "missing: the licence"

    yield from native_problems(wheel, wheel.read(f"{metadata}/WHEEL").decode().splitlines())

    parser = configparser.ConfigParser(delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names are case-sensitive
    parser.read_string(wheel.read(f"{metadata}/entry_points.txt").decode())
    declared = {"console_scripts": project["project"]["scripts"], **project["project"]["entry-points"]}
    found = {group: dict(parser[group]) for group in parser.sections()}
    if found != declared:
        yield f"entry_points.txt differs from pyproject.toml: {found} is not {declared}"


def native_problems(wheel: zipfile.ZipFile, facts: list[str]) -> Iterator[str]:
    """What is wrong with the native scanner in WHEEL, or with FACTS, the lines of its WHEEL file."""
    tags = [line.removeprefix("Tag: ") for line in facts if line.startswith("Tag: ")]
    is_pure = EXTENSION not in wheel.namelist()
    if is_pure and tags != ["py3-none-any"]:
        yield f"missing: {EXTENSION}, for which it is tagged {tags}"
    if is_pure == ("Root-Is-Purelib: false" in facts):
        yield f"Root-Is-Purelib does not fit: {'no' if is_pure else 'an'} extension is in it"
    if is_pure:
        return
    if len(tags) != 1 or not tags[0].startswith("cp311-abi3-") or tags[0].endswith("-any"):
        yield f"tagged {tags}, and holds an extension for the stable ABI of 3.11 on one platform"
    extension = wheel.read(EXTENSION)
    if not extension.startswith(FORMATS) or ENTRY not in extension:
        yield f"{EXTENSION} is no extension module"


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
