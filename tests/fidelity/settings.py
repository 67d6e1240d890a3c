"""The configuration table: every key with its default, its variable, what it takes, and the test of what it does.

`effect` is `file::test`. A key that is taken and does nothing in this version has none, and `docs/gateway.md` says so.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from tests.gateway_process import PUBLIC_KEY

from beyond_ai.config import Address

HERE: Final = "tests/fidelity/test_config_table.py::test_"
INTEGRATION: Final = "tests/integration/test_"
RAW_KEY: Final = bytes.fromhex("8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c")
"""PUBLIC_KEY, decoded."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One key.

    VARIABLE is a variable that sets it, with a text and the value that this gives, or, for a key that no variable sets,
    None. ACCEPTED and REFUSED are values as the file writes them, the ends of the range among them.
    """

    key: str
    default: object
    variable: tuple[str, str, object] | None
    accepted: tuple[str, ...]
    refused: tuple[str, ...]
    effect: str = ""


def own(key: str, text: str, value: object) -> tuple[str, str, object]:
    """The variable that has the key's own name."""
    return f"AI_{key.upper()}", text, value


def number(key: str, default: float, effect: str = "", *, least: str, most: str, refused: tuple[str, ...]) -> Setting:
    return Setting(key, default, own(key, "7", 7), (least, most), (*refused, '"many"', "true", "[]"), effect)


def seconds(key: str, default: float, effect: str = "", *, zero: bool = False) -> Setting:
    """Fractions are fine; 0 only where it switches something off."""
    refused = ("-1", "inf", "nan") if zero else ("0", "0.0", "-1", "inf", "nan")
    return number(key, default, effect, least="0" if zero else "0.001", most="1e9", refused=refused)


def limit(key: str, default: int, effect: str = "") -> Setting:
    """0 is no limit."""
    return number(key, default, effect, least="0", most="9007199254740992", refused=("-1", "1.5"))


def amount(key: str, default: int, effect: str = "", *, most: int = 2**53) -> Setting:
    over = (f"{most + 1}",) if most < 2**53 else ()
    return number(key, default, effect, least="1", most=str(most), refused=("0", "-1", "1.5", *over))


def switch(key: str, default: bool, effect: str = "") -> Setting:
    text = str(not default).lower()
    return Setting(key, default, own(key, text, not default), ("true", "false"), ('"maybe"', "2", "[]"), effect)


def name(key: str, default: str, effect: str = "", *, empty: bool = True) -> Setting:
    accepted, refused = (('"acme"', '""'), ("3", "[]")) if empty else (('"acme"',), ('""', "3", "[]"))
    return Setting(key, default, own(key, "acme", "acme"), accepted, refused, effect)


def path(key: str, effect: str) -> Setting:
    return Setting(key, None, own(key, "some/file", Path("some/file")), ('"a"', '"/b/c"'), ("3", "[]"), effect)


def address(key: str, port: int, effect: str) -> Setting:
    accepted = ('"127.0.0.1:0"', '":65535"', '"[::1]:80"', '"host.example:80"')
    refused = ('"127.0.0.1"', '":65536"', '"::1:80"', "8080", '""')
    default = Address("0.0.0.0", port)
    return Setting(key, default, own(key, "[::1]:80", Address("::1", 80)), accepted, refused, effect)


def table(
    key: str, entry: str, refused: tuple[str, ...], effect: str, variable: tuple[str, str, object] | None = None
) -> Setting:
    """A table; ENTRY is one `key = value` of it, REFUSED are others that are not taken."""
    return Setting(
        key, {}, variable, ("{}", f"{{ {entry} }}"), ("3", '"x"', *(f"{{ {each} }}" for each in refused)), effect
    )


LIMITS: Final = f"{INTEGRATION}limits.py::"
DRAINS: Final = f"{INTEGRATION}drain.py::test_time_and_bytes_are_bounded_and_so_is_their_number"
PORT_IN_USE: Final = f"{INTEGRATION}start_failures.py::test_a_port_in_use"
POOL: Final = SecretStr("sk-fake")

