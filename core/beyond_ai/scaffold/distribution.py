"""One new distribution: its names, and its files out of the templates."""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from beyond_ai.errors import BeyondError
from beyond_ai.spec.kinds import Kind
from beyond_ai.version import VERSION

MAX_NAME: Final = 32
_NAME: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_SHARED: Final = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "ci.yml": ".github/workflows/ci.yml",
}
"""Templates of every kind, and what each becomes."""
_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "agent_hook": ("pydantic>=2.9",),
    "auth": ("pydantic>=2.9",),
    "command": ("typer>=0.15",),
    "deny_store": ("pydantic>=2.9",),
    "observer": ("pydantic>=2.9",),
    "sink": ("pydantic>=2.9",),
    "tool": ("pydantic>=2.9",),
    "transport": ("h11>=0.14",),
}
"""What the plugin of a kind imports beside beyond-ai."""


@dataclass(frozen=True, slots=True)
class NewDistribution:
    """A distribution to be, with one plugin of KIND called NAME. Raises BeyondError for a name that it cannot have."""

    kind: Kind
    name: str

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or len(self.name) > MAX_NAME:
            raise BeyondError(
                f"{self.name!r} is no name for a plugin",
                f"use up to {MAX_NAME} of a-z and 0-9, words joined by single hyphens, a letter first: `http-get`",
            )

    @property
    def distribution(self) -> str:
        """What pip calls it: `beyond-ai-tool-http-get`."""
        return f"beyond-ai-{self.kind.name.replace('_', '-')}-{self.name}"

    @property
    def package(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    def files(self) -> Iterator[tuple[Path, str]]:
        """Every file, by its path within the distribution, with its text."""
        values = self._values()
        for template, path in _SHARED.items():
            yield Path(path), _filled(f"project/{template}", values)
        source = Path("src") / self.package
        yield source / "__init__.py", _filled(f"{self.kind.name}/plugin.py", values)
        yield source / "py.typed", ""
        test = f"test_{self.package.removeprefix('beyond_ai_')}.py"
        yield Path("tests") / test, _filled(f"{self.kind.name}/test.py", values)

    def write(self, folder: Path) -> list[Path]:
        """Write the files into FOLDER, which must not exist; their paths. Raises BeyondError."""
        texts = list(self.files())
        try:
            folder.mkdir(parents=True)
            for path, text in texts:
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        except FileExistsError:
            raise BeyondError(
                f"{folder} exists already, and nothing was written",
                "name another folder with --directory, or remove it",
            ) from None
        except OSError as error:
            raise BeyondError(
                f"{error.filename or folder}: cannot be written: {os.strerror(error.errno or 0)}"
            ) from error
        return [folder / path for path, _ in texts]

    def _values(self) -> Mapping[str, str]:
        version = ".".join(VERSION.split(".")[:2])
        needs = (f"beyond-ai>={version}", *_NEEDS.get(self.kind.name, ()))
        values = {
            "name": self.name,
            "kind": self.kind.name,
            "title": self.kind.name.replace("_", " "),
            "group": self.kind.group,
            "distribution": self.distribution,
            "package": self.package,
            "variable": self.name.replace("-", "_").upper(),
            "dependencies": ", ".join(f'"{need}"' for need in needs),
        }
        return values | {"use": _filled(f"{self.kind.name}/use.md", values).strip()}


def _filled(template: str, values: Mapping[str, str]) -> str:
    """The text of TEMPLATE with VALUES in it."""
    file = files("beyond_ai.scaffold") / "templates" / f"{template}.template"
    return Template(file.read_text(encoding="utf-8")).substitute(values)
