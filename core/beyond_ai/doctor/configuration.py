"""The configuration and the plugins, as a start would find them; what of it holds is what the other checks go by."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from beyond_ai.config import Settings, load_accepted, load_settings
from beyond_ai.config.resolution import unresolved
from beyond_ai.doctor.finding import Finding, Health, fail, note, ok
from beyond_ai.errors import BeyondError, ConfigError
from beyond_ai.gateway.route import configured_providers
from beyond_ai.registry import Plugin, PluginPolicy, Registry, State, load
from beyond_ai.spec.component import Context
from beyond_ai.spec.kinds import KINDS
from beyond_ai.spec.provider import Provider

TRY: Final = "`beyond-ai config show` says what is in effect and from where"


@dataclass(slots=True)
class Examined:
    """What there is to look at: SETTINGS is None where the configuration says nothing that holds."""

    settings: Settings | None
    registry: Registry
    context: Context = field(default_factory=Context)
    providers: Mapping[str, Provider] = field(default_factory=dict)

    def table(self, kind: str, name: str) -> Mapping[str, object] | None:
        """The table `[plugins.<name>]` of the plugin that offers the component NAME."""
        return None if self.settings is None else self.settings.plugin_table(self.registry.origin(kind, name).name)


def check_configuration(config_file: Path | None) -> tuple[Examined, list[Finding]]:
    """Read the configuration and load all plugins. What is wrong is in the findings, a line each."""
    problems: list[str] = []
    hint = TRY
    where = "no file: defaults and AI_* variables"
    settings: Settings | None = None
    try:
        loaded = load_settings(config_file)
        settings = loaded.settings
        where = f"{loaded.file or where}"
    except ConfigError as error:
        problems, hint = error.message.splitlines(), error.hint or TRY
        try:
            settings = load_accepted(config_file)
        except ConfigError:
            settings = None
    policy = PluginPolicy() if settings is None else settings.plugin_policy()
    examined = Examined(settings, load([kind.name for kind in KINDS], replace(policy, strict=False)))
    if settings is not None:
        problems += unresolved(settings, examined.registry)
        problems += _take_up(examined, settings)
    findings = [fail("config", problem, hint) for problem in problems] or [ok("config", where)]
    return examined, findings + list(_test_settings(settings))


def _take_up(examined: Examined, settings: Settings) -> list[str]:
    examined.context = Context(
        signing_keys=settings.signing_keys,
        upstream=settings.upstream(),
        nats=settings.nats(),
        snapshot_path=settings.snapshot_path,
    )
    providers = examined.registry.providers().values()
    try:
        examined.providers = configured_providers(
            providers, settings.provider_authorities, settings.provider_dialects, settings.provider_auth_schemes
        )
    except ConfigError as error:
        examined.providers = configured_providers(providers, settings.provider_authorities, {}, {})
        return error.message.splitlines()
    return []


def _test_settings(settings: Settings | None) -> Iterator[Finding]:
    if settings is not None and not settings.upstream_tls:
        yield note("upstream_tls", "false: every provider is spoken to in PLAIN TEXT, keys included; for tests only")
    if settings is not None and not settings.upstream_verify_cert:
        yield note("upstream_verify_cert", "false: providers are NOT authenticated; for tests only")


def check_plugins(examined: Examined) -> list[Finding]:
    """A line for each plugin that failed, or that a start fails without; else how many are in use."""
    plugins = examined.registry.plugins
    findings = [finding for plugin in plugins if (finding := _of_plugin(plugin)) is not None]
    if any(finding.health is Health.FAIL for finding in findings):
        return findings
    counts = {state: sum(plugin.state is state for plugin in plugins) for state in State}
    others = [f"{counts[state]} {state.value}" for state in (State.DISABLED, State.UNAVAILABLE) if counts[state]]
    return [ok("plugins", ", ".join([f"{counts[State.LOADED]} in use", *others])), *findings]


def _of_plugin(plugin: Plugin) -> Finding | None:
    name, is_auth = f"plugin {plugin.qualified}", plugin.kind.name == "auth"
    if plugin.state is State.FAILED or (is_auth and plugin.state is State.UNAVAILABLE):
        return fail(name, f"of {plugin.origin}: {plugin.reason}", plugin.error("").hint)
    if is_auth and plugin.state is State.DISABLED:
        return note(name, "is disabled: its credentials go to providers as clients' own keys")
    return None


def check_keys(examined: Examined) -> list[Finding]:
    """Whether virtual keys can be verified, and whether a pool key is there to serve them. No key is shown."""
    settings = examined.settings
    if settings is None:
        return [note(name, "not checked: the configuration cannot be read") for name in ("signing_keys", "pool_keys")]
    return [*_refused_schemes(examined), _signing_keys(settings), _pool_keys(examined, settings)]


def _refused_schemes(examined: Examined) -> Iterator[Finding]:
    """Auth schemes that cannot be made, which is where a signing key is found to be none."""
    for name in examined.registry.auth_schemes():
        try:
            examined.registry.create("auth", name, examined.context, examined.table("auth", name))
        except BeyondError as error:
            yield fail(f"auth {name}", error.message, error.hint or TRY)


def _signing_keys(settings: Settings) -> Finding:
    kids = ", ".join(map(str, sorted(settings.signing_keys)))
    if kids:
        return ok("signing_keys", f"{len(settings.signing_keys)}, key id {kids}")
    if settings.pool_keys:
        return fail(
            "signing_keys",
            "none: every virtual key is refused (401), and nobody can use the pool keys",
            "set [signing_keys] or AI_SIGNING_KEY_<KID>; `beyond-ai keys new` makes a pair",
        )
    return ok("signing_keys", "none: virtual keys are refused, clients' own keys pass through")


def _pool_keys(examined: Examined, settings: Settings) -> Finding:
    names = sorted(settings.pool_keys)
    if names:
        count = sum(map(len, settings.pool_keys.values()))
        return ok("pool_keys", f"{count} for {', '.join(names)}")
    keyless = [each.name for each in examined.providers.values() if not (each.needs_key or each.embedded)]
    if settings.signing_keys and not keyless:
        return fail(
            "pool_keys",
            "none: every virtual key is refused at every provider (503)",
            "set [pool_keys] or AI_POOL_KEY_<PROVIDER>",
        )
    return ok("pool_keys", f"none needed for {', '.join(keyless)}" if keyless else "none")
