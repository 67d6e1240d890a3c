"""`beyond-ai gateway`: serve until told to stop."""

import contextlib
import os
import socket
import sys
from dataclasses import replace
from ipaddress import ip_address
from typing import TYPE_CHECKING, Annotated

import typer

from beyond_ai.cli.options import ConfigFile
from beyond_ai.config import Address, Settings, load_settings
from beyond_ai.errors import ConfigError
from beyond_ai.gateway.logs import start_logging, warn_of_test_settings
from beyond_ai.gateway.sockets import bind, url_of
from beyond_ai.gateway.supervisor.generation import Configuration, Generation
from beyond_ai.logs import LogFormat
from beyond_ai.version import VERSION

if TYPE_CHECKING:
    from beyond_ai.gateway.assembly import Assembly

app = typer.Typer(rich_markup_mode=None)


@app.command()
def gateway(
    config: ConfigFile = None,
    dev: Annotated[
        bool,
        typer.Option(
            "--dev",
            help="Try it without an account: listens on loopback only, makes a virtual key, and answers from the "
            "embedded `echo` provider wherever there is no pool key.",
        ),
    ] = False,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Client listener, in place of the configured one.")
    ] = None,
    metrics_listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Admin listener, in place of the configured one.")
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, max=512, help="Worker processes, in place of the configured number; 0: one a core."
        ),
    ] = None,
    log_format: Annotated[
        LogFormat | None, typer.Option(help="Form of the log on stderr, in place of the configured one.")
    ] = None,
) -> None:
    """Relay LLM traffic: check keys, swap in provider keys, stream both ways, meter every token."""

    def configured() -> Configuration:
        loaded = load_settings(config)
        values = loaded.layers.values
        settings = _with_addresses(loaded.settings, listen, metrics_listen, dev=dev)
        if log_format is not None:
            values = {**values, "log_format": log_format.value}
            settings = settings.model_copy(update={"log_format": log_format.value})
        number = settings.workers if workers is None else workers
        return Configuration(settings, values, number or _usable_cores())

    _refuse_writes()
    configuration = configured()
    start_logging(configuration.settings)
    warn_of_test_settings(configuration.settings)
    if dev:
        if workers not in (None, 1):
            raise ConfigError("--dev runs in one process", "leave out --workers, or --dev")
        _run_alone(configuration.settings)
        return
    from beyond_ai.gateway.supervisor.supervisor import run

    client_socket, admin_socket = bind(configuration.settings.listen), bind(configuration.settings.metrics_listen)

    def ready(generation: Generation) -> None:
        assert generation.ready is not None
        _announce(client_socket, admin_socket, compiled=generation.ready.compiled)

    run(configuration, configured, VERSION, client_socket, admin_socket, ready)


def _run_alone(settings: Settings) -> None:
    """Serve with `--dev`."""
    from beyond_ai.gateway import exchange
    from beyond_ai.gateway.alone import run
    from beyond_ai.gateway.assembly import assemble

    assembly = assemble(settings, dev=True)
    client_socket, admin_socket = bind(settings.listen), bind(settings.metrics_listen)

    def ready() -> None:
        _announce(client_socket, admin_socket, compiled=not exchange.__file__.endswith(".py"))
        _say(_welcome(assembly, url_of(client_socket)))

    run(assembly, VERSION, client_socket, admin_socket, ready)


def _announce(client_socket: socket.socket, admin_socket: socket.socket, *, compiled: bool) -> None:
    """Say that both listeners accept."""
    _say(f"beyond-ai {VERSION}, whose data path {'is compiled' if compiled else 'runs as Python'}")
    _say(f"listening on {url_of(client_socket)}")
    _say(f"admin on {url_of(admin_socket)}")


def _refuse_writes() -> None:
    """Have a stdout or stderr that was closed before the start refuse what is written: a sink has to notice its losses.

    It is so for workers, too.
    """
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, f"__{name}__") is None:
            refusing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(refusing, number)
            os.close(refusing)
            setattr(sys, name, None)


def _say(text: str) -> None:
    """Write TEXT to stderr, where somebody reads it: a gateway serves without, too."""
    with contextlib.suppress(OSError):
        typer.echo(text, err=True)


def _usable_cores() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _with_addresses(settings: Settings, listen: str | None, metrics_listen: str | None, *, dev: bool) -> Settings:
    """SETTINGS with the addresses of the command line; with DEV, both on loopback."""
    addresses: dict[str, Address] = {}
    for name, text in (("listen", listen), ("metrics_listen", metrics_listen)):
        try:
            address = getattr(settings, name) if text is None else Address.parse(text)
        except ValueError as error:
            raise ConfigError(f"--{name.replace('_', '-')}: {error}") from None
        if dev and not _is_loopback(address.host):
            if text is not None:
                raise ConfigError(f"--dev listens on loopback only, not on {address}", "leave out the host: 127.0.0.1")
            address = replace(address, host="127.0.0.1")
        addresses[name] = address
    return settings.model_copy(update=addresses)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _welcome(assembly: "Assembly", url: str) -> str:
    """What `--dev` turned on, and a request to copy."""
    assert assembly.dev_credential is not None
    key = assembly.dev_credential.credential
    own_keys = [
        name
        for name, upstream in sorted(assembly.upstreams.items())
        if name not in assembly.embedded and not upstream.provider.embedded
    ]
    return f"""
--dev is on: listening on loopback only; a signing key was made for this run; answers come from the
embedded `echo` provider, not from a model, for {", ".join(sorted(assembly.embedded)) or "no provider"}.
{f"On the pool keys that you configured: {', '.join(own_keys)}.{chr(10)}" if own_keys else ""}
base URL     {url}/v1
virtual key  {key}

Stream an answer; its usage event appears here, on stdout:

curl -N {url}/v1/chat/completions \\
  -H "Authorization: Bearer {key}" \\
  -H "Content-Type: application/json" \\
  -d '{{"model": "echo", "stream": true,
       "messages": [{{"role": "user", "content": "Hello there"}}]}}'

from openai import OpenAI
client = OpenAI(base_url="{url}/v1", api_key="{key}")
stream = client.chat.completions.create(
    model="echo", stream=True,
    messages=[{{"role": "user", "content": "Hello there"}}])
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="", flush=True)

Or let the coding agent look at a folder:

AI_GATEWAY_URL={url} AI_AGENT_KEY={key} \\
  beyond-ai agent run "list this folder"
"""
