"""Routing: the first segment exactly, bare paths on a segment boundary, keys by their shape, endpoints by their end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.core.gateway.parts import asked, known_providers, router_of

from beyond_ai import ConfigError, Dialect, KeyScheme, Provider
from beyond_ai.gateway.credentials import find_credentials
from beyond_ai.gateway.route import Route, configured_providers, is_endpoint
from beyond_ai.gateway.usage import Wire

NAMES = ["anthropic", "cerebras", "deepseek", "fireworks", "groq", "mistral", "openai", "openrouter", "together", "xai"]


def route(path: bytes) -> Route | None:
    return router_of(known_providers()).route(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_first_segment_names_its_provider_and_is_taken_off(name: str) -> None:
    segment = name.encode()
    for rest in (b"/v1/chat/completions", b"/", b"//v1", b"/%2e%2e/x", b"/v1/", b"/a/openai/b"):
        found = route(b"/" + segment + rest)
        assert found is not None
        assert (found.upstream.name, found.path, found.bare) == (name, rest, False)


def test_without_a_rest_the_path_is_the_root() -> None:
    found = route(b"/openai")
    assert found is not None
    assert found.path == b"/"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (b"/v1", "openai"),
        (b"/v1/", "openai"),
        (b"/v1/chat/completions", "openai"),
        (b"/v1/messages", "anthropic"),
        (b"/v1/messages/", "anthropic"),
        (b"/v1/messages/batches", "anthropic"),
        (b"/v1/messages/count_tokens", "anthropic"),
        (b"/v1/messagesx", "openai"),
        (b"/v1/message", "openai"),
        (b"/v1/Messages", "openai"),
        (b"/v1//messages", "openai"),
        (b"/v1/x/messages", "openai"),
    ],
)
def test_a_bare_path_goes_on_whole(path: bytes, name: str) -> None:
    found = route(path)
    assert found is not None
    assert (found.upstream.name, found.path, found.bare) == (name, path, True)


@pytest.mark.parametrize(
    "path",
    [
        b"/", b"", b"*", b"/v", b"/v1beta", b"/v1beta/models", b"/v11/x", b"/v2/chat/completions", b"/V1/models",
        b"/OpenAI/v1/models", b"/OPENAI", b"/openai2/v1", b"/openaiv1", b"//openai/v1", b"/open%61i/v1", b"/ openai/v1",
        b"openai/v1", b"/messages", b"/chat/completions", b"/auto/v1/chat/completions", b"/echo/v1", b"/favicon.ico",
        b"/v1%2fmodels", b"/openai;x/v1", b"host.test:443",
    ],
)  # fmt: skip
def test_anything_else_is_nobodys(path: bytes) -> None:
    assert route(path) is None


@given(st.binary(max_size=30))
def test_a_route_never_changes_what_it_forwards(rest: bytes) -> None:
    found = route(b"/groq/" + rest)
    assert found is not None
    assert (found.upstream.name, found.path) == ("groq", b"/" + rest)


@pytest.mark.parametrize(
    ("path", "wire", "dialect"),
    [
        (b"/v1/chat/completions", Wire.CHAT, Dialect.OPENAI),
        (b"/v1/messages", Wire.MESSAGES, Dialect.ANTHROPIC),
        (b"/openrouter/api/v1/messages", Wire.MESSAGES, Dialect.ANTHROPIC),
        (b"/anthropic/v1/chat/completions", Wire.CHAT, Dialect.OPENAI),
        (b"/anthropic/v1/models", None, Dialect.ANTHROPIC),
        (b"/openai/v1/models", None, Dialect.OPENAI),
    ],
)
def test_the_path_says_the_wire_and_else_the_provider(path: bytes, wire: Wire | None, dialect: Dialect) -> None:
    found = route(path)
    assert found is not None
    assert (found.wire, found.dialect) == (wire, dialect)


@pytest.mark.parametrize(
    ("headers", "query", "owners"),
    [
        ([("Authorization", "Bearer sk-proj-fake")], "", ["openai"]),
        ([("Authorization", "Bearer sk-ant-fake")], "", ["anthropic"]),
        ([("Authorization", "Bearer sk-or-v1-fake")], "", ["openai"]),
        ([("Authorization", "Bearer opaque")], "", []),
        ([("x-api-key", "opaque")], "", ["anthropic"]),
        ([("X-Api-Key", "sk-ant-fake")], "", ["anthropic"]),
        ([("x-api-key", "sk-fake")], "", ["openai"]),
        ([("api-key", "opaque")], "", []),
        ([("x-goog-api-key", "sk-ant-fake")], "", ["anthropic"]),
        ([], "key=sk-fake", ["openai"]),
        ([], "key=sk%2Dant-fake", ["anthropic"]),
        ([("x-api-key", "sk-ant-a"), ("Authorization", "Bearer sk-ant-b")], "", ["anthropic"]),
        ([("x-api-key", "opaque"), ("Authorization", "Bearer opaque")], "", ["anthropic"]),
        ([("x-api-key", "sk-ant-a"), ("Authorization", "Bearer sk-b")], "", ["anthropic", "openai"]),
        ([("x-api-key", "opaque"), ("Authorization", "Bearer sk-b")], "", ["anthropic", "openai"]),
        ([("x-api-key", "opaque")], "key=sk-b", ["anthropic", "openai"]),
        ([("Authorization", "Bearer SK-ANT-fake")], "", []),
        ([("Authorization", "Bearer xsk-ant-fake")], "", []),
    ],
)
def test_a_keys_shape_says_whose_it_is(headers: list[tuple[str, str]], query: str, owners: list[str]) -> None:
    request = asked(*((name.encode(), value.encode()) for name, value in headers))
    credentials = find_credentials(request, query.encode())
    assert [owner.name for owner in router_of(known_providers()).owners_of(credentials)] == owners


@pytest.mark.parametrize(
    "path",
    [
        b"/chat/completions", b"/v1/chat/completions", b"/openai/v1/chat/completions", b"/inference/v1/completions",
        b"/v1/completions", b"/v1/messages", b"/api/v1/messages", b"/v1/messages/count_tokens", b"/v1/responses",
        b"/v1/responses/compact", b"/v1/responses/input_tokens", b"/v1/embeddings",
        b"/openai/deployments/gpt-4o.mini_2@x:y~z/chat/completions", b"/.../chat/completions", b"/..x/chat/completions",
    ],
)  # fmt: skip
def test_endpoints_of_managed_keys(path: bytes) -> None:
    assert is_endpoint(path)


@pytest.mark.parametrize(
    "path",
    [
        b"", b"/", b"/v1/models", b"/v1/files", b"/v1/batches", b"/v1/messages/batches", b"/v1/responses/resp_1",
        b"/v1/responses/resp_1/cancel", b"/v1/chat/completions/chatcmpl_1", b"/v1/fine_tuning/jobs", b"/v1/moderations",
        b"/v1/chat/completions/", b"/v1/chat/completions//", b"/v1//chat/completions", b"//v1/chat/completions",
        b"/v1/chat//completions", b"v1/chat/completions", b"/v1/notembeddings",
        b"/v1/files/../chat/completions", b"/v1/./chat/completions", b"/../v1/chat/completions",
        b"/v1/files/%2e%2e/chat/completions", b"/v1/chat/completions%2f", b"/v1/chat%2fcompletions",
        b"/v1/files%00/chat/completions", b"/v1/files#/chat/completions", b"/v1/files;x/chat/completions",
        b"/v1/files;/chat/completions", b"/v1/files?/chat/completions", b"/v1/files\\../chat/completions",
        b"/v1/fi les/chat/completions", b"/v1/f\xc3\xa9/chat/completions", b"/v1/chat/completions\n",
        b"/v1/chat/completions\x00", b"/v1/chat/Completions", b"/v1/embeddings.json", b"/v1/messages/../batches",
        b"/v1/messages/count_tokens/..",
    ],
)  # fmt: skip
def test_everything_else_is_closed_to_managed_keys(path: bytes) -> None:
    assert not is_endpoint(path)


@given(st.text(st.sampled_from("./%2e;#?v1\\ "), max_size=12))
def test_nothing_that_could_be_normalised_away_is_an_endpoint(middle: str) -> None:
    path = f"/v1/files/{middle}/chat/completions".encode()
    plain = all(set(segment) <= set(".2ev1") and segment not in ("", ".", "..") for segment in middle.split("/"))
    assert is_endpoint(path) == plain


def test_configuration_moves_a_known_provider_and_keeps_its_facts() -> None:
    table = configured_providers(known_providers(), {"anthropic": "proxy.test:8443"}, {}, {})
    moved, original = table["anthropic"], next(p for p in known_providers() if p.name == "anthropic")
    assert (moved.authority, moved.dialect, moved.key_scheme) == (
        "proxy.test:8443",
        Dialect.ANTHROPIC,
        KeyScheme.X_API_KEY,
    )
    assert (moved.bare_paths, moved.key_prefixes) == (original.bare_paths, original.key_prefixes)
    assert set(table) == set(NAMES)


def test_configuration_adds_a_provider() -> None:
    table = configured_providers(known_providers(), {"local": "127.0.0.1:8000"}, {}, {})
    assert table["local"] == Provider(name="local", authority="127.0.0.1:8000", summary="added by configuration")
    found = router_of(table.values()).route(b"/local/v1/chat/completions")
    assert found is not None
    assert (found.upstream.host, found.upstream.port, found.path) == ("127.0.0.1", 8000, b"/v1/chat/completions")


def test_an_added_provider_can_have_another_wire_and_key_scheme() -> None:
    table = configured_providers(
        known_providers(),
        {"azure": "azure.test:443", "claude": "claude.test:443"},
        {"claude": Dialect.ANTHROPIC},
        {"azure": KeyScheme.API_KEY, "claude": KeyScheme.X_API_KEY},
    )
    assert (table["azure"].dialect, table["azure"].key_scheme) == (Dialect.OPENAI, KeyScheme.API_KEY)
    assert (table["claude"].dialect, table["claude"].key_scheme) == (Dialect.ANTHROPIC, KeyScheme.X_API_KEY)


@pytest.mark.parametrize(
    ("dialects", "schemes", "message", "hint"),
    [
        ({"openai": Dialect.OPENAI}, {}, "provider_dialects.openai: this is fixed", "remove the line"),
        ({}, {"groq": KeyScheme.API_KEY}, "provider_auth_schemes.groq: this is fixed", "remove the line"),
        ({"nobody": Dialect.OPENAI}, {}, "provider_dialects.nobody: no such provider", "provider_authorities.nobody"),
        ({}, {"nobody": KeyScheme.BEARER}, "provider_auth_schemes.nobody: no such", "provider_authorities.nobody"),
    ],
)
def test_what_cannot_be_overridden_is_refused(
    dialects: dict[str, Dialect], schemes: dict[str, KeyScheme], message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        configured_providers(known_providers(), {}, dialects, schemes)
    assert refused.value.message.startswith(message)
    assert hint in refused.value.hint
