"""How many requests of one tenant are under way at a time, and how many may be.

What a worker has itself is counted exactly, tenant by tenant. What it has is also in its shared row, in a count-min
sketch of 4 lines of 8,192 cells, 256 KiB a worker, however many tenants there are. A decision is on the own count and
the others' estimates, which are never too low. With 1,000 tenants active on one of the other workers, one in
(8192 / 1000) ** 4 = 4,500 is over-estimated for it, by what the least of four strangers has there.

A worker looks first and counts then, so over all workers at most `workers - 1` more than the limit get in, and only at
the same instant; within one worker, none.
"""

from hashlib import blake2b
from typing import Final

from beyond_ai.gateway.shared_rows import SharedRows
from beyond_ai.gateway.sketch import Cells, cells_of, least, size

SECTION: Final = "in_flight"
_LOG2_WIDTH: Final = 13
WORDS: Final = size(_LOG2_WIDTH)


class Tenant:
    """A tenant with requests under way in this worker: how many, and where they are counted for the others."""

    __slots__ = ("cells", "count", "id")

    def __init__(self, tenant_id: int, cells: Cells) -> None:
        self.id = tenant_id
        self.cells = cells
        self.count = 0


class InFlight:
    """One request under way; `leave` it once it has ended, however that was."""

    __slots__ = ("_tenant", "_tenants")

    def __init__(self, tenants: "TenantsInFlight", tenant: Tenant) -> None:
        self._tenants = tenants
        self._tenant: Tenant | None = tenant

    def leave(self) -> None:
        """Make room for another; the second call does nothing."""
        tenant = self._tenant
        if tenant is not None:
            self._tenant = None
            self._tenants.left(tenant)


class TenantsInFlight:
    """The requests under way, as one worker sees them. `limit` is for each tenant; 0 is no limit.

    A worker begins with none, so this clears what a predecessor left in its row. Should a dead one have no successor,
    `SharedRows.clear` does it.
    """

    __slots__ = ("_key", "_others", "_own", "_tenants", "limit")

    def __init__(self, limit: int, rows: SharedRows) -> None:
        rows.clear(SECTION, rows.own)
        views = rows.words(SECTION)
        self.limit = limit
        self._own = views[rows.own]
        self._others = views[: rows.own] + views[rows.own + 1 :]
        self._key = rows.secret
        self._tenants: dict[int, Tenant] = {}

    def enter(self, tenant_id: int) -> InFlight | None:
        """Take a place for a request of TENANT_ID; None when it has as many as it may."""
        tenant = self._tenants.get(tenant_id) or Tenant(tenant_id, self._cells(tenant_id))
        cells = tenant.cells
        if tenant.count + sum([least(row, cells) for row in self._others]) >= self.limit > 0:
            return None
        tenant.count += 1
        self._tenants[tenant_id] = tenant
        for cell in cells:
            self._own[cell] += 1
        return InFlight(self, tenant)

    def left(self, tenant: Tenant) -> None:
        """Give the place of one request of TENANT back."""
        tenant.count -= 1
        if not tenant.count:
            del self._tenants[tenant.id]
        for cell in tenant.cells:
            self._own[cell] -= 1

    def _cells(self, tenant_id: int) -> Cells:
        digest = blake2b(b"%d" % tenant_id, digest_size=8, key=self._key).digest()
        return cells_of(int.from_bytes(digest, "little"), _LOG2_WIDTH)
