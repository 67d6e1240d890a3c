"""How echo counts tokens, so that its usage numbers are true.

The rule: a token is a run of word characters or a run of anything else that is not space, together with the space
before it. Space at the very end belongs to the last token; text that is nothing but space is one token. So
`You said: hi` is four (`You`, ` said`, `:`, ` hi`), and the tokens of a text joined are the text.
"""

import re
from itertools import islice
from typing import Final

TOKEN: Final = re.compile(r"\s*(?:\w+|[^\w\s]+)(?:\s+\Z)?|\s+")


def split(text: str, limit: int | None = None) -> list[str]:
    """The tokens of TEXT in order, the first LIMIT of them when given; joined without a limit they are TEXT."""
    return [match.group() for match in islice(TOKEN.finditer(text), limit)]


def count(text: str) -> int:
    """The number of tokens in TEXT."""
    return sum(1 for _ in TOKEN.finditer(text))
