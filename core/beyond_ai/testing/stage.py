"""What the fixtures of `beyond_ai_pytest` give: gateways, models and runs that find each other on one port."""

import json
import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from beyond_ai.errors import BeyondError
from beyond_ai.testing.agent import AgentFolder, AgentRun
from beyond_ai.testing.gateway import GatewayProcess
from beyond_ai.testing.model import Reply, ScriptedModel
from beyond_ai.testing.model_call import Wire

POOL_KEY: Final = "pool-key-fake"


class KeyedGateway(GatewayProcess):
    """A gateway, and `key`, a managed key that it accepts."""

    key: str = ""


@dataclass
class ModelMaker:
    """Makes the model at LISTENER play."""

    _listener: socket.socket
    _stack: ExitStack

    def __call__(self, *turns: Reply, then: Reply | None = None) -> ScriptedModel:
        """A model that plays TURNS, and THEN to each request after them."""
        self._stack.close()
        return self._stack.enter_context(ScriptedModel(*turns, then=then, listener=self._listener.dup()))


@dataclass
class GatewayMaker:
    """Makes gateways whose providers are all at LISTENER."""

    _listener: socket.socket
    _folder: Path
    _stack: ExitStack
    _made: list[KeyedGateway] = field(default_factory=list)

    def __call__(self, *, environment: Mapping[str, str] | None = None, **settings: object) -> KeyedGateway:
        """A gateway under SETTINGS, named as in the configuration file, that sees ENVIRONMENT.

        A setting that is a table replaces the one that a test would otherwise have: `provider_authorities`, say.
        """
        key, signing_keys = managed_key()
        folder = self._folder / f"gateway-{len(self._made)}"
        folder.mkdir()
        upstream = f"127.0.0.1:{self._listener.getsockname()[1]}"
        config = {**_settings(upstream, signing_keys), **settings}
        gateway = KeyedGateway(toml(config), folder=folder, environment=environment)
        gateway.key = key
        self._made.append(gateway)
        return self._stack.enter_context(gateway)


@dataclass
class AgentRunner:
    """Runs agents in a folder of the test's, against one gateway."""

    _gateway: GatewayMaker
    _folder: Path
    _place: AgentFolder | None = None

    def __call__(
        self,
        *words: str,
        wire: Wire = "messages",
        files: Mapping[str, str | bytes] | None = None,
        environment: Mapping[str, str] | None = None,
        text: str | None = None,
        within: float = 30.0,
    ) -> AgentRun:
        """Run `beyond-ai agent run WORDS` on WIRE, with FILES in its folder and TEXT piped in; nobody is asked."""
        place = self.folder
        place.write(files or {})
        return place.run("--json", *words, wire=wire, environment=environment, text=text, within=within)

    @property
    def folder(self) -> AgentFolder:
        """Where the agents of this test run."""
        if self._place is None:
            cwd, home = self._folder / "work", self._folder / "home"
            cwd.mkdir()
            home.mkdir()
            gateway = self._gateway()
            self._place = AgentFolder(cwd, home, gateway.url, gateway.key)
        return self._place


def managed_key() -> tuple[str, Mapping[int, bytes]]:
    """A managed key, and the signing keys with which a gateway accepts it: of the first scheme that can make them."""
    from beyond_ai.registry import PluginPolicy, load
    from beyond_ai.spec.auth import DevAuthScheme
    from beyond_ai.spec.component import Context

    registry = load(["auth"], PluginPolicy())
    for name in registry.auth_schemes():
        scheme = registry.create("auth", name, Context(), None)
        if scheme.managed and isinstance(scheme, DevAuthScheme):
            made = scheme.dev_credential()
            return made.credential, made.signing_keys
    raise BeyondError("no auth scheme that is installed can make a key for tests", "install beyond-ai with its plugins")


def _settings(upstream: str, signing_keys: Mapping[int, bytes]) -> dict[str, object]:
    from base64 import b64encode

    from beyond_ai.registry import PluginPolicy, load

    providers = [name for name, it in load(["provider"], PluginPolicy()).providers().items() if not it.embedded]
    return {
        "listen": "127.0.0.1:0",
        "metrics_listen": "127.0.0.1:0",
        "workers": 1,
        "upstream_tls": False,
        "rate_limit_rps": 0,
        "byo_rate_limit_rps": 0,
        "circuit_breaker_threshold": 0,
        "signing_keys": {str(kid): b64encode(raw).decode() for kid, raw in signing_keys.items()},
        "pool_keys": dict.fromkeys(providers, POOL_KEY),
        "provider_authorities": dict.fromkeys(providers, upstream),
    }


def toml(table: Mapping[str, object], path: tuple[str, ...] = ()) -> str:
    """TABLE as TOML: plain values, lists of them, and tables. A value of JSON is one of TOML, but for null."""
    lines = [f"[{'.'.join(map(json.dumps, path))}]"] if path else []
    lines += [
        f"{json.dumps(key)} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, Mapping)
    ]
    parts = [toml(value, (*path, key)) for key, value in table.items() if isinstance(value, Mapping)]
    return "\n".join([*lines, "", *parts])
