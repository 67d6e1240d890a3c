"""`beyond-ai doctor` as an operator types it: what it prints, its exit code, and that no secret is in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.core.doctor.conftest import SIGNING_KEY, configured
from tests.nats_server import NatsServer, free_port
from tests.plugins.transports.certificates import Authority

from beyond_ai.testing import ReadBody, Send, ThreadedUpstream, response
from beyond_ai.version import VERSION

SECRETS = ("sk-pool-fake", "nats-fake", "table-fake", "env-fake")


def run(
    folder: Path, config: str, *arguments: str, files: int = 8192, **environ: str
) -> subprocess.CompletedProcess[str]:
    """The doctor, in a process that may have FILES open files."""
    file = folder / "gateway.toml"
    file.write_text(config)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AI_")}
    program = str(Path(sys.executable).with_name("beyond-ai"))
    done = subprocess.run(
        ["sh", "-c", f'ulimit -S -n {files} && exec "$0" "$@"', program, "doctor", "-c", str(file), *arguments],
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert "Traceback" not in done.stderr
    for secret in SECRETS:
        assert secret not in done.stdout + done.stderr
    return done


def healthy(provider: str, nats: str) -> str:
    return configured(
        f'nats_url = "{nats.replace("//", "//me:nats-fake@")}"\n{SIGNING_KEY}'
        f'[pool_keys]\nacme = "sk-pool-fake"\n[provider_authorities]\nacme = "{provider}"\n',
        store="nats",
    )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def test_all_is_well(tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trust(monkeypatch)
    with (
        NatsServer(tmp_path, "--user", "me", "--pass", "nats-fake") as nats,
        ThreadedUpstream(tls=authority.context(), default=(ReadBody(), Send(response(401, [], b"")))) as provider,
    ):
        config = healthy(provider.authority, nats.url)
        done = run(tmp_path, config)
        as_json = json.loads(run(tmp_path, config, "--json").stdout)
    lines = done.stdout.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "[ok] config",
        "[ok] plugins",
        "[ok] signing_keys",
        "[ok] pool_keys",
        "[ok] deny_store nats",
        "[ok] provider acme",
        "[note] clock",
        "[ok] open files",
        "[ok] listen",
        "[ok] metrics_listen",
    ]
    assert done.returncode == 0
    assert lines[3] == "[ok] pool_keys: 1 for acme"
    assert (as_json["ok"], as_json["version"]) == (True, VERSION)
    assert [f"[{check['state']}] {check['name']}" for check in as_json["checks"]] == [
        line.partition(":")[0] for line in lines
    ]


def test_all_is_wrong(tmp_path: Path, authority: Authority) -> None:
    """The provider's certificate is not trusted here."""
    with ThreadedUpstream(tls=authority.context()) as provider:
        config = healthy(provider.authority, f"nats://127.0.0.1:{free_port()}")
        config = f'rate_limit_rps = "table-fake"\n{config}'.replace(SIGNING_KEY, "")
        done = run(tmp_path, config, files=1000, AI_BYO_RATE_LIMIT_RPS="env-fake")
        as_json = json.loads(run(tmp_path, config, "--json", files=1000).stdout)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    failed = [line.removeprefix("[FAIL] ").partition(":")[0] for line in lines if line.startswith("[FAIL] ")]
    assert failed == ["config", "config", "signing_keys", "deny_store nats", "provider acme", "open files"]
    for number, line in enumerate(lines):
        assert line.startswith("[FAIL] ") == lines[(number + 1) % len(lines)].startswith("       "), "each has its hint"
    assert [line for line in lines if "open files" in line] == ["[FAIL] open files: 1000: about 468 requests at a time"]
    assert as_json["ok"] is False
    assert {check["state"] for check in as_json["checks"]} == {"ok", "note", "fail"}
    assert all(check["hint"] for check in as_json["checks"] if check["state"] == "fail")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    done = run(tmp_path, "", "-c", str(tmp_path / "nowhere.toml"))
    assert (done.returncode, done.stdout.splitlines()[:2]) == (
        1,
        [
            f"[FAIL] config: {tmp_path / 'nowhere.toml'}: no such file",
            "       name an existing file with -c/--config, or leave it out",
        ],
    )
