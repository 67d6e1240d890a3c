"""The configuration as plugins see it, for a command that does from a terminal what a component does in the gateway."""

from pathlib import Path

from beyond_ai.spec.component import Context


def configured_context(config_file: Path | None = None) -> Context:
    """The `Context` that components get under the configuration, but for their own table and counters.

    CONFIG_FILE is what the user named with -c/--config. Raises ConfigError.
    """
    from beyond_ai.config import load_settings  # a tenth of a second, which only commands that call this pay

    settings = load_settings(config_file).settings
    return Context(
        signing_keys=settings.signing_keys,
        upstream=settings.upstream(),
        nats=settings.nats(),
        snapshot_path=settings.snapshot_path,
    )
