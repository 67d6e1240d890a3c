"""The deployment files fit the gateway: its flags, ports, settings, probes, times to stop and memory."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.gateway_process import PUBLIC_KEY
from tests.nats_server import binary
from typer.testing import CliRunner

from beyond_ai.cli import app
from beyond_ai.config import Settings, load_settings

FILES = Path(__file__).parents[2] / "examples" / "deployment"
CONFIG = FILES / "gateway.toml"
UNIT = (FILES / "beyond-ai-gateway.service").read_text()
DOCKERFILE = (FILES / "Dockerfile").read_text()
KUBERNETES = {path: path.read_text() for path in sorted((FILES / "kubernetes").glob("*.yaml"))}
OBJECTS: list[dict[str, Any]] = [found for text in KUBERNETES.values() for found in yaml.safe_load_all(text)]
MIB = 1024 * 1024
SUPERVISOR, WORKER = 54 * MIB, 53 * MIB
"""Resident memory, idle; README, figures."""


def named(kind: str, name: str = "beyond-ai-gateway") -> dict[str, Any]:
    (found,) = [each for each in OBJECTS if each["kind"] == kind and each["metadata"]["name"] == name]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = named("Deployment")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    assert isinstance(found, dict)
    return found


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Those of the file, with the keys that the files say come as variables."""
    monkeypatch.setenv("AI_SIGNING_KEY_1", PUBLIC_KEY)
    monkeypatch.setenv("AI_POOL_KEY_OPENAI", "sk-pool-fake")
    monkeypatch.setenv("AI_ADMIN_TOKEN", "admin-token-fake")
    return load_settings(CONFIG).settings


def drained_after(settings: Settings) -> float:
    """Seconds from SIGTERM to the last worker's end, at most."""
    return settings.shutdown_grace_period_secs + settings.shutdown_runtime_timeout_secs


def assert_runs(words: list[str]) -> None:
    """The command line `beyond-ai WORDS` is one, and its configuration holds."""
    command = words[: words.index("-c")]
    told = CliRunner().invoke(app, [*command, "--help"])
    assert told.exit_code == 0, words
    assert "-c, --config" in told.output
    assert words[words.index("-c") :] == ["-c", "/etc/beyond-ai/gateway.toml"]
    checked = CliRunner().invoke(app, ["config", "check", "-c", str(CONFIG)])
    assert (checked.exit_code, checked.stdout) == (0, "ok\n"), checked.output


def test_every_command_line_is_one(settings: Settings) -> None:
    unit = re.findall(r"^ExecStart(?:Pre)?=/usr/local/lib/beyond-ai/bin/beyond-ai (.*)$", UNIT, re.MULTILINE)
    assert len(unit) == 2
    for words in (*map(str.split, unit), container()["args"]):
        assert_runs(words)
    assert re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE) == ['["beyond-ai"]']


def test_variables_are_settings() -> None:
    text = "\n".join((UNIT, DOCKERFILE, CONFIG.read_text(), *KUBERNETES.values()))
    for name in re.findall(r"\bAI_[A-Z0-9_]+", text):
        prefixed = name.startswith(("AI_SIGNING_KEY_", "AI_POOL_KEY_"))
        assert prefixed or name.removeprefix("AI_").lower() in Settings.model_fields, name


def test_the_ports_are_those_of_the_listeners(settings: Settings) -> None:
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"http": settings.listen.port, "admin": settings.metrics_listen.port}
    assert re.findall(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE) == [" ".join(map(str, ports.values()))]
    assert f"127.0.0.1:{ports['admin']}/livez" in DOCKERFILE
    assert named("Service")["spec"]["ports"][0]["targetPort"] == "http"
    assert named("Service", "beyond-ai-gateway-admin")["spec"]["ports"][0]["targetPort"] == "admin"


def test_the_probes_ask_what_there_is() -> None:
    probes = {kind: container()[f"{kind}Probe"]["httpGet"] for kind in ("startup", "readiness", "liveness")}
    assert {kind: probe["path"] for kind, probe in probes.items()} == {
        "startup": "/livez",
        "readiness": "/readyz",
        "liveness": "/livez",
    }
    assert {probe["port"] for probe in probes.values()} == {"admin"}


def test_there_is_time_to_drain(settings: Settings) -> None:
    before = container()["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod()["terminationGracePeriodSeconds"] > before + drained_after(settings)
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", UNIT, re.MULTILINE)
    assert int(stop) > drained_after(settings)
    assert "KillMode=mixed" in UNIT
    scaling = named("HorizontalPodAutoscaler")["spec"]["behavior"]["scaleDown"]
    assert scaling["stabilizationWindowSeconds"] >= settings.shutdown_grace_period_secs


def test_the_memory_holds_processes_bodies_and_ten_thousand_streams(settings: Settings) -> None:
    resources = container()["resources"]
    assert settings.workers == int(resources["requests"]["cpu"])
    held = SUPERVISOR + settings.workers * WORKER + 10_000 * 27 * 1024 + settings.max_buffered_body_bytes
    assert resources["requests"]["memory"] == "768Mi"
    assert resources["limits"]["memory"] == "1Gi"
    assert held < 768 * MIB


def test_the_autoscaler_scales_the_deployment() -> None:
    assert named("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]["name"] == "beyond-ai-gateway"
    assert "replicas" not in named("Deployment")["spec"]


def test_the_nats_cluster_is_one(tmp_path: Path) -> None:
    config = named("ConfigMap", "nats")["data"]["nats.conf"]
    cluster = named("StatefulSet", "nats")["spec"]
    routes = re.findall(r"nats-route://(\S+?):6222", config)
    assert routes == [f"nats-{number}.{cluster['serviceName']}" for number in range(cluster["replicas"])]
    (tmp_path / "nats.conf").write_text(config)
    done = subprocess.run(
        [binary(), "-t", "-c", str(tmp_path / "nats.conf")],
        env={"SERVER_NAME": "nats-0", "GATEWAY_PASSWORD": "password-fake"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    # The program is not installed here; any other stands for it.
    unit = UNIT.replace("/usr/local/lib/beyond-ai/bin/beyond-ai", str(shutil.which("true")))
    (tmp_path / "beyond-ai-gateway.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "beyond-ai-gateway.service")],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
