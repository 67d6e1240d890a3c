"""The examples' distributions: where they are, and an environment with all of them."""

import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.plugins_installed.conftest import InstalledPlugins, new_environment, pip_install

EXAMPLES: Final = Path(__file__).parents[2] / "examples"
DISTRIBUTIONS: Final = tuple(sorted(path.parent for path in EXAMPLES.glob("*/pyproject.toml")))


def environment_with_all(folder: Path) -> InstalledPlugins:
    """A virtual environment in FOLDER that sees the running one, with the wheels of all distributions."""
    wheels = folder / "wheels"
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check"]
    build = ["-m", "pip", "wheel", *options, "--wheel-dir", str(wheels), *map(str, DISTRIBUTIONS)]
    subprocess.run([sys.executable, *build], check=True, timeout=120)
    environment = new_environment(folder / "venv")
    pip_install(environment, *wheels.iterdir())
    return environment
