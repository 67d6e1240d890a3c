"""The source of the deny-set. What is looked at is the store's business: it may offer a check of its own."""

import asyncio
import time
from typing import Final

from beyond_ai.doctor.configuration import Examined
from beyond_ai.doctor.finding import Finding, fail, note, ok
from beyond_ai.errors import BeyondError
from beyond_ai.registry.plugin import one_line
from beyond_ai.spec.deny import CheckableDenyStore

CHECK_TIMEOUT: Final = 10.0
"""Seconds that a store has to look at its source."""
WITHOUT: Final = 'requests are served without it, and nobody is denied; deny_store = "" switches it off'


async def check_deny_store(examined: Examined) -> tuple[Finding, float | None]:
    """What the store in use says of its source, and by how many seconds this clock is ahead of the source's."""
    settings = examined.settings
    if settings is None:
        return note("deny_store", "not checked: the configuration cannot be read"), None
    name = settings.deny_store
    if not name:
        return note("deny_store", "none: no virtual key can be taken back"), None
    where = f"deny_store {name}"
    if name not in examined.registry.deny_stores():
        return note(where, "not checked: no plugin in use offers it"), None
    try:
        store = examined.registry.create("deny_store", name, examined.context, examined.table("deny_store", name))
    except BeyondError as error:
        return fail(where, error.message, error.hint or WITHOUT), None
    if not isinstance(store, CheckableDenyStore):
        return note(where, "not checked: it offers no check"), None
    return await _check(where, store)


async def _check(where: str, store: CheckableDenyStore) -> tuple[Finding, float | None]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            source = await store.check()
    except TimeoutError:
        return fail(where, f"no result after {CHECK_TIMEOUT:g} s", WITHOUT), None
    except BeyondError as error:
        return fail(where, error.message, "; ".join(filter(None, (error.hint, WITHOUT)))), None
    except Exception as error:  # noqa: BLE001 - a stranger's code
        return fail(where, f"its check failed: {one_line(error)}", WITHOUT), None
    skew = None if source.time is None else time.time() - source.time
    return ok(where, source.summary), skew
