"""`beyond-ai plugins`: what is installed, what it offers, why something is not in use; and a new one.

The first three are for when something is broken, so they need no valid configuration beyond `[plugins]`, and no
plugin to import: what fails is a row. What plugins print while they load goes to stderr.
"""

import typer

from beyond_ai.cli.plugins.creation import new
from beyond_ai.cli.plugins.description import show
from beyond_ai.cli.plugins.listing import check, list_

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="List installed plugins, look at one, check all, write a new one."
)
app.command("list")(list_)
app.command()(show)
app.command()(check)
app.command()(new)
