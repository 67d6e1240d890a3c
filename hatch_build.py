"""Compiles the native scanner while a wheel or an editable install is built, where that can be done.

One C file, against the stable ABI of Python 3.11, by one call of the compiler: one wheel for a platform serves every
later Python, and hatchling is all that a build needs. Where it cannot be done, the build says why in a line and goes
on without, as `py3-none-any`: the Python scanner serves there.

| variable | |
| --- | --- |
| `BEYOND_AI_PURE=1` | leave the native scanner out |
| `BEYOND_AI_REQUIRE_NATIVE=1` | fail where it cannot be built |
| `CC`, `CFLAGS`, `LDFLAGS` | as in every build; CC is otherwise Python's own compiler, else gcc, clang or cc |
"""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.builders.wheel import WheelBuilder

FOLDER = "beyond_ai_plugins/scanners/simd"
SOURCE = f"plugins/{FOLDER}/_simd.c"
NAME = "_simd.abi3.so"
LIMITED_API = "0x030B0000"
PYTHON_TAG = "cp311-abi3"

COMPILE = ["-std=c11", "-O3", "-DNDEBUG", "-fPIC", "-fvisibility=hidden", "-Wall", f"-DPy_LIMITED_API={LIMITED_API}"]
LINK = ["-bundle", "-undefined", "dynamic_lookup"] if sys.platform == "darwin" else ["-shared"]
SECONDS = 300
"""How long a compiler may take. It needs one or two."""

LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("_simd", sys.argv[1])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.Scanner().feed(b"{}")
"""


class NotBuiltError(Exception):
    """Why there will be no native scanner: a line, then what the compiler said."""


class NativeScannerHook(BuildHookInterface[BuilderConfig]):
    """What hatchling calls before it builds a wheel; VERSION is `standard`, or `editable`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the extension into the wheel, or beside its source for an editable install."""
        in_place = Path(self.root, "plugins", FOLDER, NAME)
        with tempfile.TemporaryDirectory() as folder:
            built = Path(folder, NAME)
            try:
                build(Path(self.root, SOURCE), built)
            except NotBuiltError as error:
                if version == "editable":
                    in_place.unlink(missing_ok=True)  # one of another source would be found
                if _is_set("BEYOND_AI_REQUIRE_NATIVE"):
                    self.app.abort(f"beyond-ai: the native scanner cannot be built: {error}")
                line = str(error).partition("\n")[0]
                self.app.display_warning(f"beyond-ai: no native scanner, the Python one serves: {line}")
                return
            if version == "editable":
                _move(built, in_place)
                return
            kept = Path(self.directory, NAME)
            _move(built, kept)
        assert isinstance(self.build_config.builder, WheelBuilder)
        platform_tag = self.build_config.builder.get_best_matching_tag().rpartition("-")[2]
        build_data["pure_python"] = False
        build_data["tag"] = f"{PYTHON_TAG}-{platform_tag}"
        build_data["force_include"][str(kept)] = f"{FOLDER}/{NAME}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is now in the wheel."""
        Path(self.directory, NAME).unlink(missing_ok=True)

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove what an editable install has built."""
        Path(self.root, "plugins", FOLDER, NAME).unlink(missing_ok=True)


def build(source: Path, target: Path) -> None:
    """Compile SOURCE to the extension TARGET, and load it once. Raises NotBuiltError."""
    if _is_set("BEYOND_AI_PURE"):
        raise NotBuiltError("BEYOND_AI_PURE is set")
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NotBuiltError("this Python has no stable ABI")
    if sys.platform not in ("linux", "darwin"):
        raise NotBuiltError(f"not known how on {sys.platform}")
    command = [*_compiler(), *COMPILE, *_words("CFLAGS"), *_includes(), str(source), "-o", str(target), *LINK]
    _run([*command, *_words("LDFLAGS")], "the compiler failed")
    if not target.is_file():
        raise NotBuiltError(f"{command[0]} made no file")
    _run([sys.executable, "-c", LOAD, str(target)], "what was compiled cannot be loaded")


def _compiler() -> list[str]:
    """The command of the C compiler, with its first arguments. Raises NotBuiltError where there is none."""
    wanted = _words("CC")
    if wanted:
        if shutil.which(wanted[0]) is None:
            raise NotBuiltError(f"CC is {wanted[0]}, which is not here")
        return wanted
    for command in (shlex.split(sysconfig.get_config_var("CC") or ""), ["gcc"], ["clang"], ["cc"]):
        if command and shutil.which(command[0]) is not None:
            return command
    raise NotBuiltError("no C compiler: install gcc or clang")


def _includes() -> list[str]:
    folders = dict.fromkeys(sysconfig.get_path(name) for name in ("include", "platinclude"))
    if not any(Path(folder, "Python.h").is_file() for folder in folders):
        raise NotBuiltError("no headers of Python: install them (Debian: python3-dev)")
    return [f"-I{folder}" for folder in folders]


def _run(command: list[str], failure: str) -> None:
    """Run COMMAND; raise NotBuiltError with FAILURE, the line that tells most, and all it printed."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own compiler
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotBuiltError(f"{failure}: {error}") from error
    if done.returncode != 0:
        lines = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        told = next((line for line in lines if "error" in line.lower()), f"exit code {done.returncode}")
        raise NotBuiltError("\n".join([f"{failure}: {told}", shlex.join(command), *lines]))


def _move(built: Path, target: Path) -> None:
    """Give TARGET its new contents at once: a program that has loaded the old ones keeps them."""
    target.parent.mkdir(parents=True, exist_ok=True)
    whole = target.with_suffix(f".{os.getpid()}")
    shutil.copyfile(built, whole)
    whole.chmod(0o755)
    whole.replace(target)


def _words(variable: str) -> list[str]:
    return shlex.split(os.environ.get(variable, ""))


def _is_set(variable: str) -> bool:
    return os.environ.get(variable, "").strip().lower() not in ("", "0", "false", "no", "off")
