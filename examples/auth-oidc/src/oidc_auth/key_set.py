"""The issuer's keys: fetched when they are needed, kept for a while, and fetched again when they rotate.

Three ages. Fresh keys are used as they are. Older ones still serve while newer ones are fetched beside. Beyond that
there are none until a fetch succeeds. However many requests ask, one fetch is under way at a time, and the next waits
for `refetch_secs` to pass: made-up key ids cannot be used to flood the issuer.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import jwt

from beyond_ai import CannotVerify
from oidc_auth.settings import OidcSettings

MAX_BYTES: Final = 1 << 20
"""Of a key set; real ones have a few KiB."""

Keys = Mapping[str, jwt.PyJWK]
"""Public keys by their ids."""

_log = logging.getLogger("beyond_ai.oidc_auth")


class KeySet:
    """Keys as FETCH last brought them. Lives in one event loop."""

    def __init__(
        self,
        settings: OidcSettings,
        fetch: Callable[[], Awaitable[bytes]],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._fetch = fetch
        self._now = now
        self._keys: Keys = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self.changes = 0
        """how often other keys have come: what was verified under the old ones is to be verified again"""

    def usable(self) -> Keys | None:
        """The keys, if they may be used without waiting; those that are not fresh are fetched anew beside."""
        age = self._now() - self._fetched_at
        if age <= self._settings.fresh_secs:
            return self._keys
        if age > self._settings.fresh_secs + self._settings.stale_secs:
            return None
        if self.may_fetch:
            self._start()
        return self._keys

    @property
    def may_fetch(self) -> bool:
        """Whether it is worth waiting: a fetch is under way, or one may begin."""
        return self._running is not None or self._now() - self._tried_at >= self._settings.refetch_secs

    async def fetched(self) -> Keys:
        """The keys after one more fetch, if one is allowed now. Raises CannotVerify when there are none to use."""
        if self.may_fetch:
            await asyncio.shield(self._running or self._start())  # of the requests that wait, one may leave
        keys = self.usable()
        if keys is None:
            raise CannotVerify(f"no keys from {self._settings.jwks_url}")
        return keys

    def _start(self) -> asyncio.Task[None]:
        if self._running is None:
            self._running = asyncio.get_running_loop().create_task(self._refresh())
        return self._running

    async def _refresh(self) -> None:
        try:
            keys = parse_keys(await self._fetch())
        except Exception as error:  # noqa: BLE001 - whatever it was, the keys that there are stay
            _log.warning("keys of %s: %s: %s", self._settings.issuer, type(error).__name__, error)
        else:
            if _material(keys) != _material(self._keys):
                self.changes += 1
            self._keys, self._fetched_at = keys, self._now()
        finally:
            self._tried_at, self._running = self._now(), None


def parse_keys(document: bytes) -> Keys:
    """The keys in the JWKS DOCUMENT that can verify signatures. Raises jwt.PyJWTError for one without any."""
    found = jwt.PyJWKSet.from_json(document.decode()).keys
    return {key.key_id: key for key in found if key.key_id and key.key_type != "oct" and key.public_key_use != "enc"}


def _material(keys: Keys) -> dict[str, object]:
    return {kid: (key.algorithm_name, key.key) for kid, key in keys.items()}


def http_fetch(settings: OidcSettings) -> Callable[[], Awaitable[bytes]]:
    """Gets the key set of SETTINGS. Redirects are not followed: the configuration says where keys come from."""

    async def fetch() -> bytes:
        import httpx

        async with (
            asyncio.timeout(settings.timeout_secs),
            httpx.AsyncClient() as client,
            client.stream("GET", settings.jwks_url, headers={"accept": "application/json"}) as answer,
        ):
            answer.raise_for_status()
            document = bytearray()
            async for part in answer.aiter_bytes():
                document += part
                if len(document) > MAX_BYTES:
                    raise ValueError(f"a key set of more than {MAX_BYTES} bytes")
            return bytes(document)

    return fetch
