"""How to log in to NATS: with a .creds file, a user and password in the URL, or not at all.

A .creds file holds a JWT and the seed of the Ed25519 key that signs the server's nonce, each between a BEGIN and an END
line. The seed is base32 of a prefix byte and the kind of key in 10 bits, the 32 bytes and a CRC-16 (NATS "nkeys").
"""

import re
from base64 import b32decode, b64decode, b64encode
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from nacl.signing import SigningKey

from beyond_ai import BeyondError, NatsSettings

_JWT: Final = re.compile(r"BEGIN NATS USER JWT-*\s+([A-Za-z0-9_\-.=]+)\s")
_SEED: Final = re.compile(r"BEGIN USER NKEY SEED-*\s+(SU[A-Z2-7]+)\s")
_PREFIX_BYTES: Final = 2
_SEED_BYTES: Final = 32


def servers_of(settings: NatsSettings) -> list[str]:
    """The servers to try, users and passwords included."""
    return [url.strip() for url in settings.url.split(",") if url.strip()]


def shown(settings: NatsSettings) -> str:
    """The servers for a message, without users and passwords."""
    return ", ".join(re.sub(r"(//|^)[^/]*@", r"\1", url) for url in servers_of(settings))


def login_options(settings: NatsSettings) -> dict[str, Any]:
    """The arguments for the client of NATS that log in. A .creds file goes before what the URL says.

    Raises BeyondError for a .creds file that cannot be used; no secret is in its message.
    """
    if settings.creds is not None:
        try:
            text = b64decode("".join(settings.creds.split()), validate=True).decode("ascii")
        except ValueError:
            raise BeyondError("nats_creds is not base64 of a .creds file", "base64 -w0 FILE makes it") from None
        return _from_creds(text, "nats_creds")
    if settings.creds_file is not None:
        try:
            text = settings.creds_file.read_text(encoding="ascii")
        except OSError as error:
            raise BeyondError(f"nats_creds_file {settings.creds_file}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise BeyondError(f"nats_creds_file {settings.creds_file} is not text") from None
        return _from_creds(text, "nats_creds_file")
    for url in servers_of(settings):
        parts = urlsplit(url if "//" in url else f"//{url}")
        if parts.username is not None and parts.password is not None:
            return {"user": unquote(parts.username), "password": unquote(parts.password)}
        if parts.username is not None:
            return {"token": unquote(parts.username)}
    return {}


def _from_creds(text: str, setting: str) -> dict[str, Any]:
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if jwt is None or seed is None:
        raise BeyondError(
            f"{setting} holds no user JWT and seed", "it must be a .creds file, as `nsc generate creds` has it"
        )
    try:
        raw = b32decode(seed[1] + "=" * (-len(seed[1]) % 8))
        key = SigningKey(raw[_PREFIX_BYTES : _PREFIX_BYTES + _SEED_BYTES])
    except ValueError:
        raise BeyondError(f"{setting} holds a seed that is none") from None
    token = jwt[1].encode("ascii")
    return {
        "user_jwt_cb": lambda: token,
        "signature_cb": lambda nonce: b64encode(key.sign(nonce.encode("ascii")).signature),
    }
