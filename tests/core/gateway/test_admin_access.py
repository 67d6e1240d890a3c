"""Who may see more of the admin listener than health and metrics."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai.gateway.admin_access import NOT_ITS_NAME, NOT_LOOPBACK, WRONG_TOKEN, Access, is_loopback

TOKEN = "fake-admin-token"
HERE = "127.0.0.1"
ELSEWHERE = "192.0.2.7"
NAME = ["localhost:9090"]


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::ffff:7f00:1"])
def test_loopback_needs_no_token_where_none_is_set(peer: str) -> None:
    assert is_loopback(peer)
    assert Access(None).refusal(peer, NAME, None) is None


@pytest.mark.parametrize(
    "peer", [None, "", "192.0.2.7", "10.0.0.1", "::ffff:192.0.2.7", "::", "0.0.0.0", "::7f00:1", "localhost", "fe80::1"]
)
@pytest.mark.parametrize("credential", [None, TOKEN])
def test_everyone_else_is_told_what_to_set(peer: str | None, credential: str | None) -> None:
    assert Access(None).refusal(peer, NAME, credential) is NOT_LOOPBACK
    assert "AI_ADMIN_TOKEN" in NOT_LOOPBACK.message


@pytest.mark.parametrize(
    "host",
    ["localhost", "LocalHost:9090", "localhost:", "127.0.0.1", "127.0.0.1:80", "127.1.2.3:1", "[::1]", "[::1]:9090",
     "[::ffff:127.0.0.1]:9090"],
)  # fmt: skip
def test_names_of_loopback(host: str) -> None:
    assert Access(None).refusal(HERE, [host], None) is None


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["attacker.test"],
        ["attacker.test:9090"],
        ["localhost.attacker.test"],
        ["attacker.localhost.test"],
        ["127.0.0.1.attacker.test"],
        ["127.0.0.1@attacker.test"],
        ["attacker.test@127.0.0.1"],
        ["attacker.test#127.0.0.1"],
        ["192.0.2.7:9090"],
        ["0.0.0.0:9090"],
        ["::1"],
        ["[::1"],
        ["[::1]x"],
        ["[attacker.test]"],
        ["localhost:9090x"],
        ["localhost "],
        ["localhost", "attacker.test"],
        ["localhost", "localhost"],
    ],
)
def test_other_names_are_refused_from_loopback_too(hosts: list[str]) -> None:
    assert Access(None).refusal(HERE, hosts, None) is NOT_ITS_NAME
    assert "AI_ADMIN_TOKEN" in NOT_ITS_NAME.message


@pytest.mark.parametrize("peer", [HERE, ELSEWHERE, None])
@pytest.mark.parametrize("hosts", [NAME, ["gateway.internal:9090"], []])
def test_a_token_is_asked_of_everyone_and_is_enough(peer: str | None, hosts: list[str]) -> None:
    access = Access(TOKEN)
    assert access.refusal(peer, hosts, TOKEN) is None
    for wrong in (None, "", TOKEN[:-1], f"{TOKEN}x", TOKEN.upper(), f" {TOKEN}", "\u00fc", "\udcff"):
        assert access.refusal(peer, hosts, wrong) is WRONG_TOKEN


@given(st.text())
def test_nothing_but_the_token_is_the_token(credential: str) -> None:
    assert (Access(TOKEN).refusal(HERE, NAME, credential) is None) == (credential == TOKEN)


@given(st.ip_addresses(v=4))
def test_loopback_is_what_python_says_also_as_an_ipv6_socket_sees_it(address: IPv4Address) -> None:
    assert is_loopback(str(address)) == address.is_loopback
    assert is_loopback(f"::ffff:{address}") == address.is_loopback


@given(st.one_of(st.text(), st.ip_addresses().map(str), st.from_regex(r"\[?[0-9a-f:.]*\]?:?[0-9]*", fullmatch=True)))
def test_a_name_that_is_let_in_is_localhost_or_an_address_of_loopback(host: str) -> None:
    if Access(None).refusal(HERE, [host], None) is None:
        bare = host.rpartition("]")[0].removeprefix("[") if "]" in host else host.partition(":")[0]
        assert bare.lower() == "localhost" or is_loopback(bare)


def test_ipv6_loopback_is_one_address() -> None:
    assert is_loopback(str(IPv6Address(1)))
    assert not is_loopback(str(IPv6Address(2)))
