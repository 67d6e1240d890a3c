"""`beyond-ai doctor`: would a gateway started here serve, and if not, what to do."""

import typer

from beyond_ai.cli.options import ConfigFile, Json, write_json
from beyond_ai.doctor.examination import examine
from beyond_ai.doctor.finding import Finding, Health
from beyond_ai.version import VERSION

app = typer.Typer(rich_markup_mode=None)


@app.command()
def doctor(config: ConfigFile = None, json: Json = False) -> None:
    """Look at everything that a gateway needs here; exit with 1 when something fails.

    Configuration, plugins, keys, the deny-set's source, every provider, clock, open files and addresses. Nothing is
    changed, and no key is sent or shown.
    """
    findings = examine(config)
    failed = any(finding.health is Health.FAIL for finding in findings)
    if json:
        checks = [
            {"name": each.name, "state": each.health.value, "message": each.message, "hint": each.hint}
            for each in findings
        ]
        write_json({"ok": not failed, "version": VERSION, "checks": checks})
    else:
        for finding in findings:
            _write(finding)
    if failed:
        raise typer.Exit(1)


def _write(finding: Finding) -> None:
    state = "FAIL" if finding.health is Health.FAIL else finding.health.value
    typer.echo(f"[{state}] {finding.name}: {finding.message}")
    if finding.hint:
        typer.echo(f"       {finding.hint}")
