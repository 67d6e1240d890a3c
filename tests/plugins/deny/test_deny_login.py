"""Logging in: users in the URL, .creds files, and what is said of ones that do not work."""

import json
import time
from base64 import b32encode, b64encode, urlsafe_b64encode
from binascii import crc_hqx
from collections.abc import Callable
from pathlib import Path

import pytest
from nacl.signing import SigningKey
from tests.nats_server import NatsServer
from tests.plugins.deny.conftest import IMPATIENT

from beyond_ai import BeyondError, DenySet, NatsSettings
from beyond_ai_plugins.deny.nats.bucket import Bucket, LostError, connected
from beyond_ai_plugins.deny.nats.login import login_options, servers_of, shown
from beyond_ai_plugins.deny.nats.store import NatsDenyStore

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


@pytest.fixture
def creds(tmp_path: Path) -> tuple[list[str], str]:
    """Options of a server that lets one user in, and the .creds file of that user."""
    operator, system, account, user = Party(OPERATOR), Party(ACCOUNT), Party(ACCOUNT), Party(USER)
    unlimited = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
    storage = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
    claims = {"type": "account", "default_permissions": {}}
    system_jwt = operator.jwt(system, {**claims, "limits": {**unlimited, "wildcards": True}})
    account_jwt = operator.jwt(account, {**claims, "limits": {**unlimited, **storage, "wildcards": True}})
    user_jwt = account.jwt(user, {"type": "user", "subs": -1, "data": -1, "payload": -1, "pub": {}, "sub": {}})
    config = tmp_path / "server.conf"
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


async def may_enter(settings: NatsSettings) -> bool:
    try:
        async with connected(settings, 2) as connection:
            await Bucket(connection, settings.bucket).require()
            return True
    except LostError as error:
        if "uthorization" not in str(error):
            raise
        return False


async def test_a_creds_file_opens_the_door(creds: tuple[list[str], str], tmp_path: Path) -> None:
    options, text = creds
    file = tmp_path / "user.creds"
    file.write_text(text)
    with NatsServer(tmp_path, *options) as server:
        assert not await may_enter(NatsSettings(url=server.url))
        assert await may_enter(NatsSettings(url=server.url, creds_file=file))
        encoded = b64encode(text.encode()).decode()
        assert await may_enter(NatsSettings(url=server.url, creds=encoded[:40] + "\n" + encoded[40:]))
        assert await may_enter(NatsSettings(url=server.url.replace("//", "//who:ever@"), creds=encoded))


async def test_a_user_and_password_in_the_url(tmp_path: Path) -> None:
    with NatsServer(tmp_path, "--user", "me", "--pass", "p@ss:fake") as server:
        address = f"127.0.0.1:{server.port}"
        assert await may_enter(NatsSettings(url=f"nats://me:p%40ss%3Afake@{address}"))
        assert not await may_enter(NatsSettings(url=f"nats://me:wrong@{address}"))
        assert not await may_enter(NatsSettings(url=address))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (lambda folder: NatsSettings(creds="not base64!"), "nats_creds is not base64"),
        (lambda folder: NatsSettings(creds=b64encode(b"\xff\xfe").decode()), "nats_creds is not base64"),
        (
            lambda folder: NatsSettings(creds=b64encode(b"fake-secret").decode()),
            "nats_creds holds no user JWT and seed",
        ),
        (lambda folder: NatsSettings(creds_file=folder / "none"), "No such file"),
    ],
)
def test_what_cannot_be_used_is_said_without_showing_it(
    settings: Callable[[Path], NatsSettings], message: str, tmp_path: Path
) -> None:
    with pytest.raises(BeyondError, match=message) as raised:
        login_options(settings(tmp_path))
    assert "fake-secret" not in raised.value.message + raised.value.hint


def test_several_servers_and_no_secret_in_a_message() -> None:
    settings = NatsSettings(url="nats://me:hidden@a:4222, tls://token@b ,c")
    assert servers_of(settings) == ["nats://me:hidden@a:4222", "tls://token@b", "c"]
    assert shown(settings) == "nats://a:4222, tls://b, c"
    assert "hidden" not in repr(settings)
    assert login_options(NatsSettings(url="me:pw@c:1")) == {"user": "me", "password": "pw"}
    assert login_options(NatsSettings(url="token@c:1")) == {"token": "token"}
    assert login_options(NatsSettings(url="c:1")) == {}


async def test_a_login_that_fails_refuses_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = NatsDenyStore(NatsSettings(creds="not base64!"), None, IMPATIENT)
    denied = DenySet()
    await store.start(denied.updater())
    await store.aclose()
    assert len(denied) == 0
