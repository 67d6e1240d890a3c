"""The examination of a configuration, with no other provider than those that a test names."""

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.core.registry.conftest import install
from tests.gateway_process import PUBLIC_KEY
from tests.plugins.transports.certificates import authority

from beyond_ai.doctor.examination import examine
from beyond_ai.doctor.finding import Finding
from beyond_ai.registry import PluginPolicy, load

Examine = Callable[..., dict[str, Finding]]

PROVIDERS = sorted(load(["provider"], PluginPolicy(third_party=False)).providers())
ADDRESSES = 'listen = "127.0.0.1:0"\nmetrics_listen = "127.0.0.1:0"\n'
SIGNING_KEY = f'[signing_keys]\n1 = "{PUBLIC_KEY}"\n'


def configured(text: str = "", *, used: tuple[str, ...] = (), store: str = "") -> str:
    """A configuration with TEXT, whose only built-in providers are USED. TEXT may end in tables."""
    disabled = ", ".join(f'"provider:{name}"' for name in PROVIDERS if name not in used)
    return f'{ADDRESSES}deny_store = "{store}"\nplugins.disabled = [{disabled}]\n{text}'


@pytest.fixture
def examined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Examine:
    """The findings by name under a configuration; of several with one name, their messages a line each."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)

    def run(config: str) -> dict[str, Finding]:
        file = tmp_path / "gateway.toml"
        file.write_text(config)
        found: dict[str, Finding] = {}
        for each in examine(file):
            known = found.get(each.name)
            message = each.message if known is None else f"{known.message}\n{each.message}"
            found[each.name] = Finding(each.name, each.health, message, each.hint)
        return found

    return run


__all__ = ["authority", "install"]
