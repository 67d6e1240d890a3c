"""Which scanner serves: the rule behind `scanner` in the configuration, for the gateway and for `plugins list`."""

from collections.abc import Callable

from beyond_ai.errors import PluginError
from beyond_ai.registry.tables import Registry
from beyond_ai.spec.scanner import ScannerFactory

AUTO = "auto"


def choose_scanner(
    registry: Registry,
    wanted: str,
    create: Callable[[str], ScannerFactory],
    failed: Callable[[str, PluginError], None],
) -> tuple[str, ScannerFactory]:
    """The scanner called WANTED; for `auto` the one with the highest preference of those that CREATE can make.

    REGISTRY notes it as the active one. One that cannot be made is told to FAILED, and the next best is taken. Raises
    PluginError where the one that is WANTED by its name cannot be made, and where none can.
    """
    made: dict[str, ScannerFactory] = {}
    for name in list(registry.scanners()) if wanted == AUTO else [wanted]:
        try:
            made[name] = create(name)
        except PluginError as error:
            if wanted != AUTO:
                raise
            failed(name, error)
    if not made:
        raise PluginError("no scanner can be used", "enable the plugin `python`")
    best = max(made, key=lambda name: made[name].preference)
    registry.activate("scanner", best)
    return best, made[best]
