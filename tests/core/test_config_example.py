"""`config.example.toml` shows every key of the model, its default and its reason, and nothing else."""

import re
import tomllib
from pathlib import Path

from beyond_ai.config import Settings, load_settings

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


def test_the_example_holds_every_key_and_nothing_else() -> None:
    text = EXAMPLE.read_text()
    written = list(tomllib.loads(text))
    unset = re.findall(r"^#(\w+) = ", text.partition("[signing_keys]")[0], re.MULTILINE)
    assert sorted(written + unset) == sorted(Settings.model_fields)
    assert unset == [name for name, info in Settings.model_fields.items() if info.default is None]


def test_the_example_states_the_defaults() -> None:
    loaded = load_settings(EXAMPLE, {})
    assert loaded.settings == Settings()


def test_each_key_stands_under_its_reason() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for name, info in Settings.model_fields.items():
        (place,) = [n for n, line in enumerate(lines) if re.match(rf"#?{name} = |\[{name}\]$", line)]
        assert lines[place - 1] == f"# {info.description}"


def test_the_lines_that_are_switched_off_are_valid_too(tmp_path: Path) -> None:
    text = re.sub(r"^#(?=[^\s#])", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    text = text.replace("nats_creds = ", "# nats_creds = ")  # excludes nats_creds_file
    text = text.replace("the public key that `beyond-ai keys new` prints", "A" * 43)
    (tmp_path / "live.toml").write_text(text)
    settings = load_settings(tmp_path / "live.toml", {}).settings
    assert settings.nats_creds_file == Path("/run/secrets/gateway.creds")
    assert set(settings.pool_keys) == {"openai", "groq"}
    assert set(settings.provider_dialects) == set(settings.provider_authorities)
    assert settings.plugin_table("stdout") == {"flush_ms": 20}
    assert settings.plugin_policy().prefer == {"acme": "acme-dist"}
