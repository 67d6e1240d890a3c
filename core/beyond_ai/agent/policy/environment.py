"""The environment that tools give to their children: the agent's own, without what opens doors."""

from collections.abc import Mapping
from typing import Final

NAMES: Final = frozenset({"AI_AGENT_KEY", "AI_ADMIN_TOKEN", "AI_MINT_KEY"})
PREFIXES: Final = ("AI_POOL_KEY", "AI_SIGNING_", "AI_NATS_")
SHORTEST: Final = 8
"""Characters of a key that is looked for in other variables: a shorter one is in many by chance."""
NOTIFICATION: Final = frozenset({"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "NOTIFY_SOCKET"})
"""What a service manager tells this process alone."""


def child_environment(environ: Mapping[str, str], key: str) -> dict[str, str]:
    """ENVIRON without the keys of the agent and of a gateway, and without every variable that holds KEY."""
    return {
        name: value
        for name, value in environ.items()
        if name not in NAMES
        and name not in NOTIFICATION
        and not name.startswith(PREFIXES)
        and (len(key) < SHORTEST or key not in value)
    }
