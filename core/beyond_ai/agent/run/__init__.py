"""`beyond-ai agent run`: a shell over the loop for people and for programs that start it.

`assembly` makes the parts of a run out of flags, configuration and plugins; `program` runs it, through signals, to an
exit code (`exits`). What happens is shown by a view: `text` (lines), `terminal` (a live one), or `frames` (JSON). All
of them write through `output`, which a reader that has stopped reading cannot freeze.
"""
