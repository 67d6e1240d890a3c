"""A gateway that cannot start says why in one line, and what to do in another."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.integration.conftest import LOOPBACK


def start(folder: Path, config: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a gateway that is expected to end by itself."""
    file = folder / "gateway.toml"
    file.write_text(config)
    command = Path(sys.executable).with_name("beyond-ai")
    return subprocess.run(
        [command, "gateway", "--config", file, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("AI_")},
    )


def errors(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert done.returncode not in (0, -9)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    return [line for line in done.stderr.splitlines() if line.startswith(("error: ", "hint: "))]


@pytest.mark.parametrize("listener", ["listen", "metrics_listen"])
def test_a_port_in_use(tmp_path: Path, listener: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        config = LOOPBACK.replace(f'{listener} = "127.0.0.1:0"', f'{listener} = "{address}"', 1)
        if listener == "metrics_listen":
            config = f'listen = "127.0.0.1:0"\nmetrics_listen = "{address}"\n'
        done = start(tmp_path, config)
    assert errors(done) == [
        f"error: cannot listen on {address}: Address already in use",
        "hint: is another gateway running? choose another address, --listen HOST:PORT or --metrics-listen HOST:PORT",
    ]
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ("lisen = 1", ["lisen", "did you mean `listen`?"]),
        ("[pool_keys", ["gateway.toml"]),
        ("read_timeout_secs = 0", ["read_timeout_secs"]),
        ('sinks = ["stdot"]', ["sinks", "stdot"]),
        ('scanner = "gpu"', ["scanner", "gpu"]),
        ('transport = "http9"', ["transport", "http9"]),
        ('[provider_authorities]\nacme = "no port"', ["provider_authorities.acme", "HOST:PORT"]),
        ('[provider_authorities]\nauto = "a.test:1"', ["auto"]),
        ('[provider_dialects]\nopenai = "anthropic"', ["provider_dialects.openai"]),
        ('[provider_dialects]\nacme = "cohere"', ["provider_dialects.acme", "cohere"]),
        ('[provider_auth_schemes]\nnobody = "bearer"', ["provider_auth_schemes.nobody"]),
        ('[signing_keys]\none = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w="', ["signing_keys.one"]),
        ('[signing_keys]\n1 = "AAAA"', ["signing_keys.1", "32"]),
        ("require_signing_keys = true", ["signing_keys"]),
    ],
)
def test_a_configuration_that_is_not_understood(tmp_path: Path, config: str, parts: list[str]) -> None:
    done = start(tmp_path, LOOPBACK + config)
    lines = errors(done)
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in "\n".join(lines)


def test_a_configuration_that_is_not_there(tmp_path: Path) -> None:
    done = start(tmp_path, LOOPBACK, "--config", str(tmp_path / "nowhere.toml"))
    assert "nowhere.toml" in errors(done)[0]


@pytest.mark.parametrize("option", ["--listen", "--metrics-listen"])
@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "gateway.example:0"])
def test_dev_listens_on_loopback_only(tmp_path: Path, option: str, address: str) -> None:
    done = start(tmp_path, LOOPBACK, "--dev", option, address)
    assert errors(done) == [
        f"error: --dev listens on loopback only, not on {address}",
        "hint: leave out the host: 127.0.0.1",
    ]


def test_dev_is_one_process(tmp_path: Path) -> None:
    assert errors(start(tmp_path, LOOPBACK, "--dev", "--workers", "2")) == [
        "error: --dev runs in one process",
        "hint: leave out --workers, or --dev",
    ]


def test_what_only_a_worker_finds_out_is_said_once(tmp_path: Path) -> None:
    done = start(tmp_path, LOOPBACK + "[plugins.bai]\nno_such_key = 1\n", "--workers", "3")
    assert errors(done)[0] == "error: plugins.bai: this plugin takes no settings"
    assert done.stderr.count("takes no settings") == 1


def test_an_address_that_is_none(tmp_path: Path) -> None:
    assert errors(start(tmp_path, LOOPBACK, "--listen", "8080x"))[0].startswith("error: --listen: ")
