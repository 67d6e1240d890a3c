"""One line of the result."""

from dataclasses import dataclass
from enum import Enum


class Health(Enum):
    """What a check says."""

    OK = "ok"
    NOTE = "note"
    """nothing to mend, or nothing that could be looked at; the text says which"""
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """What the check NAME found; `hint` says what to do, and is empty where there is nothing to do."""

    name: str
    health: Health
    message: str
    hint: str = ""


def ok(name: str, message: str) -> Finding:
    """All is well with NAME."""
    return Finding(name, Health.OK, message)


def note(name: str, message: str, hint: str = "") -> Finding:
    """Worth knowing, and no reason to fail."""
    return Finding(name, Health.NOTE, message, hint)


def fail(name: str, message: str, hint: str) -> Finding:
    """Something to mend."""
    return Finding(name, Health.FAIL, message, hint)
