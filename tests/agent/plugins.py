"""Third parties' plugins for agents that run as processes: a distribution in a folder of `PYTHONPATH`."""

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent


def install(folder: Path, group: str, name: str, source: str) -> Mapping[str, str]:
    """Make the distribution `NAME-dist` in FOLDER, whose module has SOURCE; returns the environment that finds it."""
    metadata = folder / f"{name}_dist-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-dist\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[beyond_ai.{group}]\n{name} = {name}_plugin\n")
    (folder / f"{name}_plugin.py").write_text(dedent(source))
    return {"PYTHONPATH": str(folder)}
