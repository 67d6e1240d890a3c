"""Logging in: users in the URL, .creds files, and what is said of ones that do not work."""

from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.nats_credentials import user_credentials
from tests.nats_server import NatsServer
from tests.plugins.deny.conftest import IMPATIENT

from beyond_ai import BeyondError, DenySet, NatsSettings
from beyond_ai_plugins.deny.nats.bucket import Bucket, LostError, connected
from beyond_ai_plugins.deny.nats.login import login_options, servers_of, shown
from beyond_ai_plugins.deny.nats.store import NatsDenyStore


@pytest.fixture
def creds(tmp_path: Path) -> tuple[list[str], str]:
    return user_credentials(tmp_path)


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
