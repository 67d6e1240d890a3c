"""Deny stores: where the gateway learns which tenants and keys it must refuse.

The control plane stops a tenant, or one key of it, by a word; a deny store brings that word here. The gateway owns one
`DenySet`, which every managed request asks; a store is handed its `DenyUpdater` and keeps the set as the control plane
has it. This seam fails open: a store that cannot be made, started or reached refuses nobody by that, and a store that
loses its source leaves the set as it is. An error never empties the set; only what the source says does.

    from beyond_ai import Component, DenyReason, DenyScope, hookimpl

    class Fixed:
        connected = ready = True
        async def start(self, updater): updater.put(DenyScope.TENANT, 42, DenyReason.FRAUD)
        async def aclose(self): pass

    @hookimpl
    def beyond_deny_stores():
        yield Component(name="fixed", summary="refuses tenant 42", create=lambda context: Fixed())
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from beyond_ai.spec.component import Component
from beyond_ai.spec.markers import hookspec


class DenyReason(Enum):
    """Why somebody is refused."""

    SPEND = "spend"
    """over a spending limit; a client that pays may come back (402)"""
    FRAUD = "fraud"
    """suspended (403)"""
    UNKNOWN = "unknown"
    """denied in words that are not understood, which is denied all the same (403)"""


class DenyScope(Enum):
    """What an entry denies."""

    TENANT = "tenant"
    """every key of a tenant"""
    KEY = "key"
    """the one key that has this id"""


class DenySet:
    """Who is refused. Asked in the event loop's thread for every managed request, changed there by a `DenyUpdater`.

    An answer is one or two dictionary lookups, whatever the size. Measured among a million entries, ids at random: 0.3
    us for who is not in it, 0.8 us for who is. That million takes 74 MiB, with ids below 2^30 67 MiB; while `replace`
    brings a new million in, both are held. `len` is the number of entries.
    """

    __slots__ = ("_keys", "_tenants")

    def __init__(self) -> None:
        self._tenants: dict[int, DenyReason] = {}
        self._keys: dict[int, DenyReason] = {}

    def reason(self, tenant_id: int, key_id: int | None) -> DenyReason | None:
        """Why a key with the id KEY_ID of tenant TENANT_ID is refused; None when it is not. The tenant's entry wins."""
        found = self._tenants.get(tenant_id)
        if found is None and key_id is not None:
            return self._keys.get(key_id)
        return found

    def __len__(self) -> int:
        return len(self._tenants) + len(self._keys)

    def updater(self) -> "DenyUpdater":
        """What a store changes this set with."""
        return DenyUpdater(self)


class DenyUpdater:
    """Changes a `DenySet`. For the event loop's thread only; every change counts from the next request on."""

    __slots__ = ("_denied",)

    def __init__(self, denied: DenySet) -> None:
        self._denied = denied

    def __len__(self) -> int:
        return len(self._denied)

    def replace(self, tenants: dict[int, DenyReason], keys: dict[int, DenyReason]) -> None:
        """Put TENANTS and KEYS, reasons by id, in place of all entries, in one go. Both are the set's from now on."""
        self._denied._tenants = tenants  # noqa: SLF001 - the other half of one class, which readers do not see
        self._denied._keys = keys  # noqa: SLF001

    def put(self, scope: DenyScope, number: int, reason: DenyReason) -> None:
        """Deny the tenant, or the key, with the id NUMBER; an entry that is there gets the new REASON."""
        self._of(scope)[number] = reason

    def remove(self, scope: DenyScope, number: int) -> None:
        """Take back an entry. Harmless when there is none."""
        self._of(scope).pop(number, None)

    def _of(self, scope: DenyScope) -> dict[int, DenyReason]:
        return self._denied._tenants if scope is DenyScope.TENANT else self._denied._keys  # noqa: SLF001


@runtime_checkable
class DenyStore(Protocol):
    """Keeps a `DenySet` as its source has it."""

    @property
    def connected(self) -> bool:
        """Whether changes at the source arrive at present; the metric `ai_nats_connected` shows it."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the source has been read whole since the start. An empty source counts."""
        ...

    async def start(self, updater: DenyUpdater) -> None:
        """Begin to keep the set. Called once, in the event loop, before the first request, which waits for it.

        What is at hand locally is put in before this returns; the source is waited for in a task, not here. An error
        sets the store aside: nobody is refused.
        """
        ...

    async def aclose(self) -> None:
        """Stop, and leave the set as it is. Called once, after the last request; given ten seconds."""
        ...


@dataclass(frozen=True, slots=True)
class DenySource:
    """What a look at a store's source found.

    `summary` says in a few words what is there, and holds no secret. `time` is the source's clock, in seconds since
    1970, where it tells; this machine's is compared with it.
    """

    summary: str
    time: float | None = None


@runtime_checkable
class CheckableDenyStore(DenyStore, Protocol):
    """A deny store that can say whether its source is there, and why not: what `beyond-ai doctor` shows of it."""

    async def check(self) -> DenySource:
        """Look at the source, and change nothing there. Called without `start`; given ten seconds.

        Raise `BeyondError` for what is wrong, with what to do about it as its hint.
        """
        ...


class DenyHooks:
    """The hook of the group `beyond_ai.deny_stores`."""

    @hookspec
    def beyond_deny_stores(self) -> Iterable[Component[DenyStore]]:  # type: ignore[empty-body]
        """Yield the deny stores that this plugin adds. The gateway uses one; none is made that is not used."""
