"""Two plugins, one name: settled by rule, never by the order on disk.

The configuration's word comes first (`prefer`), then our own distribution stays, and between two third parties both
are set aside. Every reason names both distributions and the line of configuration that settles it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence

from beyond_ai.plugin_policy import PluginPolicy, canonical
from beyond_ai.registry.plugin import Plugin, State


def settle_plugin_names(plugins: Iterable[Plugin], policy: PluginPolicy) -> None:
    """Leave at most one plugin in use for each kind and entry-point name."""
    _settle(plugins, policy, lambda plugin: [plugin.name], "are both called")


def settle_offered_names(plugins: Iterable[Plugin], policy: PluginPolicy) -> None:
    """Leave at most one plugin in use for each kind and name of a record."""
    _settle(plugins, policy, lambda plugin: list(plugin.records), "both offer")


def _settle(plugins: Iterable[Plugin], policy: PluginPolicy, names: Callable[[Plugin], list[str]], verb: str) -> None:
    """Settle the names that have a winner first, so that a tie with somebody who lost elsewhere is none."""
    pool = list(plugins)
    for (_, name), rivals in _contested(pool, names).items():
        winner, is_preferred = _winner(name, rivals, policy)
        if winner is None:
            continue
        for loser in rivals:
            if loser is winner or loser.state is not State.LOADED:
                continue
            if is_preferred:
                loser.disable(f"`{name}` comes from {winner.origin}, as [plugins] prefer says")
            else:
                loser.set_aside(_reason(loser, winner, name, verb), strict=policy.strict)
    for (_, name), rivals in _contested(pool, names).items():
        for loser in rivals:
            other = next(rival for rival in rivals if rival is not loser)
            loser.set_aside(_reason(loser, other, name, verb), strict=policy.strict)


def _contested(plugins: Sequence[Plugin], names: Callable[[Plugin], list[str]]) -> dict[tuple[str, str], list[Plugin]]:
    claims: defaultdict[tuple[str, str], list[Plugin]] = defaultdict(list)
    for plugin in plugins:
        if plugin.state is State.LOADED:
            for name in names(plugin):
                claims[plugin.kind.name, name].append(plugin)
    return {claim: rivals for claim, rivals in claims.items() if len(rivals) > 1}


def _winner(name: str, rivals: Sequence[Plugin], policy: PluginPolicy) -> tuple[Plugin | None, bool]:
    """Who keeps NAME, and whether because the configuration prefers it; None when no rule decides."""
    preferred = policy.preferred(name)
    for is_preferred, claimants in (
        (True, [rival for rival in rivals if canonical(rival.distribution) == preferred]),
        (False, [rival for rival in rivals if rival.ours]),
    ):
        if len(claimants) == 1:
            return claimants[0], is_preferred
    return None, False


def _reason(loser: Plugin, other: Plugin, name: str, verb: str) -> str:
    kind = loser.kind.name
    if canonical(loser.distribution) == canonical(other.distribution):
        return (
            f"{kind} plugins {loser.name} and {other.name} of {loser.origin} {verb} `{name}`; "
            f'switch one off: [plugins] disabled = ["{kind}:{other.name}"]'
        )
    return (
        f"{kind} plugins of {loser.origin} and {other.origin} {verb} `{name}`; "
        f'to use this one: [plugins] prefer = {{ {name} = "{loser.distribution}" }}'
    )
