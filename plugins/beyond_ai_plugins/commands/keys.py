"""`beyond-ai keys`: make signing keys, mint virtual keys with them, and say what a virtual key holds.

A private key is the 32-byte seed of an Ed25519 key in base64. It is read from a file, from stdin or from `AI_MINT_KEY`,
never from an argument: arguments can be read by every user of the machine.
"""

import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from beyond_ai import BeyondError, Command, Identity, InvalidCredential, hookimpl
from beyond_ai_plugins.auth.ranges import MAX_U32, MAX_U64

if TYPE_CHECKING:  # the cryptography is loaded by what uses it: the module is imported for the help of `beyond-ai`
    from nacl.signing import SigningKey, VerifyKey

MINT_VARIABLE: Final = "AI_MINT_KEY"
SIGNING_PREFIX: Final = "AI_SIGNING_KEY_"
KEY_BYTES: Final = 32

_STANDARD_ALPHABET: Final = str.maketrans("-_", "+/")
_NEW_KEY_HINT: Final = "`beyond-ai keys new` makes a pair of keys"

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Make signing keys, mint virtual keys and verify them."
)

KidOption = Annotated[int, typer.Option(min=0, max=MAX_U32, help="Number of the signing key.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def new(
    kid: KidOption = 1,
    out: Annotated[
        Path | None, typer.Option(help="Write the private key to this new file, mode 0600, and do not print it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a pair of signing keys.

    The private key mints virtual keys, the gateway verifies them with the public one.
    """
    from nacl.signing import SigningKey

    signing_key = SigningKey.generate()
    private = _text(bytes(signing_key))
    public = _text(bytes(signing_key.verify_key))
    facts = {"kid": kid, "public_key": public, "environment": f"{SIGNING_PREFIX}{kid}={public}"}
    if out is None:
        facts["private_key"] = private
    else:
        _write_private(out, private)
        facts["private_key_file"] = str(out)
    if as_json:
        typer.echo(json.dumps(facts))
        return
    typer.echo(f"private key  {f'in {out}' if out else private}")
    typer.echo(f"public key   {public}")
    typer.echo("\nKeep the private key where virtual keys are minted. The gateway takes the public key as")
    typer.echo(f'  {SIGNING_PREFIX}{kid}={public}\nor in its configuration as\n  [signing_keys]\n  {kid} = "{public}"')


@app.command()
def mint(
    tenant: Annotated[int, typer.Option(min=0, max=MAX_U64, help="Tenant id.")],
    vpc: Annotated[int, typer.Option(min=0, max=MAX_U64, help="VPC id.")],
    kid: KidOption = 1,
    key_id: Annotated[
        int | None, typer.Option(min=0, max=MAX_U64, help="Id of this very key; makes a bai_v2 key.")
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help=f"The private key's file, or - for stdin. [default: ${MINT_VARIABLE}]"),
    ] = None,
) -> None:
    """Print the virtual key of a tenant.

    The same numbers under the same signing key always give the same one.
    """
    from beyond_ai_plugins.auth import token

    identity = Identity(tenant_id=tenant, vpc_id=vpc, key_id=key_id)
    typer.echo(token.mint(_private_key(key), kid, identity))


@app.command()
def verify(
    text: Annotated[str, typer.Argument(metavar="TOKEN|-", help="The virtual key, or - to read it from stdin.")],
    public: Annotated[
        list[str] | None,
        typer.Option(metavar="KID=BASE64", help=f"A public key; repeatable. Added to {SIGNING_PREFIX}<KID>."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Say whose virtual key this is, or exit with 1."""
    from beyond_ai_plugins.auth import token

    keys = _public_keys(public or [])
    if text == "-":
        text = sys.stdin.read().strip()
    try:
        parsed = token.parse(text)
        identity = token.verify(parsed, keys)
    except InvalidCredential as error:
        if not as_json:
            raise BeyondError(f"not valid: {error}") from error
        typer.echo(json.dumps({"valid": False, "reason": str(error)}))
        raise typer.Exit(1) from error
    if as_json:
        facts = {"tenant_id": identity.tenant_id, "vpc_id": identity.vpc_id, "key_id": identity.key_id}
        typer.echo(json.dumps({"valid": True, "version": parsed.version, "kid": parsed.kid, **facts}))
        return
    key_id = "none" if identity.key_id is None else identity.key_id
    typer.echo(f"valid {parsed.version}, signed with key {parsed.kid}")
    typer.echo(f"tenant  {identity.tenant_id}\nvpc     {identity.vpc_id}\nkey id  {key_id}")


def _text(key: bytes) -> str:
    return b64encode(key).decode("ascii")


def _key_bytes(text: str) -> bytes:
    """The key in TEXT: base64 in either alphabet, padded or not. The ValueError never shows the text."""
    text = text.strip().rstrip("=").translate(_STANDARD_ALPHABET)
    try:
        raw = b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError:
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError(f"{KEY_BYTES} bytes in base64 are expected")
    return raw


def _write_private(path: Path, text: str) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(fd, "w", encoding="ascii") as file:
            file.write(text + "\n")
    except FileExistsError as error:
        raise BeyondError(f"{path} exists", "name a new file: a private key is never overwritten") from error
    except OSError as error:
        raise BeyondError(f"{path} cannot be written: {error.strerror}") from error


def _private_key(source: str | None) -> "SigningKey":
    """The signing key in the file SOURCE, on stdin (`-`), or in the environment (None)."""
    from nacl.signing import SigningKey

    where = source or MINT_VARIABLE
    try:
        if source == "-":
            where, text = "stdin", sys.stdin.read()
        elif source is not None:
            text = Path(source).read_text(encoding="ascii")
        else:
            text = os.environ[MINT_VARIABLE]
        return SigningKey(_key_bytes(text))
    except KeyError:
        raise BeyondError(
            "no private key to mint with", f"give --key FILE or set {MINT_VARIABLE}; {_NEW_KEY_HINT}"
        ) from None
    except OSError as error:
        raise BeyondError(f"{source} cannot be read: {error.strerror}", _NEW_KEY_HINT) from error
    except ValueError:  # a UnicodeDecodeError shows what was read
        raise BeyondError(f"{where} holds no private key: {KEY_BYTES} bytes in base64", _NEW_KEY_HINT) from None


def _public_keys(arguments: Iterable[str]) -> "dict[int, VerifyKey]":
    """The trusted keys by number: from the environment, then from ARGUMENTS (`KID=BASE64`), which win."""
    keys: dict[int, VerifyKey] = {}
    for name, text in os.environ.items():
        if name.startswith(SIGNING_PREFIX):
            _add_public_key(keys, name, name.removeprefix(SIGNING_PREFIX), text)
    for argument in arguments:
        kid, _, text = argument.partition("=")
        _add_public_key(keys, f"--public {kid}", kid, text)
    if not keys:
        raise BeyondError("no public key to verify with", f"give --public KID=BASE64 or set {SIGNING_PREFIX}<KID>")
    return keys


def _add_public_key(keys: "dict[int, VerifyKey]", origin: str, kid: str, text: str) -> None:
    from beyond_ai_plugins.auth import token

    if not (kid.isascii() and kid.isdecimal()):
        raise BeyondError(f"{origin} does not name a key by its number", "for example --public 1=BASE64")
    try:
        keys[int(kid)] = token.verify_key(_key_bytes(text))
    except ValueError as error:
        raise BeyondError(f"{origin} is no public key: {error}", _NEW_KEY_HINT) from error


@hookimpl
def beyond_commands() -> Iterable[Command]:
    """Offer `beyond-ai keys`."""
    yield Command(name="keys", summary="Make signing keys, mint virtual keys and verify them.", app=app)
