"""The build hook: with a compiler what has to be fast is compiled, without one the build succeeds as well."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest
from tests.plugins.scanners.backends import if_built

ROOT = Path(__file__).parents[1]
PURE = "py3-none-any"
EXTENSION = "beyond_ai_plugins/scanners/simd/_simd.abi3.so"

SOURCE = "beyond_ai_plugins/scanners/simd/_simd.c"
OURS = ("CC", "CFLAGS", "LDFLAGS", "BEYOND_AI_PURE", "BEYOND_AI_REQUIRE_NATIVE")
NOT_BUILT = "beyond-ai: without the native scanner, the Python one serves: {}\n"
NOT_COMPILED = "beyond-ai: without the compiled data path, it runs as Python: {}\n"

COMPILED = ("beyond_ai/gateway/request_id.py", "beyond_ai/gateway/rejection.py")
"""In place of all modules of the data path, which take half a minute."""
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

BACKEND = "import sys; from hatchling import build; print(getattr(build, sys.argv[1])('dist'))"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what the distribution is built from."""
    copy = tmp_path / "tree"
    copy.mkdir()
    for name in ("pyproject.toml", "hatch_build.py", "hatch_mypyc.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    for folder in ("core", "plugins", "providers", "tools"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", "*.so"))
    (copy / "dist").mkdir()
    project = copy / "pyproject.toml"
    cut = re.sub(r"(?<=\ncompiled = )\[.*?\n\]", json.dumps(COMPILED), project.read_text(), flags=re.DOTALL)
    project.write_text(cut)
    return copy


