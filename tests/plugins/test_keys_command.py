"""`keys new`, `mint` and `verify`, as an operator chains them."""

import json
import stat
from base64 import b64encode
from pathlib import Path

import pytest
from typer.testing import CliRunner

from beyond_ai import BeyondError
from beyond_ai_plugins.commands import keys

SEVENS = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc="
SEVENS_PUBLIC = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
SEVENS_TOKEN = (
    "bai_v1.1.AQAAAAAAAAABAAAAAAAAAA."
    "WrWcPbklu91PS-4WuR6GnBNF3h4nROpH0EQQlfJf06f7_lEnlQOCSBimhH2JMwXFJgw40BniTB7-yIdFnpldDw"
)
NUMBERS = ("--kid", "1", "--tenant", "1", "--vpc", "1")


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AI_MINT_KEY", raising=False)
    monkeypatch.delenv("AI_SIGNING_KEY_1", raising=False)


def run(*arguments: str, stdin: str = "", exit_code: int = 0) -> str:
    """What the command prints on stdout; its `BeyondError` is raised as the program would see it."""
    result = CliRunner().invoke(keys.app, arguments, input=stdin)
    if isinstance(result.exception, BeyondError):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result.stdout


def test_new_keys_mint_what_verifies() -> None:
    facts = json.loads(run("new", "--kid", "3", "--json"))
    assert facts["environment"] == f"AI_SIGNING_KEY_3={facts['public_key']}"
    minted = run(
        *("mint", "--key", "-", "--kid", "3", "--tenant", "18446744073709551615", "--vpc", "2", "--key-id", "5"),
        stdin=facts["private_key"],
    )
    assert minted.count("\n") == 1
    verified = json.loads(run("verify", "-", "--json", "--public", f"3={facts['public_key']}", stdin=minted))
    assert verified == {
        "valid": True,
        "version": "bai_v2",
        "kid": 3,
        "tenant_id": 18446744073709551615,
        "vpc_id": 2,
        "key_id": 5,
    }


def test_new_keys_differ_and_say_how_to_use_them() -> None:
    first, second = run("new"), run("new")
    assert first != second
    private, public = (line.split()[-1] for line in first.splitlines()[:2])
    assert f"AI_SIGNING_KEY_1={public}" in first
    assert f'1 = "{public}"' in first
    assert private != public


@pytest.mark.parametrize("extra", [(), ("--json",)])
def test_a_private_key_in_a_file_is_private_and_not_printed(tmp_path: Path, extra: tuple[str, ...]) -> None:
    file = tmp_path / "signing.key"
    printed = run("new", "--out", str(file), *extra)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert file.read_text().strip().rstrip("=") not in printed
    assert str(file) in printed
    token = run("mint", "--key", str(file), *NUMBERS).strip()
    public = printed.partition("AI_SIGNING_KEY_1=")[2].split()[0].rstrip('",')
    assert "tenant  1\n" in run("verify", token, "--public", f"1={public}")


def test_a_private_key_is_never_overwritten(tmp_path: Path) -> None:
    file = tmp_path / "signing.key"
    file.write_text("precious")
    with pytest.raises(BeyondError, match="exists"):
        run("new", "--out", str(file))
    assert file.read_text() == "precious"
    with pytest.raises(BeyondError, match="cannot be written: No such file"):
        run("new", "--out", str(tmp_path / "none" / "signing.key"))


@pytest.mark.parametrize(
    "text", [SEVENS, SEVENS + "\n", SEVENS.rstrip("="), SEVENS.translate(str.maketrans("+/", "-_"))]
)
def test_minting_is_deterministic_however_the_key_is_written(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert run("mint", "--key", "-", *NUMBERS, stdin=text) == SEVENS_TOKEN + "\n"
    monkeypatch.setenv("AI_MINT_KEY", text)
    assert run("mint", *NUMBERS) == SEVENS_TOKEN + "\n"


def test_both_base64_alphabets_are_read() -> None:
    text = b64encode(b"\xfb\xef\xff" * 10 + b"\xff\xff").decode()
    assert {"+", "/"} <= set(text)
    url_safe = text.replace("+", "-").replace("/", "_")
    assert run("mint", "--key", "-", *NUMBERS, stdin=text) == run("mint", "--key", "-", *NUMBERS, stdin=url_safe)


def test_verify_tells_who(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AI_SIGNING_KEY_1", SEVENS_PUBLIC)
    printed = run("verify", SEVENS_TOKEN)
    assert printed.splitlines() == ["valid bai_v1, signed with key 1", "tenant  1", "vpc     1", "key id  none"]


def test_verify_says_why_not() -> None:
    public = ("--public", f"2={SEVENS_PUBLIC}")
    with pytest.raises(BeyondError, match="not valid: unknown key id 1") as caught:
        run("verify", SEVENS_TOKEN, *public)
    assert caught.value.exit_code == 1
    printed = run("verify", SEVENS_TOKEN, *public, "--json", exit_code=1)
    assert json.loads(printed) == {"valid": False, "reason": "unknown key id 1"}


def test_an_argument_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    other = json.loads(run("new", "--json"))["public_key"]
    monkeypatch.setenv("AI_SIGNING_KEY_1", other)
    with pytest.raises(BeyondError, match="bad signature"):
        run("verify", SEVENS_TOKEN)
    run("verify", SEVENS_TOKEN, "--public", f"1={SEVENS_PUBLIC}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("mint", *NUMBERS), "no private key to mint with"),
        (("mint", *NUMBERS, "--key", "/nonexistent/key"), "cannot be read: No such file"),
        (("mint", *NUMBERS, "--key", "-"), "stdin holds no private key"),
        (("verify", SEVENS_TOKEN), "no public key to verify with"),
        (("verify", SEVENS_TOKEN, "--public", SEVENS_PUBLIC), "does not name a key by its number"),
        (("verify", SEVENS_TOKEN, "--public", "1=AAAA"), "--public 1 is no public key: 32 bytes"),
        (("verify", SEVENS_TOKEN, "--public", f"1={SEVENS}"), "--public 1 is no public key: .*Ed25519"),
    ],
)
def test_errors_say_what_to_do(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BeyondError, match=message) as caught:
        run(*arguments)
    assert caught.value.hint


def test_errors_do_not_show_what_was_read() -> None:
    for text in ("secret-but-wrong", "é-secret"):
        with pytest.raises(BeyondError) as caught:
            run("mint", "--key", "-", *NUMBERS, stdin=text)
        assert "secret" not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    ("option", "number"),
    [("--kid", 2**32), ("--kid", -1), ("--tenant", 2**64), ("--vpc", 2**64), ("--key-id", 2**64), ("--key-id", -1)],
)
def test_numbers_have_their_range(option: str, number: int) -> None:
    run("mint", *NUMBERS, option, str(number), "--key", "-", stdin=SEVENS, exit_code=2)


def test_the_command_is_offered() -> None:
    (command,) = keys.beyond_commands()
    assert (command.name, command.app) == ("keys", keys.app)
