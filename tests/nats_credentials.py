"""An operator, accounts, a user and that user's .creds file, for a NATS server in operator mode."""

import json
import time
from base64 import b32encode, urlsafe_b64encode
from binascii import crc_hqx
from pathlib import Path

from nacl.signing import SigningKey

OPERATOR, ACCOUNT, USER, SEED = 14 << 3, 0, 20 << 3, 18 << 3


def nkey(raw: bytes) -> str:
    """RAW in the text form of NATS: base32, with a checksum."""
    return b32encode(raw + crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


class Party:
    """An operator, account or user, who signs for others."""

    def __init__(self, kind: int) -> None:
        self.key = SigningKey.generate()
        self.name = nkey(bytes((kind,)) + bytes(self.key.verify_key))
        self.seed = nkey(bytes((SEED | kind >> 5, (kind & 31) << 3)) + bytes(self.key))

    def jwt(self, subject: "Party", claims: dict[str, object]) -> str:
        facts = {"jti": "x", "iat": int(time.time()), "iss": self.name, "sub": subject.name, "name": "test"}
        parts = ({"typ": "JWT", "alg": "ed25519-nkey"}, {**facts, "nats": {**claims, "version": 2}})
        text = ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts)
        signature = urlsafe_b64encode(self.key.sign(text.encode()).signature).decode().rstrip("=")
        return f"{text}.{signature}"


def user_credentials(folder: Path) -> tuple[list[str], str]:
    """Options of a server that lets one user in, and the .creds file of that user."""
    operator, system, account, user = Party(OPERATOR), Party(ACCOUNT), Party(ACCOUNT), Party(USER)
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    claims = {"type": "account", "default_permissions": {}}
    system_jwt = operator.jwt(system, {**claims, "limits": {**unlimited, "wildcards": True}})
    account_jwt = operator.jwt(account, {**claims, "limits": {**unlimited, **storage, "wildcards": True}})
    user_jwt = account.jwt(user, {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}})
    config = folder / "server.conf"
    config.write_text(
        f"operator: {operator.jwt(operator, {'type': 'operator'})}\n"
        f"system_account: {system.name}\nresolver: MEMORY\n"
        f"resolver_preload: {{ {account.name}: {account_jwt}, {system.name}: {system_jwt} }}\n"
    )
    text = (
        f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
        f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n"
    )
    return ["-c", str(config)], text
