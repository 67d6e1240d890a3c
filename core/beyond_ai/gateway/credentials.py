"""Where a credential may stand in a request, and how it is taken out.

Five places, in this order: `x-api-key`, `api-key`, `x-goog-api-key`, `Authorization`, and the query parameter `key`.
Every repeated header line and every spelling of `key` is read, so that a virtual key cannot hide behind another
value and reach a provider.
"""

from typing import Final, NamedTuple
from urllib.parse import unquote_to_bytes

from beyond_ai.gateway.request import Request

_PLACES: Final = (b"x-api-key", b"api-key", b"x-goog-api-key")


class Credential(NamedTuple):
    """A credential: `text` as it was written is verified; `plain`, with percent-encoding undone, says whose it is.

    They differ for a percent-encoded query value only. Such a virtual key is thus recognised, and refused. `place` is
    the header's name in lower case, or `key`.
    """

    text: str
    plain: str
    place: bytes


def find_credentials(request: Request, query: bytes) -> list[Credential]:
    """All credentials in REQUEST and QUERY, in order of precedence; empty values are absent."""
    found = []
    if request.keys:
        found = [_credential(value, place) for place in _PLACES for name, value in request.keys if name == place]
    for value in request.authorization:
        text = _without_scheme(value).decode("latin-1")
        found.append(Credential(text, text, b"authorization"))
    if query:
        found += _query_keys(query)
    return [credential for credential in found if credential.text]


def _credential(value: bytes, place: bytes) -> Credential:
    text = value.strip().decode("latin-1")
    return Credential(text, text, place)


def _without_scheme(value: bytes) -> bytes:
    """The token of `Bearer TOKEN`, the scheme in any case and any white space behind it; else VALUE as it is."""
    if value.startswith(b"Bearer "):
        return value[7:].strip()
    value = value.strip()
    if value[:6].lower() == b"bearer" and (len(value) == 6 or value[6:7].isspace()):
        return value[6:].strip()
    return value


def _is_key(parameter: bytes) -> bool:
    name = parameter.partition(b"=")[0]
    return name == b"key" or (b"%" in name and unquote_to_bytes(name) == b"key")


def _query_keys(query: bytes) -> list[Credential]:
    values = [parameter.partition(b"=")[2] for parameter in query.split(b"&") if _is_key(parameter)]
    return [Credential(v.decode("latin-1"), unquote_to_bytes(v).strip().decode("latin-1"), b"key") for v in values]


def without_query_key(query: bytes) -> bytes:
    """QUERY with every spelling of the parameter `key` removed; the others keep their order and bytes."""
    return b"&".join(parameter for parameter in query.split(b"&") if not _is_key(parameter))
