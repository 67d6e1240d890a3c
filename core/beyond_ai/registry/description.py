"""Asks a registered plugin what it offers, and checks each record before it may enter a table."""

import inspect
import re
from collections.abc import Iterable
from typing import Final

import pluggy

from beyond_ai.registry.plugin import Plugin, Unusable
from beyond_ai.spec.command import Command
from beyond_ai.spec.component import Component
from beyond_ai.spec.provider import Provider
from beyond_ai.spec.tool import Tool

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def describe(plugin: Plugin, implementation: pluggy.HookImpl) -> None:
    """Call the hook of PLUGIN, alone so that its results and failures are its own, and keep its records by name.

    Raises Unusable with the reason, and whatever the hook raises.
    """
    offered: object = implementation.function()
    records: dict[str, object] = {}
    for record in _records(plugin, offered):
        if not isinstance(record, plugin.kind.record):
            raise Unusable(f"{_call(plugin)} yields {_an(record)} where {_an(plugin.kind.record)} is expected")
        name = _checked_name(plugin, record)
        if name in records:
            raise Unusable(f"{_call(plugin)} yields `{name}` twice")
        records[name] = record
    plugin.records = records


def _records(plugin: Plugin, offered: object) -> Iterable[object]:
    if inspect.iscoroutine(offered):
        offered.close()
        raise Unusable(f"{_call(plugin)} must not be async: mark a plain function that yields records")
    if isinstance(offered, plugin.kind.record):
        raise Unusable(f"{_call(plugin)} returns one {plugin.kind.record.__name__}: yield it")
    if isinstance(offered, str | bytes) or not isinstance(offered, Iterable):
        raise Unusable(f"{_call(plugin)} returns {_an(offered)}: yield records, or nothing to offer nothing")
    return offered


def _checked_name(plugin: Plugin, record: object) -> str:
    name: object = getattr(record, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Unusable(f"{_call(plugin)} yields the name {name!r}: use letters, digits, -, _ and .")
    try:
        _check(plugin, record)
    except (TypeError, ValueError) as error:
        raise Unusable(f"{plugin.kind.name} `{name}`: {error}") from error
    return name


def _check(plugin: Plugin, record: object) -> None:
    """Raise TypeError or ValueError for what the record's type cannot say."""
    match record:
        case Provider():
            record.check()
        case Component():
            _check_callable(record.create, "create")
            if record.config is not None:
                _check_model(record.config, "config")
        case Tool():
            _check_callable(record.run, "run")
            _check_model(record.arguments, "arguments")
            if record.config is not None:
                _check_model(record.config, "config")
        case Command() if record.name != plugin.name:
            raise ValueError(f"a command must be named as its entry point, `{plugin.name}`")


def _check_callable(value: object, attribute: str) -> None:
    if not callable(value):
        raise TypeError(f"{attribute} must be callable")


def _check_model(value: object, attribute: str) -> None:
    from pydantic import BaseModel

    if not (isinstance(value, type) and issubclass(value, BaseModel)):
        raise TypeError(f"{attribute} must be a pydantic model class")


def _call(plugin: Plugin) -> str:
    return f"`{plugin.kind.hook}`"


def _an(thing: object) -> str:
    """What THING is, with its article: `a dict`; a class stands for its instances."""
    name = (thing if isinstance(thing, type) else type(thing)).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
