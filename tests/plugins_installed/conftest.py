"""Third-party distributions in a virtual environment of their own, installed by pip from wheels.

`installed` is that environment, made once a session: `installed.run("plugins", "list")` runs `beyond-ai` in it, and
`installed.command` is the path of the script, for tests that start the gateway there. The environment sees all that
the running one has (beyond-ai and its dependencies) through a `.pth` file, so nothing is downloaded; what is installed
into it is seen by nobody else. `acme-provider` is well made, `acme-broken` holds one plugin for each way to fail.
"""

import base64
import hashlib
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

GOOD = """
    from beyond_ai import Component, Provider, hookimpl
    from pydantic import BaseModel, Field, SecretStr

    print("the plugin talks while it loads")

    class TallySettings(BaseModel):
        every: int = Field(100, ge=1, description="events between two lines")
        token: SecretStr = SecretStr("fake-default-token")

    class Tally:
        def __init__(self, settings):
            self.settings = settings
        async def start(self): pass
        def emit(self, event): pass
        async def aclose(self): pass

    @hookimpl
    def beyond_providers():
        yield Provider(name="acme", authority="api.acme.example:443", base_path="/v1", summary="Acme's models",
                       documentation="https://docs.acme.example/api", key_env="ACME_API_KEY")

    @hookimpl
    def beyond_usage_sinks():
        yield Component(name="tally", summary="counts events", config=TallySettings,
                        create=lambda context: Tally(context.settings(TallySettings)))
"""
GREETING = """
    import typer
    from beyond_ai import BeyondError, Command, hookimpl

    app = typer.Typer()

    @app.command()
    def greet(name: str, rude: bool = False):
        if rude:
            raise BeyondError("that is no way to greet", "leave out --rude")
        print(f"hello {name}")

    @hookimpl
    def beyond_commands():
        yield Command(name="greet", summary="Says hello.", app=app)
"""
BROKEN = {
    "acme_import_error": "import a_module_that_is_nowhere",
    "acme_exit": "import sys; sys.exit('giving up')",
    "acme_assert": "assert 2 + 2 == 5, 'arithmetic'",
    "acme_no_hook": "providers = ['acme']",
    "acme_signature": "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(settings): yield",
    "acme_unknown_hook": "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providrs(): yield",
    "acme_newer": "from beyond_ai import hookimpl\nBEYOND_AI_API = 99\n@hookimpl\ndef beyond_providers(): yield",
    "acme_raises": "from beyond_ai import hookimpl\n@hookimpl\ndef beyond_providers(): raise OSError('no network')",
    "acme_clash": "from beyond_ai import Provider, hookimpl\n@hookimpl\ndef beyond_providers():\n"
    '    yield Provider(name="openai", authority="api.clash.example:443")',
    "acme_command": "1 / 0",
}


@dataclass(frozen=True, slots=True)
class InstalledPlugins:
    """A virtual environment with third-party plugins; `command` is its `beyond-ai`, `python` its interpreter."""

    python: Path
    command: Path
    folder: Path

    def run(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run `beyond-ai` with ARGUMENTS in an empty folder, with no AI_* variable but those of ENVIRON."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
        return subprocess.run(
            [self.command, *arguments],
            cwd=self.folder,
            env=inherited | environ,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> InstalledPlugins:
    """The environment, with both distributions."""
    folder = tmp_path_factory.mktemp("installed")
    environment = new_environment(folder / "venv")
    entry = {"acme": "acme_provider"}
    good = build_wheel(
        folder,
        "acme-provider",
        "1.2.3",
        {"acme_provider": GOOD, "acme_greeting": GREETING},
        {"providers": entry, "sinks": entry, "commands": {"greet": "acme_greeting"}},
        ["Project-URL: Source, https://acme.example/source", "Project-URL: Documentation, https://acme.example/docs"],
    )
    names = {module.removeprefix("acme_").replace("_", "-"): module for module in BROKEN if module != "acme_command"}
    groups = {"providers": names, "commands": {"shatter": "acme_command"}}
    broken = build_wheel(folder, "acme-broken", "0.1", BROKEN, groups)
    pip_install(environment, good, broken)
    return environment


def new_environment(folder: Path) -> InstalledPlugins:
    """A virtual environment that sees the running one, with a `beyond-ai` script."""
    venv.create(folder, with_pip=False, symlinks=True)
    python, command = folder / "bin" / "python", folder / "bin" / "beyond-ai"
    here = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    lines = {f"import site; site.addsitedir({sysconfig.get_path(name)!r})" for name in ("purelib", "platlib")}
    (here / "running_environment.pth").write_text("\n".join(sorted(lines)))
    command.write_text(f"#!{python}\nimport sys\nfrom beyond_ai.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)
    work = folder / "work"
    work.mkdir()
    return InstalledPlugins(python, command, work)


def pip_install(environment: InstalledPlugins, *wheels: Path) -> None:
    """Install WHEELS with pip, offline."""
    options = ["install", "--quiet", "--no-index", "--no-deps", "--no-compile", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", environment.python, *options, *wheels], check=True, timeout=60
    )


def build_wheel(
    folder: Path,
    distribution: str,
    version: str,
    modules: Mapping[str, str],
    entry_points: Mapping[str, Mapping[str, str]],
    metadata_lines: Sequence[str] = (),
) -> Path:
    """A wheel of MODULES (name to source) with ENTRY_POINTS (group without `beyond_ai.`, to name, to target)."""
    stem = f"{distribution.replace('-', '_')}-{version}"
    metadata = f"{stem}.dist-info"
    files = {f"{module}.py": dedent(source) for module, source in modules.items()}
    headers = [f"Name: {distribution}", f"Version: {version}", *metadata_lines]
    files[f"{metadata}/METADATA"] = "\n".join(["Metadata-Version: 2.1", *headers, ""])
    files[f"{metadata}/WHEEL"] = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    files[f"{metadata}/entry_points.txt"] = "\n".join(
        f"[beyond_ai.{group}]\n" + "".join(f"{name} = {target}\n" for name, target in members.items())
        for group, members in entry_points.items()
    )
    record = [f"{name},sha256={_digest(text)},{len(text.encode())}" for name, text in files.items()]
    files[f"{metadata}/RECORD"] = "\n".join([*record, f"{metadata}/RECORD,,", ""])
    path = folder / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return path


def _digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).decode().rstrip("=")