SETTINGS: Final = (
    address("listen", 8080, PORT_IN_USE),
    address("metrics_listen", 9090, PORT_IN_USE),
    Setting(
        "admin_token",
        None,
        own("admin_token", "admin-fake", SecretStr("admin-fake")),
        ('"admin-fake"',),
        ('""', '"a b"', "3", "[]"),
        f"{INTEGRATION}admin_listener.py::test_with_a_token_loopback_needs_it_too",
    ),
    number(
        "workers",
        0,
        f"{INTEGRATION}workers.py::test_usage_lines_of_several_workers_stay_whole",
        least="0",
        most="512",
        refused=("-1", "513", "1.5"),
    ),
    Setting(
        "log_level",
        "info",
        ("AI_LOG", " WARN", "warning"),
        ('"debug"', '"info"', '"warning"', '"error"', '"Warn"'),
        ('"loud"', "3", '""'),
        f"{HERE}log_level",
    ),
    Setting(
        "log_format",
        "auto",
        own("log_format", "json", "json"),
        ('"auto"', '"json"', '"human"'),
        ('"xml"', "3", '""'),
        f"{INTEGRATION}logs.py::test_the_form_of_a_rejection",
    ),
    name("transport", "http1", f"{HERE}transport"),
    name("scanner", "auto", f"{HERE}scanner"),
    Setting(
        "sinks", ("stdout",), own("sinks", "a, b", ("a", "b")), ("[]", '["a"]', '"a,b"'), ("3", "[1]"), f"{HERE}sinks"
    ),
    Setting(
        "observers",
        (),
        own("observers", "a, b", ("a", "b")),
        ("[]", '["a"]', '"a,b"'),
        ("3", "[1]"),
        f"{INTEGRATION}observers.py::test_a_managed_request",
    ),
    switch(
        "no_plugins",
        False,
        "tests/core/registry/test_registry_loading.py::test_a_plugin_left_out_by_policy_is_not_imported",
    ),
    switch("plugins_strict", False, f"{INTEGRATION}third_party.py::test_strict_refuses_to_start_beside_a_broken_one"),
    seconds(
        "plugins_load_timeout_secs", 5, "tests/core/registry/test_registry_deadline.py::test_what_hangs_is_set_aside"
    ),
    name("deny_store", "nats", f"{HERE}deny_store"),
    name("nats_url", "nats://localhost:4222", f"{INTEGRATION}deny_set.py::test_a_tenant_is_denied_and_released"),
    Setting(
        "nats_creds",
        None,
        own("nats_creds", "c2VjcmV0", SecretStr("c2VjcmV0")),
        ('"x"',),
        ("3", "[]"),
        f"{HERE}nats_login_and_bucket",
    ),
    path("nats_creds_file", f"{HERE}nats_login_and_bucket"),
    name("config_bucket", "ai-gateway", f"{HERE}nats_login_and_bucket", empty=False),
    path("snapshot_path", f"{INTEGRATION}deny_set.py::test_a_snapshot_is_enforced_while_nats_is_away"),
    Setting(
        "require_signing_keys",
        False,
        own("require_signing_keys", "false", False),
        ("false", f'true\nsigning_keys = {{ 1 = "{PUBLIC_KEY}" }}'),
        ("true", '"maybe"'),
        f"{INTEGRATION}start_failures.py::test_a_configuration_that_is_not_understood",
    ),
    seconds("connect_timeout_secs", 10, f"{HERE}providers_behind_tls"),
    seconds("read_timeout_secs", 600, f"{INTEGRATION}relay_failures.py::test_a_silent_provider_is_given_up"),
    seconds("write_timeout_secs", 60, f"{HERE}write_timeout_secs"),
    seconds("idle_timeout_secs", 90, f"{HERE}idle_timeout_secs", zero=True),
    seconds(
        "client_write_timeout_secs", 60, f"{INTEGRATION}relay_failures.py::test_a_client_that_does_not_read_is_given_up"
    ),
    seconds("shutdown_grace_period_secs", 600, f"{INTEGRATION}shutdown.py::test_what_would_not_end_is_cut", zero=True),
    seconds(
        "shutdown_runtime_timeout_secs",
        10,
        f"{INTEGRATION}shutdown.py::test_a_worker_that_never_lets_go_is_killed",
        zero=True,
    ),
    seconds("drain_timeout_secs", 120, DRAINS, zero=True),
    amount("drain_max_bytes", 16 << 20, DRAINS),
    amount("drain_max_streams", 256, DRAINS),
    amount("tcp_keepalive_idle_secs", 15, f"{HERE}tcp_keepalive", most=32767),
    amount("tcp_keepalive_interval_secs", 5, f"{HERE}tcp_keepalive", most=32767),
    amount("tcp_keepalive_count", 3, f"{HERE}tcp_keepalive", most=127),
    switch("upstream_tls", True, f"{HERE}providers_behind_tls"),
    switch("upstream_http2", True, f"{HERE}providers_behind_tls"),
    switch("upstream_verify_cert", True, f"{HERE}providers_behind_tls"),
    limit("rate_limit_rps", 100, f"{LIMITS}test_a_ceiling"),
    limit("byo_rate_limit_rps", 1000, f"{LIMITS}test_a_ceiling"),
    number(
        "circuit_breaker_threshold",
        20,
        f"{LIMITS}test_a_provider_that_fails_is_left_alone_until_it_may_be_tried",
        least="0",
        most="16383",
        refused=("-1", "16384", "1.5"),
    ),
    number(
        "circuit_breaker_window_secs",
        10,
        f"{HERE}circuit_breaker_window_secs",
        least="0\ncircuit_breaker_threshold = 0",
        most="1e9",
        refused=("0", "-1", "inf"),
    ),
    number(
        "circuit_breaker_reset_secs",
        30,
        f"{LIMITS}test_a_provider_that_fails_is_left_alone_until_it_may_be_tried",
        least="0\ncircuit_breaker_threshold = 0",
        most="1e9",
        refused=("0", "-1", "inf"),
    ),
    limit("tenant_max_in_flight", 0, f"{LIMITS}test_one_tenants_requests_at_a_time"),
    amount("max_buffered_body_bytes", 512 << 20, f"{LIMITS}test_the_memory_of_all_request_bodies_that_are_held"),
    table(
        "signing_keys",
        f'4294967295 = "{PUBLIC_KEY}"',
        (f'01 = "{PUBLIC_KEY}"', f'4294967296 = "{PUBLIC_KEY}"', f'a = "{PUBLIC_KEY}"', '1 = "AAAA"', "1 = 1"),
        "tests/fidelity/test_reject_table.py::test_a_row",
        ("AI_SIGNING_KEY_7", PUBLIC_KEY, {7: RAW_KEY}),
    ),
    table(
        "pool_keys",
        'acme = ["sk-one-fake", "sk-two-fake"]',
        ("acme = []", 'acme = ""', 'acme = "a b"', 'v1 = "sk-fake"', 'acme = [""]', "acme = 3"),
        f"{HERE}pool_keys",
        ("AI_POOL_KEY_ACME", "sk-fake", {"acme": (POOL,)}),
    ),
    table(
        "provider_authorities",
        'acme = "acme.example:443"',
        (
            'acme = "acme.example"',
            'acme = "https://acme.example:443"',
            'acme = ":443"',
            'auto = "a.example:1"',
            'acme = "a:0"',
        ),
        f"{HERE}provider_authorities",
    ),
    table("provider_dialects", 'acme = "Anthropic"', ('acme = "gemini"', "acme = 3"), f"{HERE}provider_dialects"),
    table("provider_auth_schemes", 'acme = "x-api-key"', ('acme = "sigv4"',), f"{HERE}provider_auth_schemes"),
    table(
        "agent_prices",
        '"gpt-4o" = { input = 2.5, output = 10 }',
        (
            '"gpt-4o" = 3',
            '"gpt-4o" = { input = 1 }',
            '"gpt-4o" = { input = -1, output = 1 }',
            '"a" = { inptu = 1, output = 1 }',
        ),
        "tests/agent/test_run.py::test_money_is_shown_where_prices_are_known",
    ),
    table(
        "plugins",
        'disabled = ["xai"]',
        ('disabled = "xai"', 'allow = "a"', "prefer = []", "acme = 3"),
        f"{HERE}plugins",
        ("AI_PLUGINS_DISABLED", "xai, sink:stdout", {"disabled": ["xai", "sink:stdout"]}),
    ),
)
