"""How lines of a file are shown."""


def numbered(number: int, line: str) -> str:
    """LINE with its number, from 1, a tab between them."""
    return f"{number:>6}\t{line}"
