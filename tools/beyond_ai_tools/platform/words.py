"""Arguments that become words of a command line."""

from typing import Annotated, TypeAlias

from pydantic import StringConstraints

Word: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[^-\s]\S*$")]
"""A name: one word, which no option can be taken for."""
