"""Layers, parsing and refusals of the configuration; and that no secret is ever printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from beyond_ai import ConfigError, Dialect, KeyScheme, UpstreamSettings
from beyond_ai.config import Address, Loaded, Settings, load_settings

KEY_1 = "6kpsY+KcUgq+9VB7Ey7F+ZVHdq6+vnuSQh7qaRRG0iw="
KEY_1_URL_SAFE = "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw"
SECRETS = (
    "fake-pool-key-1",
    "fake-pool-key-2",
    "fake-env-key",
    "fake-creds",
    "fake-password",
    "fake-token",
    "fake-admin-token",
)


def load(tmp_path: Path, text: str = "", /, **environ: str) -> Loaded:
    file = tmp_path / "gateway.toml"
    file.write_text(text)
    return load_settings(file, environ)


def problems(tmp_path: Path, text: str = "", /, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as raised:
        load(tmp_path, text, **environ)
    assert raised.value.exit_code == 2
    return [line.replace(f"{tmp_path}/", "") for line in str(raised.value).splitlines()]


def test_defaults_need_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    loaded = load_settings(environ={})
    assert loaded.file is None
    assert loaded.settings == Settings()
    assert (loaded.settings.listen, loaded.settings.metrics_listen) == (
        Address("0.0.0.0", 8080),
        Address("0.0.0.0", 9090),
    )
    assert loaded.settings.upstream() == UpstreamSettings()
    assert {source for _, _, source in loaded.entries()} == {"default"}


def test_the_environment_wins_over_the_file_and_the_file_over_defaults(tmp_path: Path) -> None:
    text = f"""
        listen = "127.0.0.1:1"
        rate_limit_rps = 7
        sinks = ["a"]
        [pool_keys]
        groq = "file-groq"
        xai = ["one", "two"]
        [signing_keys]
        1 = "{KEY_1}"
    """
    environ = {
        "AI_LISTEN": "[::1]:2",
        "AI_SINKS": "b, c",
        "AI_LOG": "WARN",
        "AI_UPSTREAM_TLS": "false",
        "AI_POOL_KEY_GROQ": "env-groq\n",
        "AI_SIGNING_KEY_2": KEY_1_URL_SAFE,
    }
    loaded = load(tmp_path, text, **environ)
    settings = loaded.settings
    assert settings.listen == Address("::1", 2)
    assert settings.rate_limit_rps == 7
    assert settings.sinks == ("b", "c")
    assert settings.log_level == "warning"
    assert settings.upstream_tls is False
    assert {name: [key.get_secret_value() for key in keys] for name, keys in settings.pool_keys.items()} == {
        "groq": ["env-groq"],
        "xai": ["one", "two"],
    }
    assert settings.signing_keys[1] == settings.signing_keys[2]
    assert len(settings.signing_keys[1]) == 32
    sources = {key: source for key, _, source in loaded.entries()}
    assert sources["listen"] == "env AI_LISTEN"
    assert sources["rate_limit_rps"] == "file"
    assert sources["byo_rate_limit_rps"] == "default"
    assert sources["pool_keys.groq"] == "env AI_POOL_KEY_GROQ"
    assert sources["pool_keys.xai"] == "file"
    assert sources["signing_keys.2"] == "env AI_SIGNING_KEY_2"
    assert sources["log_level"] == "env AI_LOG"


@pytest.mark.parametrize(
    "variable", ["AI_NO_SUCH_FIELD", "AI_POOL_KEYS", "AI_PLUGINS", "AI_POOL_KEY_", "ai_listen", "AI_listen", "LISTEN"]
)
def test_other_variables_are_ignored(tmp_path: Path, variable: str) -> None:
    assert load(tmp_path, "", **{variable: "x"}).settings == Settings()


def test_empty_and_undecodable_variables_are_passed_over(tmp_path: Path) -> None:
    undecodable = os.fsdecode(b"\xff:80")
    assert load(tmp_path, "", AI_LISTEN=undecodable, AI_POOL_KEY_XAI="", AI_RATE_LIMIT_RPS=" ").settings == Settings()


def test_a_file_that_was_named_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml: no such file"):
        load_settings(tmp_path / "nowhere.toml", {})
    assert load_settings(environ={"AI_CONFIG_PATH": str(tmp_path / "nowhere.toml")}).file is None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.toml").write_text("rate_limit_rps = 3")
    (tmp_path / "other.toml").write_text("rate_limit_rps = 4")
    assert load_settings(environ={}).settings.rate_limit_rps == 3
    assert load_settings(environ={"AI_CONFIG_PATH": "other.toml"}).settings.rate_limit_rps == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'listen = "a\nx = 1', "gateway.toml: not valid TOML: .*line 1"),
        (b"listen = '\xff'", "gateway.toml: not UTF-8 at byte 10"),
    ],
)
def test_a_malformed_file_is_named_with_the_place(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "gateway.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        load_settings(tmp_path / "gateway.toml", {})


def test_every_mistake_is_one_line_with_its_place_and_key(tmp_path: Path) -> None:
    text = """
        listen_addr = "127.0.0.1:1"
        connect_timeout_secs = 0
        [pool_key]
        openai = "fake-pool-key-1"
        [signing_keys]
        01 = "AAAA"
        [plugins]
        disabeld = ["x"]
        allow = "acme"
    """
    assert problems(tmp_path, text, AI_RATE_LIMIT_RPS="many", AI_POOL_KEY_XAI="fake pool") == [
        "gateway.toml: listen_addr: unknown key; did you mean `listen`?",
        "gateway.toml: pool_key: unknown key; did you mean `pool_keys`?",
        "gateway.toml: connect_timeout_secs: should be greater than 0",
        "AI_RATE_LIMIT_RPS: rate_limit_rps: should be a valid integer, unable to parse string as an integer",
        "gateway.toml: signing_keys.01: a key id is a number below 2^32 without sign or leading zero",
        "gateway.toml: signing_keys.01: is 3 bytes; an Ed25519 public key has 32",
        "AI_POOL_KEY_XAI: pool_keys.xai: must be a key, or a list of keys, in printable ASCII without spaces",
        "gateway.toml: plugins.disabeld: must be the table of a plugin; did you mean `disabled`?",
        "gateway.toml: plugins.allow: must be a list of distribution names",
    ]


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("read_timeout_secs = 0", "read_timeout_secs"),
        ("read_timeout_secs = nan", "read_timeout_secs"),
        ("write_timeout_secs = inf", "write_timeout_secs"),
        ("rate_limit_rps = -1", "rate_limit_rps"),
        ("circuit_breaker_threshold = 16384", "circuit_breaker_threshold"),
        ("circuit_breaker_window_secs = 0", "circuit_breaker_window_secs"),
        ("log_level = 'loud'", "log_level"),
        ("require_signing_keys = true", "signing_keys"),
        ("nats_creds = 'x'\nnats_creds_file = 'y'", "nats_creds_file"),
        ("[pool_keys]\nopenai = []", "pool_keys.openai"),
        ("[pool_keys]\nopenai = ''", "pool_keys.openai"),
        ("[pool_keys]\nv1 = 'x'", "pool_keys.v1"),
        ("pool_keys = 'x'", "pool_keys"),
        ("[provider_authorities]\nacme = 'acme.example'", "provider_authorities.acme"),
        ("[provider_authorities]\nauto = 'acme.example:443'", "provider_authorities.auto"),
        ("[provider_dialects]\nacme = 'gemini'", "provider_dialects.acme"),
        ("[provider_auth_schemes]\nacme = 'sigv4'", "provider_auth_schemes.acme"),
        ("plugins = 3", "plugins"),
        ("[plugins]\nprefer = 'acme'", "plugins.prefer"),
    ],
)
def test_bad_values_are_refused_by_their_key(tmp_path: Path, text: str, key: str) -> None:
    found = problems(tmp_path, text)
    assert [line.split(": ")[1] for line in found] == [key] * len(found)


def test_a_breaker_that_is_off_needs_no_window(tmp_path: Path) -> None:
    text = "circuit_breaker_threshold = 0\ncircuit_breaker_window_secs = 0\ncircuit_breaker_reset_secs = 0"
    assert load(tmp_path, text).settings.circuit_breaker_threshold == 0


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        (":8080", "0.0.0.0", 8080),
        ("[::]:0", "::", 0),
        ("localhost:65535", "localhost", 65535),
        ("10.0.0.1:80", "10.0.0.1", 80),
    ],
)
def test_addresses(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)
    assert Address.parse(str(Address(host, port))) == Address(host, port)


@pytest.mark.parametrize(
    "text", ["8080", "host", "host:", "::1:80", "host:65536", "http://host:80", "a b:80", "[::1]", ""]
)
def test_bad_addresses(text: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        Address.parse(text)


@pytest.mark.parametrize(
    "kid",
    ["", "-1", "+1", "01", "4294967296", "1.0", "one", "٣"],  # the last is a digit, but not of ASCII
)
def test_key_ids_have_one_spelling(kid: str) -> None:
    with pytest.raises(ValueError, match="a key id is a number below"):
        Settings(signing_keys={kid: KEY_1})


@given(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32), st.sampled_from(["standard", "url-safe"]))
def test_every_public_key_survives_either_alphabet(kid: int, raw: bytes, alphabet: str) -> None:
    import base64

    if alphabet == "standard":
        text = f" {base64.b64encode(raw).decode()}\n"
    else:
        text = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    assert Settings(signing_keys={str(kid): text}).signing_keys == {kid: raw}


@given(st.binary(max_size=64).filter(lambda raw: len(raw) != 32))
def test_a_public_key_has_32_bytes(raw: bytes) -> None:
    import base64

    with pytest.raises(ValueError, match="signing_keys"):
        Settings(signing_keys={"1": base64.b64encode(raw).decode()})


@given(st.text(max_size=50))
def test_no_text_breaks_the_parsers(text: str) -> None:
    for field, value in (
        ("listen", text),
        ("signing_keys", {"1": text}),
        ("pool_keys", {"acme": text}),
        ("provider_authorities", {"acme": text}),
        ("provider_dialects", {text: "openai"}),
    ):
        try:
            Settings.model_validate({field: value})
        except ValueError as error:
            assert field in str(error)  # noqa: PT017 - either outcome is right, nothing else is


@pytest.mark.parametrize(
    ("text", "scheme"),
    [
        ("Bearer", KeyScheme.BEARER),
        ("x-api-key", KeyScheme.X_API_KEY),
        ("XAPIKEY", KeyScheme.X_API_KEY),
        ("x_api_key", KeyScheme.X_API_KEY),
        ("API-Key", KeyScheme.API_KEY),
    ],
)
def test_names_of_wires_and_schemes_are_read_loosely(text: str, scheme: KeyScheme) -> None:
    assert Settings(provider_auth_schemes={"acme": text}).provider_auth_schemes == {"acme": scheme}
    assert Settings(provider_dialects={"acme": "ANTHROPIC"}).provider_dialects == {"acme": Dialect.ANTHROPIC}


def test_plugin_settings(tmp_path: Path) -> None:
    text = """
        [plugins]
        disabled = ["sink:stdout"]
        allow = ["acme-dist"]
        prefer = { acme = "acme-dist" }
        [plugins.ledger]
        flush_ms = 5
    """
    loaded = load(tmp_path, text, AI_PLUGINS_DISABLED="groq, xai,", AI_NO_PLUGINS="1", AI_PLUGINS_STRICT="1")
    policy = loaded.settings.plugin_policy()
    assert policy.disabled == {"sink:stdout", "groq", "xai"}
    assert policy.allow == ("acme-dist",)
    assert policy.prefer == {"acme": "acme-dist"}
    assert (policy.third_party, policy.strict) == (False, True)
    assert loaded.settings.plugin_table("ledger") == {"flush_ms": 5}
    assert loaded.settings.plugin_table("stdout") is None
    assert loaded.settings.plugin_table("prefer") is None


def test_secrets_are_never_shown(tmp_path: Path) -> None:
    text = """
        nats_url = "nats://user:fake-password@nats.example:4222"
        nats_creds = "fake-creds"
        admin_token = "fake-admin-token"
        [pool_keys]
        openai = ["fake-pool-key-1", "fake-pool-key-2"]
        [plugins.ledger]
        token = "fake-token"
        nested = { tokens = ["fake-token"] }
        flush_ms = 5
    """
    loaded = load(tmp_path, text, AI_POOL_KEY_XAI="fake-env-key")
    settings = loaded.settings
    forms = [
        repr(settings),
        str(settings),
        json.dumps(settings.shown()),
        settings.model_dump_json(),
        str(loaded.entries()),
    ]
    for form in forms:
        assert not [secret for secret in SECRETS if secret in form]
        assert "***" in form
        assert "nats.example:4222" in form
    assert settings.plugin_table("ledger") == {
        "token": "fake-token",
        "nested": {"tokens": ["fake-token"]},
        "flush_ms": 5,
    }


def test_the_admin_token_is_trimmed_and_never_empty(tmp_path: Path) -> None:
    token = load(tmp_path, "", AI_ADMIN_TOKEN=" fake-admin-token\n").settings.admin_token
    assert token is not None
    assert token.get_secret_value() == "fake-admin-token"
    for text in ("", " ", "two words", "schl\u00fcssel"):
        assert problems(tmp_path, f"admin_token = {json.dumps(text)}") == [
            "gateway.toml: admin_token: must be printable ASCII without spaces, and not empty"
        ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pool_keys", {"openai": "fake-pool key-1 fake-token"}),
        ("pool_keys", {"openai": ["fake-token", 3]}),
        ("pool_keys", ["fake-token"]),
        ("pool_keys", {"bad name": "fake-token"}),
        ("nats_creds", ["fake-token"]),
        ("admin_token", "fake-token two"),
        ("admin_token", ["fake-token"]),
        ("signing_keys", {"1": "fake-token"}),
        ("plugins", {"ledger": "fake-token"}),
        ("pool_keyz", {"openai": "fake-token"}),
    ],
)
def test_a_refused_secret_is_not_in_the_error(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field) as raised:
        Settings.model_validate({field: value})
    assert "fake-token" not in str(raised.value)
    assert "fake-token" not in repr(raised.value)


def test_the_registry_and_the_layers_do_not_import_pydantic() -> None:
    code = (
        "import sys, beyond_ai.registry, beyond_ai.layers; print([m for m in sys.modules if m.startswith('pydantic')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
