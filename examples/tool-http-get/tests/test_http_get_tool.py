"""Whom it asks and whom it refuses, and what it gives back, against real servers on loopback: they are allowed here."""

import asyncio
import re
import socket
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpcore
import pytest

from beyond_ai import ToolContext, ToolError, ToolLimits, ToolResult
from beyond_ai.testing import Pause, ReadBody, ScriptedUpstream, Send, response, response_head
from http_get_tool import addresses
from http_get_tool.addresses import AddressPolicy, Refused
from http_get_tool.tool import HttpGet, HttpGetSettings, http_get

TEXT = (b"content-type", b"text/plain; charset=utf-8")

README = (Path(__file__).parents[1] / "README.md").read_text()


class Never:
    requested = False

    async def wait(self) -> None:
        await asyncio.Event().wait()


class Anywhere:
    def check(self, path: Path, *, write: bool) -> None:
        pass


async def get(url: str, said: list[str] | None = None, **settings: Any) -> ToolResult:
    context = ToolContext(
        cwd=Path(),
        cancellation=Never(),
        progress=(said if said is not None else []).append,
        limits=ToolLimits(),
        environment={},
        paths=Anywhere(),
        sees_images=False,
        scratch=Path(),
        config=HttpGetSettings.model_validate({"allow": ["127.0.0.1"], **settings}),
    )
    return await http_get(HttpGet(url=url), context)


@pytest.fixture
async def server() -> AsyncIterator[ScriptedUpstream]:
    async with ScriptedUpstream() as running:
        yield running


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.255.255.254", "0.0.0.0", "::", "::1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "fd00::1",
        "169.254.0.1", "169.254.169.254", "fe80::1", "fe80::1%1", "fd00:ec2::254", "100.100.100.200", "168.63.129.16",
        "192.0.0.192", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1", "198.18.0.1", "192.0.2.1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::a9fe:a9fe",
        "64:ff9b::10.0.0.1", "2001:0:808:808::80ff:fffe", "::127.0.0.1", "fec0::1", "64:ff9b:1::1", "2002:a00:1::",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address: str) -> None:
    with pytest.raises(Refused, match="only public addresses"):
        AddressPolicy().check(address, address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_a_public_address_is_not_refused(address: str) -> None:
    AddressPolicy().check(address, address)


def test_what_is_allowed_is_allowed_in_all_its_forms_and_nothing_beside_it() -> None:
    policy = AddressPolicy(["10.1.0.0/16", "::1"])
    for address in ("10.1.2.3", "::ffff:10.1.2.3", "::1"):
        policy.check(address, address)
    with pytest.raises(Refused):
        policy.check("10.2.0.1", "10.2.0.1")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:7f00:1]"]
)
async def test_no_spelling_of_this_machine_gets_through(server: ScriptedUpstream, host: str) -> None:
    port = server.authority.rpartition(":")[2]
    with pytest.raises(ToolError, match=r"Not allowed|not found"):
        await get(f"http://{host}:{port}/", allow=[])
    assert not server.connections


async def test_a_name_is_resolved_once_and_one_bad_address_is_enough(
    server: ScriptedUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = int(server.authority.rpartition(":")[2])
    answers = [["8.8.8.8", "127.0.0.1"], ["127.0.0.1"]]

    async def rebinding(_host: str, _port: int) -> list[str]:
        return answers.pop(0)

    monkeypatch.setattr(addresses, "resolved", rebinding)
    with pytest.raises(ToolError, match=r"rebind\.example is 127\.0\.0\.1, which is this machine"):
        await get(f"http://rebind.example:{port}/", allow=[])
    server.answer(response(200, [TEXT], b"once"))
    assert (await get(f"http://rebind.example:{port}/")).text.endswith("once")
    assert answers == []
    assert server.requests[0].header(b"host") == b"rebind.example:%d" % port


async def test_redirects_are_followed_checked_and_counted(server: ScriptedUpstream) -> None:
    url = f"http://{server.authority}"
    server.answer(response(302, [(b"location", b"/second")], b""))
    server.answer(response(200, [TEXT], b"here"))
    said: list[str] = []
    assert (await get(f"{url}/first", said)).text == f"200 {url}/second (text/plain, 4 bytes)\n\nhere"
    assert f"redirected to {url}/second\n200 {url}/second: 4 bytes\n" in said
    for bad in (
        b"http://169.254.169.254/latest/meta-data",
        b"http://[::1]:1/",
        b"file:///etc/passwd",
        b"http://u:p@h/",
    ):
        server.answer(response(302, [(b"location", bad)], b""))
        with pytest.raises(ToolError, match=r"Not allowed|no http or https URL|user name"):
            await get(url)
    for _ in range(3):
        server.answer(response(307, [(b"location", b"/again")], b""))
    with pytest.raises(ToolError, match="More than 2 redirects"):
        await get(url, max_redirects=2)


async def test_no_more_is_read_than_the_limit_and_the_time(server: ScriptedUpstream) -> None:
    url = f"http://{server.authority}/"
    head = response_head(200, [TEXT, (b"content-length", b"1000000")])
    server.play(ReadBody(), Send(head + b"x" * 100), Pause(10))
    assert (await get(url, max_bytes=50)).text.endswith("\n\n" + "x" * 50 + "\n[Cut: the page goes on.]")
    server.play(ReadBody(), Send(head), Pause(10))
    with pytest.raises(ToolError, match=r"No whole answer within 0.2 s"):
        await get(url, timeout_secs=0.2)


async def test_only_text_is_read_and_an_error_keeps_its_words(server: ScriptedUpstream) -> None:
    url = f"http://{server.authority}/"
    server.answer(response(200, [(b"content-type", b"image/png")], b"png"))
    with pytest.raises(ToolError, match=r"is image/png; only text/\*"):
        await get(url)
    server.answer(response(200, [TEXT, (b"content-encoding", b"gzip")], b"bomb"))
    with pytest.raises(ToolError, match="compressed"):
        await get(url)
    server.answer(response(404, [(b"content-type", b"text/plain; charset=latin-1")], b"caf\xe9"))
    result = await get(url)
    assert result.is_error
    assert result.text.endswith("\n\ncaf\u00e9")
    assert {b"cookie", b"authorization"}.isdisjoint(name.lower() for name, _ in server.requests[0].headers)


async def test_nobody_there_is_an_error_of_the_tools() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ToolError, match=r"127\.0\.0\.1"):
            await get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    with pytest.raises(httpcore.ConnectError, match="not found"):
        await addresses.resolved("nobody.invalid", 80)


def test_the_readme_shows_each_setting_with_its_default() -> None:
    [shown] = re.findall(r"^```toml\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert tomllib.loads(shown)["plugins"]["http_get"] == HttpGetSettings().model_dump(mode="json")
