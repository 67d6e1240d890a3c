"""Compiles modules of ours with mypyc: `python hatch_mypyc.py SOURCES TARGET MODULE...`, run by hatch_build.py.

SOURCES is a copy of the packages, in which this works; the extensions, and one more that holds the code of all of them,
come to lie in TARGET as in a wheel. MODULE is a path below SOURCES. Needs mypy and setuptools. What comes from other
distributions counts as `Any`, installed or not, so that what is made does not depend on where.
"""

import os
import re
import sys
from pathlib import Path

from setuptools import Distribution  # before mypyc, which asks whether it is there

from mypyc.build import mypycify  # isort: skip

GROUP = "beyond_ai"
"""The extension with the code is `beyond_ai__mypyc`."""
CHECK = [
    "--config-file=",
    "--cache-dir=build/mypy",
    "--explicit-package-bases",
    "--namespace-packages",
    "--no-site-packages",
    "--ignore-missing-imports",
    "--follow-imports=silent",
    "--strict-bytes",
]
OPTIMIZE = "2"  # 3 takes half as long again and gains nothing that can be measured
SLOTS = re.compile(r"^(@dataclass\(.*?)(?:, slots=True|slots=True, |slots=True)", re.MULTILINE)


def main() -> None:
    """Compile what the command line names."""
    sources, target, *modules = sys.argv[1:]
    target = str(Path(target).absolute())
    os.chdir(sources)
    for module in modules:
        # A native class has no dictionary anyway, and mypyc refuses to be told so.
        file = Path(module)
        file.write_text(SLOTS.sub(r"\1", file.read_text(encoding="utf-8")), encoding="utf-8")
    extensions = mypycify([*CHECK, *modules], opt_level=OPTIMIZE, debug_level="0", group_name=GROUP)
    for extension in extensions:
        # A warning of a compiler that mypyc's authors have not met is no failure.
        extension.extra_compile_args = [flag for flag in extension.extra_compile_args if flag != "-Werror"]
    command = Distribution({"name": GROUP, "ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib, command.build_temp, command.parallel = target, "build/objects", True
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    main()
