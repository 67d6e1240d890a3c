"""Compiles what has to be fast while a wheel or an editable install is built, where that can be done.

Two things, each by itself. The native scanner is one C file, against the stable ABI of Python 3.11, by one call of the
compiler. The data path is the modules that `pyproject.toml` lists as `compiled`, by mypyc (hatch_mypyc.py), for the
Python at hand, and in wheels only: an editable install has to run the sources as they are edited. A wheel that holds
the second is for one Python, one with the first alone for every later one, and one with neither is `py3-none-any`.
Where one cannot be made, the build says why in a line and goes on without: the Python scanner, or the same modules as
Python, serve there.

| variable | |
| --- | --- |
| `BEYOND_AI_PURE=1` | compile neither |
| `BEYOND_AI_REQUIRE_NATIVE=1` | fail where one cannot be made |
| `CC`, `CFLAGS`, `LDFLAGS` | as in every build; CC is otherwise Python's own compiler, else gcc, clang or cc |
"""

import importlib.util
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator, Mapping
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
SECONDS = 600
"""How long a compiler may take. The scanner needs one or two, the modules half a minute."""

LOAD = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location(sys.argv[1], sys.argv[2])
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if hasattr(module, "Scanner"):
    module.Scanner().feed(b"{}")
"""

MYPYC = "hatch_mypyc.py"
MYPYC_REQUIRES = ["mypy>=2.0", "setuptools>=65.5"]
SHARED = "beyond_ai__mypyc"
"""The extension that holds the code of all compiled modules; each module's own only refers to it."""
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX") or ".so"


class NotBuiltError(Exception):
    """Why something will not be there: a line, then what the compiler said."""


class NativeHook(BuildHookInterface[BuilderConfig]):
    """What hatchling calls before it builds a wheel; VERSION is `standard`, or `editable`."""

    def dependencies(self) -> list[str]:
        """What hatchling has to have installed for this: mypyc, where it could be of use."""
        try:
            _check()
        except NotBuiltError:
            return []
        return MYPYC_REQUIRES

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put what can be compiled into the wheel; for an editable install the scanner alone, beside its source."""
        if version == "editable":
            self._initialize_editable()
            return
        # Lives until the wheel is written.
        self._folder = tempfile.TemporaryDirectory()
        made, tag = Path(self._folder.name), ""
        try:
            build(Path(self.root, SOURCE), made / NAME)
        except NotBuiltError as error:
            self._do_without("the native scanner", "the Python one serves", error)
        else:
            build_data["force_include"][str(made / NAME)] = f"{FOLDER}/{NAME}"
            tag = PYTHON_TAG
        try:
            files = list(compile_modules(self.root, self._packages(), self.config["compiled"], made / "compiled"))
        except NotBuiltError as error:
            self._do_without("the compiled data path", "it runs as Python", error)
        else:
            for file in files:
                build_data["force_include"][str(file)] = file.relative_to(made / "compiled").as_posix()
            here = f"cp{sys.version_info.major}{sys.version_info.minor}"
            tag = f"{here}-{here}"
        if tag:
            assert isinstance(self.build_config.builder, WheelBuilder)
            platform_tag = self.build_config.builder.get_best_matching_tag().rpartition("-")[2]
            build_data["pure_python"] = False
            build_data["tag"] = f"{tag}-{platform_tag}"

    def _initialize_editable(self) -> None:
        self._remove_compiled_modules()
        in_place = Path(self.root, "plugins", FOLDER, NAME)
        with tempfile.TemporaryDirectory() as folder:
            try:
                build(Path(self.root, SOURCE), Path(folder, NAME))
            except NotBuiltError as error:
                in_place.unlink(missing_ok=True)  # one of another source would be found
                self._do_without("the native scanner", "the Python one serves", error)
            else:
                _move(Path(folder, NAME), in_place)

    def _do_without(self, missing: str, instead: str, why: NotBuiltError) -> None:
        if _is_set("BEYOND_AI_REQUIRE_NATIVE"):
            self.app.abort(f"beyond-ai: {missing} cannot be built: {why}")
        line = str(why).partition("\n")[0]
        self.app.display_warning(f"beyond-ai: without {missing}, {instead}: {line}")

    def _packages(self) -> list[Path]:
        return [Path(self.root, package) for package in self.build_config.packages]

    def _remove_compiled_modules(self) -> None:
        """No extension may lie beside an editable source: Python would run it and not the source."""
        for package in self._packages():
            for file in package.parent.glob(f"{SHARED}.*"):
                file.unlink()
            for module in self.config["compiled"]:
                for suffix in (".*.so", ".so"):
                    for file in package.parent.glob(module.removesuffix(".py") + suffix):
                        file.unlink()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what is now in the wheel."""
        if version != "editable":
            self._folder.cleanup()

    def clean(self, versions: list[str]) -> None:  # noqa: ARG002
        """Remove what an editable install has built."""
        Path(self.root, "plugins", FOLDER, NAME).unlink(missing_ok=True)
        self._remove_compiled_modules()


def build(source: Path, target: Path) -> None:
    """Compile SOURCE to the extension TARGET, and load it once. Raises NotBuiltError."""
    _check()
    command = [*_compiler(), *COMPILE, *_words("CFLAGS"), *_includes(), str(source), "-o", str(target), *LINK]
    _run([*command, *_words("LDFLAGS")], "the compiler failed")
    if not target.is_file():
        raise NotBuiltError(f"{command[0]} made no file")
    _load(target, "_simd")


def compile_modules(root: str, packages: Iterable[Path], modules: list[str], target: Path) -> Iterator[Path]:
    """Compile MODULES of PACKAGES with mypyc; yield the extensions, which lie in TARGET as in a wheel.

    Works in a copy. Raises NotBuiltError.
    """
    _check()
    for needed in ("mypyc", "setuptools"):
        if importlib.util.find_spec(needed) is None:
            raise NotBuiltError(f"{needed} is not installed")
    with tempfile.TemporaryDirectory() as folder:
        for package in packages:
            shutil.copytree(package, Path(folder, package.name), ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        command = [sys.executable, str(Path(root, MYPYC)), folder, str(target), *modules]
        _run(command, "mypyc failed", {"CC": shlex.join(_compiler())})
    expected = [target / f"{SHARED}{SUFFIX}", *(target / f"{module.removesuffix('.py')}{SUFFIX}" for module in modules)]
    for file in expected:
        if not file.is_file():
            raise NotBuiltError(f"mypyc made no {file.name}")
    _load(expected[0], SHARED)
    yield from expected


def _check() -> None:
    """Raise NotBuiltError where nothing can be compiled."""
    if _is_set("BEYOND_AI_PURE"):
        raise NotBuiltError("BEYOND_AI_PURE is set")
    if platform.python_implementation() != "CPython" or sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise NotBuiltError("this Python has no stable ABI")
    if sys.platform not in ("linux", "darwin"):
        raise NotBuiltError(f"not known how on {sys.platform}")
    _compiler()
    _includes()


def _load(extension: Path, name: str) -> None:
    _run([sys.executable, "-c", LOAD, name, str(extension)], "what was compiled cannot be loaded")


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


def _run(command: list[str], failure: str, environ: Mapping[str, str] | None = None) -> None:
    """Run COMMAND, with ENVIRON; raise NotBuiltError with FAILURE, the line that tells most, and all it printed."""
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
            env=os.environ | (environ or {}),
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