def try_build(tree: Path, what: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    inherited = {name: value for name, value in os.environ.items() if name not in OURS}
    return subprocess.run(
        [sys.executable, "-c", BACKEND, what],
        cwd=tree,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def build(tree: Path, what: str = "build_wheel", **environ: str) -> tuple[Path, str]:
    """What was built, and what was said."""
    done = try_build(tree, what, **environ)
    assert done.returncode == 0, done.stderr
    return tree / "dist" / done.stdout.split()[-1], done.stderr


def command(folder: Path, script: str) -> str:
    """An executable of a shell SCRIPT."""
    file = folder / "compiler"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as opened:
        return opened.namelist()


def tag(wheel: Path) -> str:
    """The tag of WHEEL, which its name, its metadata and its contents agree on."""
    with zipfile.ZipFile(wheel) as opened:
        (file,) = (name for name in opened.namelist() if name.endswith(".dist-info/WHEEL"))
        facts = dict(line.split(": ") for line in opened.read(file).decode().splitlines() if line)
    assert wheel.stem.endswith(f"-{facts['Tag']}")
    assert facts["Root-Is-Purelib"] == str(facts["Tag"] == PURE).lower()
    return facts["Tag"]


def loaded(extension: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("_simd", extension)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@if_built
def test_a_wheel_from_the_sdist_holds_all_that_can_be_compiled(tree: Path, tmp_path: Path) -> None:
    sdist, _ = build(tree, "build_sdist")
    with tarfile.open(sdist) as opened:
        opened.extractall(tmp_path, filter="data")
    unpacked = tmp_path / sdist.name.removesuffix(".tar.gz")
    (unpacked / "dist").mkdir()
    wheel, said = build(unpacked, BEYOND_AI_REQUIRE_NATIVE="1")
    assert said == ""
    here = f"cp{sys.version_info.major}{sys.version_info.minor}"
    assert re.fullmatch(rf"{here}-{here}-(linux|macosx)_\w+", tag(wheel))
    modules = [f"{file.removesuffix('.py')}{SUFFIX}" for file in COMPILED]
    extensions = {name for name in names(wheel) if name.endswith(".so")}
    assert extensions == {EXTENSION, f"beyond_ai__mypyc{SUFFIX}", *modules}
    assert set(COMPILED) < set(names(wheel))
    assert list(unpacked.rglob("*.so")) == []
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    scanner = loaded(site / EXTENSION).Scanner()
    scanner.feed(b'{"model":"m"}')
    assert scanner.model == b"m"
    program = "from beyond_ai.gateway import rejection; print(rejection.__file__, rejection.UNREACHABLE.status)"
    done = subprocess.run([sys.executable, "-c", program], cwd=site, capture_output=True, text=True, check=True)
    assert done.stdout == f"{site}/{modules[1]} 502\n"


@if_built
@pytest.mark.parametrize("required", [False, True])
def test_a_module_that_mypyc_refuses_leaves_a_wheel_for_every_later_python(tree: Path, required: bool) -> None:
    with (tree / "core" / COMPILED[0]).open("a") as file:
        file.write('COUNT: int = "one"\n')
    if required:
        done = try_build(tree, "build_wheel", BEYOND_AI_REQUIRE_NATIVE="1")
        assert done.returncode == 1
        assert done.stderr.startswith("beyond-ai: the compiled data path cannot be built: mypyc failed: ")
        return
    wheel, said = build(tree)
    assert said.startswith(NOT_COMPILED.format(f"mypyc failed: {COMPILED[0]}:").rstrip())
    assert "error: Incompatible types in assignment" in said
    assert said.count("\n") == 1
    assert re.fullmatch(r"cp311-abi3-(linux|macosx)_\w+", tag(wheel))
    assert [name for name in names(wheel) if name.endswith(".so")] == [EXTENSION]


def test_mypyc_is_asked_for_only_where_it_can_be_of_use(tree: Path) -> None:
    wanted = ["mypy>=2.0", "setuptools>=65.5"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert set(wanted) < set(project["project"]["optional-dependencies"]["test"])
    compiler = {"CC": sys.executable}  # any program will do
    assert try_build(tree, "get_requires_for_build_wheel", **compiler).stdout in (f"{wanted}\n", "[]\n")
    for without in ({"BEYOND_AI_PURE": "1"}, {"CC": "/nowhere/gcc"}):
        assert try_build(tree, "get_requires_for_build_wheel", **without).stdout == "[]\n"
    assert try_build(tree, "get_requires_for_build_sdist", **compiler).stdout == "[]\n"


@if_built
def test_an_editable_install_has_it_beside_its_source(tree: Path) -> None:
    (tree / "plugins" / EXTENSION).write_bytes(b"of an older source")
    for stale in ("beyond_ai__mypyc", *(file.removesuffix(".py") for file in COMPILED)):
        (tree / "core" / f"{stale}{SUFFIX}").write_bytes(b"of an older source")
    wheel, _ = build(tree, "build_editable")
    assert tag(wheel) == PURE
    assert EXTENSION not in names(wheel)
    assert loaded(tree / "plugins" / EXTENSION).instruction_sets()
    assert [file.name for file in tree.rglob("*.so*")] == ["_simd.abi3.so"]


def test_without_a_compiler_the_wheel_is_pure(tree: Path) -> None:
    wheel, said = build(tree, CC="/nowhere/gcc -m64")
    why = "CC is /nowhere/gcc, which is not here"
    assert said == NOT_BUILT.format(why) + NOT_COMPILED.format(why)
    assert tag(wheel) == PURE
    assert not [name for name in names(wheel) if name.endswith(".so")]


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo _simd.c: in short; echo '_simd.c:1: error: no'; exit 1", "the compiler failed: _simd.c:1: error: no"),
        ("exit 0", "{compiler} made no file"),
        (
            'while [ "$1" != -o ]; do shift; done; echo "of another machine" >"$2"',
            "what was compiled cannot be loaded: ImportError: ",
        ),
    ],
    ids=["error", "nothing", "not-loadable"],
)
def test_a_compiler_that_fails_is_as_good_as_none(tree: Path, tmp_path: Path, script: str, why: str) -> None:
    stale = tree / "plugins" / EXTENSION
    stale.write_bytes(b"of an older source")
    compiler = command(tmp_path, script)
    wheel, said = build(tree, "build_editable", CC=compiler)
    assert said.startswith(NOT_BUILT.format(why.format(compiler=compiler)).rstrip())
    assert said.count("\n") == 1
    assert tag(wheel) == PURE
    assert not stale.exists()


def test_it_can_be_left_out(tree: Path) -> None:
    wheel, said = build(tree, BEYOND_AI_PURE="1")
    assert said == NOT_BUILT.format("BEYOND_AI_PURE is set") + NOT_COMPILED.format("BEYOND_AI_PURE is set")
    assert tag(wheel) == PURE


def test_it_can_be_required(tree: Path, tmp_path: Path) -> None:
    compiler = command(tmp_path, "echo first line; echo 'fatal error: no'; exit 1")
    done = try_build(tree, "build_wheel", CC=compiler, BEYOND_AI_REQUIRE_NATIVE="1")
    assert done.returncode == 1
    first, ran, *told = done.stderr.splitlines()
    assert first == "beyond-ai: the native scanner cannot be built: the compiler failed: fatal error: no"
    assert ran.startswith(f"{compiler} -std=c11 ")
    assert told == ["first line", "fatal error: no"]
    assert list((tree / "dist").iterdir()) == []


# What no environment variable can bring about


@pytest.fixture
def hook(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name in OURS:
        monkeypatch.delenv(name, raising=False)
    return loaded(ROOT / "hatch_build.py")


def test_without_pythons_headers_it_says_what_to_install(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook.sysconfig, "get_path", lambda _name: "/nowhere")
    monkeypatch.setenv("CC", sys.executable)
    with pytest.raises(hook.NotBuiltError, match="no headers of Python: install them"):
        hook.build(ROOT / "plugins" / SOURCE, Path("/nowhere"))


@if_built
@pytest.mark.parametrize("missing", ["mypyc", "setuptools"])
def test_without_mypyc_it_says_so(hook: ModuleType, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(hook.importlib.util, "find_spec", lambda name: None if name == missing else hook)
    with pytest.raises(hook.NotBuiltError, match=f"^{missing} is not installed$"):
        list(hook.compile_modules(str(ROOT), [], [], Path("/nowhere")))


@pytest.mark.parametrize(
    ("of_python", "here", "found"),
    [
        ("cc-of-python -pthread", ["cc-of-python", "gcc"], ["cc-of-python", "-pthread"]),
        ("cc-of-python -pthread", ["clang", "cc"], ["clang"]),
        (None, ["cc"], ["cc"]),
        (None, [], None),
    ],
)
def test_which_compiler_is_used(
    hook: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    of_python: str | None,
    here: list[str],
    found: list[str] | None,
) -> None:
    monkeypatch.setattr(hook.sysconfig, "get_config_var", {"CC": of_python}.get)
    monkeypatch.setattr(hook.shutil, "which", lambda name: name if name in here else None)
    if found is None:
        with pytest.raises(hook.NotBuiltError, match="no C compiler: install gcc or clang"):
            hook._compiler()
    else:
        assert hook._compiler() == found


def test_a_python_without_a_stable_abi_gets_none(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook.sysconfig, "get_config_var", {"Py_GIL_DISABLED": 1}.get)
    with pytest.raises(hook.NotBuiltError, match="this Python has no stable ABI"):
        hook.build(ROOT / "plugins" / SOURCE, Path("/nowhere"))
