"""Keeps the pool key from coming back: some providers repeat the key that they were shown in their refusal of it."""

from beyond_ai.spec.transport import Headers


def without_secret(headers: Headers, secret: bytes) -> Headers:
    """HEADERS but for those whose value contains SECRET."""
    return [header for header in headers if secret not in header[1]]


class Redactor:
    """Overwrites every SECRET in a body with as many `*`, whatever the chunk borders; the length stays the same."""

    __slots__ = ("_held", "_mask", "_secret")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._mask = b"*" * len(secret)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """The next bytes that may go on: all but an end that a secret may have begun in."""
        data = (self._held + data).replace(self._secret, self._mask)
        held = self._begun(data)
        self._held = data[len(data) - held :]
        return data[: len(data) - held]

    def end(self) -> bytes:
        """What was held back, when nothing more comes."""
        held, self._held = self._held, b""
        return held

    def _begun(self, data: bytes) -> int:
        """How many bytes at the end of DATA are the beginning of the secret."""
        for size in range(min(len(self._secret) - 1, len(data)), 0, -1):
            if self._secret.startswith(data[-size:]):
                return size
        return 0
