"""The updates of a bucket's deny entries in their order, none missing: a push consumer, checked at every message.

Consumers number what they deliver, and say in each heartbeat how far they are. A number that is skipped, a heartbeat
that knows of more, silence, or a broken connection ends the feed with a LostError; the one that opens the next feed
knows the revision to begin after. Nothing is acknowledged, and nothing is kept on the server: it forgets the consumer
soon after.
"""

import asyncio
import secrets
from typing import Final

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from beyond_ai_plugins.deny.nats.bucket import Bucket, LostError, in_words
from beyond_ai_plugins.deny.nats.entries import PREFIX, Update

MISSED_HEARTBEATS: Final = 3
_ACK: Final = "$JS.ACK."
"""How the reply subject of a stored message begins; what else comes is about the consumer itself."""
_OLD_TOKENS: Final = 9
_KV_OPERATION: Final = "KV-Operation"
_MARKER_REASON: Final = "Nats-Marker-Reason"


def _is_deletion(headers: dict[str, str] | None) -> bool:
    """Whether a message takes its key away: by a client, or, since server 2.11, by the server itself."""
    if not headers:
        return False
    return headers.get(_KV_OPERATION) in ("DEL", "PURGE") or headers.get(_MARKER_REASON) in (
        "MaxAge",
        "Remove",
        "Purge",
    )


class Feed:
    """An open feed. `complete` turns true once all that was there when it was opened has come."""

    def __init__(self, bucket: Bucket, heartbeat: float) -> None:
        self.complete = False
        self._bucket = bucket
        self._heartbeat = heartbeat
        self._key_at = len(bucket.prefix)
        self._updates: list[Update] = []
        self._permits: list[str] = []
        self._delivered = 0
        self._heard = 0.0
        self._woken = asyncio.Event()
        self._broken: str | None = None
        self._subscription: Subscription | None = None

    @property
    def waiting(self) -> bool:
        """Whether something has come that was not taken yet."""
        return bool(self._updates)

    @classmethod
    async def open(cls, bucket: Bucket, heartbeat: float, *, after: int | None = None) -> "Feed":
        """All updates after the revision AFTER, or, for None, the last one of every key and then what follows.

        Either way nothing lies between what was there and what is new: it is one consumer. Raises LostError.
        """
        feed = cls(bucket, heartbeat)
        connection = bucket.connection
        connection.on_lost.add(feed._woken.set)
        try:
            inbox = connection.client.new_inbox()
            feed._subscription = await connection.client.subscribe(inbox, cb=feed._on_message)
            feed._heard = asyncio.get_running_loop().time()
            info = await connection.jetstream.add_consumer(bucket.stream, _consumer(bucket, inbox, heartbeat, after))
        except Exception as error:
            await feed.aclose()
            raise LostError(connection.lost or f"the bucket cannot be watched: {in_words(error)}") from error
        if not info.num_pending and not feed._delivered:
            feed.complete = True
        return feed

    async def batch(self, seconds: float) -> list[Update]:
        """What has come since the last call; waits up to SECONDS, or for a heartbeat, when that is nothing.

        Raises LostError when the feed is over, and what came before that was taken.
        """
        await self._permit_more()
        if not self._updates:
            self._check()
            loop = asyncio.get_running_loop()
            silent_in = self._heard + MISSED_HEARTBEATS * self._heartbeat - loop.time()
            self._woken.clear()
            try:
                async with asyncio.timeout(max(0.0, min(seconds, silent_in))):
                    await self._woken.wait()
            except TimeoutError:
                if silent_in <= seconds:
                    raise LostError("the server is silent") from None
        updates, self._updates = self._updates, []
        return updates

    async def aclose(self) -> None:
        """Take no more. The server forgets the consumer by itself."""
        self._bucket.connection.on_lost.discard(self._woken.set)
        if self._subscription is not None and self._bucket.connection.lost is None:
            try:
                await self._subscription.unsubscribe()
            except Exception:  # noqa: BLE001 - the connection broke just now; its owner hears of it elsewhere
                return

    def _check(self) -> None:
        broken = self._broken or self._bucket.connection.lost
        if broken is not None:
            raise LostError(broken)

    async def _permit_more(self) -> None:
        """Let the server send on. It stops after a while, so that updates which nobody takes do not pile up here."""
        permits, self._permits = self._permits, []
        for subject in permits:
            try:
                await self._bucket.connection.client.publish(subject)
            except Exception as error:
                raise LostError(self._bucket.connection.lost or in_words(error)) from error

    async def _on_message(self, message: Msg) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._woken.set()
        if self._broken is None:
            if message.reply.startswith(_ACK):
                self._on_update(message)
            else:
                self._on_control(message)

    def _on_update(self, message: Msg) -> None:
        tokens = message.reply.split(".")
        # $JS.ACK.STREAM.CONSUMER.DELIVERIES.REVISION.NUMBER.TIME.PENDING, since 2.10 with DOMAIN.ACCOUNT before STREAM
        at = 5 if len(tokens) == _OLD_TOKENS else 7
        revision, number, time, pending = (int(token) for token in tokens[at : at + 4])
        if number != self._delivered + 1:
            self._broken = "updates were missed"
            return
        self._delivered = number
        value = None if _is_deletion(message.headers) else message.data
        self._updates.append(Update(message.subject[self._key_at :], value, revision, time))
        if not pending:
            self.complete = True

    def _on_control(self, message: Msg) -> None:
        headers = message.headers or {}
        if headers.get("Status") != "100":
            self._broken = headers.get("Description") or "the consumer is gone"
            return
        permit = message.reply or headers.get("Nats-Consumer-Stalled")
        if permit:
            self._permits.append(permit)
        known = headers.get("Nats-Last-Consumer")
        if known is None:
            return
        if int(known) != self._delivered:
            self._broken = "updates were missed"
        elif not permit:
            self.complete = True  # nothing is left to send: what was counted as pending may be deleted by now


def _consumer(bucket: Bucket, inbox: str, heartbeat: float, after: int | None) -> ConsumerConfig:
    config = ConsumerConfig(
        name=f"deny-{secrets.token_hex(8)}",
        deliver_subject=inbox,
        filter_subject=f"{bucket.prefix}{PREFIX}>",
        deliver_policy=DeliverPolicy.LAST_PER_SUBJECT,
        ack_policy=AckPolicy.NONE,
        max_deliver=1,
        idle_heartbeat=heartbeat,
        flow_control=True,
        mem_storage=True,
        num_replicas=1,
    )
    if after is not None:
        # never 0, which the server would take for "what is new only"
        config = config.evolve(deliver_policy=DeliverPolicy.BY_START_SEQUENCE, opt_start_seq=max(1, after + 1))
    return config
