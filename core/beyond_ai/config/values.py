"""How single values are written in the configuration, and how they are shown."""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, SecretStr

from beyond_ai.spec.provider import Dialect, KeyScheme, check_provider_name, split_authority

MASK: Final = "***"

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen. `host` has no brackets; `port` 0 asks the system for a free one."""

    host: str
    port: int

    @classmethod
    def parse(cls, value: object) -> "Address":
        """The address in `host:port`, `[v6]:port` or `:port`, which is every IPv4 interface. Raises ValueError."""
        if isinstance(value, Address):
            return value
        match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]*)):([0-9]{1,5})", str(value))
        if match is None or int(match[3]) > 65535:
            raise ValueError(f"{value!r} is not HOST:PORT, for example 127.0.0.1:8080, [::]:8080 or :8080")
        return cls(match[1] or match[2] or "0.0.0.0", int(match[3]))  # noqa: S104 - what `:port` asks for

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def pool_keys(value: object) -> object:
    """One key or a list of keys, as a tuple of trimmed keys. Raises ValueError."""
    keys = value if isinstance(value, list | tuple) else [value]
    texts = [key.get_secret_value() if isinstance(key, SecretStr) else key for key in keys]
    if not texts or not all(isinstance(text, str) and re.fullmatch(r"[\x21-\x7e]+", text.strip()) for text in texts):
        raise ValueError("must be a key, or a list of keys, in printable ASCII without spaces")
    return tuple(SecretStr(str(text).strip()) for text in texts)


def token(value: object) -> object:
    """A trimmed token that fits in a header. Raises ValueError."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text.strip()):
        raise ValueError("must be printable ASCII without spaces, and not empty")
    return SecretStr(text.strip())


def key_id(value: object) -> int:
    """A key id: an unsigned 32-bit number in its one decimal spelling. Raises ValueError."""
    text = str(value)
    if not re.fullmatch(r"0|[1-9][0-9]{0,9}", text, re.ASCII) or int(text) > 0xFFFFFFFF:
        raise ValueError("a key id is a number below 2^32 without sign or leading zero")
    return int(text)


def public_key(value: object) -> bytes:
    """An Ed25519 public key, 32 raw bytes, from standard or else url-safe unpadded base64. Raises ValueError."""
    if isinstance(value, bytes) and len(value) == 32:
        return value
    text = value.strip() if isinstance(value, str) else ""
    for decode in (_standard_base64, _url_safe_base64):
        raw = decode(text)
        if raw is not None:
            if len(raw) != 32:
                raise ValueError(f"is {len(raw)} bytes; an Ed25519 public key has 32")
            return raw
    raise ValueError("is neither standard base64 nor url-safe base64 without padding")


def _standard_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if text else None
    except (binascii.Error, ValueError):
        return None


def _url_safe_base64(text: str) -> bytes | None:
    if not re.fullmatch(r"[A-Za-z0-9_-]+", text, re.ASCII):
        return None
    return _standard_base64(text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4))


def dialect(value: object) -> Dialect:
    """The wire that VALUE names. Raises ValueError."""
    return value if isinstance(value, Dialect) else _member(value, {dialect.value: dialect for dialect in Dialect})


def key_scheme(value: object) -> KeyScheme:
    """The way to present a key that VALUE names. Raises ValueError."""
    return value if isinstance(value, KeyScheme) else _member(value, {scheme.value: scheme for scheme in KeyScheme})


def _member(value: object, members: Mapping[str, E]) -> E:
    """The member that VALUE names; letter case, `-` and `_` do not matter. Raises ValueError."""
    for name, member in members.items():
        if _folded(name) == _folded(str(value)):
            return member
    raise ValueError(f"{value!r} is none of {', '.join(members)}")


def _folded(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _authority(value: str) -> str:
    split_authority(value)
    return value


def _provider_name(value: str) -> str:
    check_provider_name(value)
    return value


def _no_switch(value: object) -> object:
    """A number, but not a `true` that would count as 1. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("should be a number, not true or false")  # noqa: TRY004 - what pydantic reports
    return value


def _words(value: object) -> object:
    """A list as a variable gives it: words between commas."""
    return [word.strip() for word in value.split(",") if word.strip()] if isinstance(value, str) else value


def without_password(url: str) -> str:
    """URL with its user part masked."""
    return re.sub(r"//[^/@]*@", f"//{MASK}@", url)


def masked(value: object) -> object:
    """VALUE with every text in it masked: only the plugin whose table it is knows which are secret."""
    if isinstance(value, Mapping):
        return {key: masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return MASK if isinstance(value, str) else value


Listen = Annotated[Address, BeforeValidator(Address.parse), PlainSerializer(str)]
Secret = Annotated[SecretStr, PlainSerializer(lambda _: MASK, when_used="json")]
Token = Annotated[Secret, BeforeValidator(token)]
PoolKeys = Annotated[tuple[Secret, ...], BeforeValidator(pool_keys)]
KeyId = Annotated[int, BeforeValidator(key_id)]
PublicKey = Annotated[
    bytes, BeforeValidator(public_key), PlainSerializer(lambda raw: base64.b64encode(raw).decode(), when_used="json")
]
ProviderName = Annotated[str, AfterValidator(_provider_name)]
Authority = Annotated[str, AfterValidator(_authority)]
Number = BeforeValidator(_no_switch)
Seconds = Annotated[float, Number, Field(gt=0, allow_inf_nan=False)]
SecondsOrNone = Annotated[float, Number, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Number, Field(ge=1)]
Limit = Annotated[int, Number, Field(ge=0)]
Workers = Annotated[int, Number, Field(ge=0, le=512)]
KeepaliveSeconds = Annotated[int, Number, Field(ge=1, le=32767)]
"""As Linux has it; a socket does not take more."""
KeepaliveCount = Annotated[int, Number, Field(ge=1, le=127)]
"""Likewise."""
DialectName = Annotated[Dialect, BeforeValidator(dialect)]
KeySchemeName = Annotated[KeyScheme, BeforeValidator(key_scheme)]
Names = Annotated[tuple[str, ...], BeforeValidator(_words)]
