"""What the admin listener shows, wherever it runs: in the one process there is, or in the supervisor of several."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from prometheus_client.core import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderStatus:
    """A provider as it is reached: `breaker` is its state in lower case, `pool_key` whether there is one."""

    name: str
    authority: str
    dialect: str
    transport: str
    breaker: str
    pool_key: bool


class AdminView(Protocol):
    """The gateway, as an operator looks at it."""

    def not_ready(self) -> str | None:
        """Why no traffic is wanted, in a word; None when it is."""
        ...

    def plugins(self) -> Sequence[Mapping[str, object]]:
        """The rows of `beyond-ai plugins list --json`, as those that serve see them."""
        ...

    def providers(self) -> Sequence[ProviderStatus]:
        """Every provider that is served."""
        ...

    def collect(self) -> "Iterable[Metric]":
        """The metric families, summed over all processes."""
        ...
