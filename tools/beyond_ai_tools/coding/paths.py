"""Paths as models write them: made whole, checked against the policy, shown, and described when something is wrong.

A tool touches only what `resolve` gave it: the path with its links resolved is both what the policy has seen and what
is opened.
"""

import errno
import os
import stat
import unicodedata
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import unquote

from beyond_ai import ToolContext, ToolError

_SPACES: Final = dict.fromkeys((0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000), " ")
_CURLY: Final = str.maketrans("'", "\u2019")
_CONTROLS: Final = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F)} | {9: "\\t", 10: "\\n", 13: "\\r"}
_NAMES_LOOKED_AT: Final = 5_000
_NEAR_NAMES: Final = 3

_KINDS: Final = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}
_ADVICE: Final = {
    errno.EACCES: "permission denied",
    errno.EPERM: "not permitted",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ELOOP: "its symbolic links go in a circle",
    errno.ENOTDIR: "a part of the path is a file, not a directory",
}


def resolve(text: str, context: ToolContext, *, write: bool, new: bool = False) -> Path:
    """The path that the model means by TEXT, absolute and without links, once the policy has let it pass.

    A `file://` address is decoded, a leading `@` dropped, special spaces become plain ones, `~` is the home folder, and
    a relative path starts at the working folder. Where no such path exists, one that is spelled alike is taken (accents
    composed otherwise, curly apostrophes, special spaces), unless it may be NEW. Raises ToolError.
    """
    spellings = _spellings(_plain(text), context.cwd)
    first = next(spellings)
    path = first
    if not os.path.lexists(first):
        path = next((other for other in spellings if os.path.lexists(other)), first) if not new else first
    resolved = Path(os.path.realpath(path))
    context.paths.check(resolved, write=write)
    return resolved


def show(path: Path, context: ToolContext) -> str:
    """PATH in a result: relative to the working folder if it lies in it, and always printable."""
    for folder in (context.cwd, Path(os.path.realpath(context.cwd))):
        if path.is_relative_to(folder):
            return printable(str(path.relative_to(folder)))
    return printable(str(path))


def printable(name: str) -> str:
    """NAME in one line of valid Unicode: control characters escaped, bytes that are not UTF-8 replaced."""
    return os.fsencode(name).decode(errors="replace").translate(_CONTROLS)


def failure(error: OSError, action: str, path: Path, context: ToolContext) -> ToolError:
    """What to say when the ACTION, as in `read`, failed on PATH."""
    if error.errno == errno.ENOENT:
        return not_found(path, context)
    reason = _ADVICE.get(error.errno or 0) or error.strerror or type(error).__name__
    return ToolError(f"Cannot {action} {show(path, context)}: {reason}.")


def not_found(path: Path, context: ToolContext) -> ToolError:
    """That PATH does not exist, with the names that come near it."""
    message = f"Path not found: {show(path, context)}."
    near = [show(other, context) for other in islice(_near(path, context), _NEAR_NAMES)]
    if near:
        return ToolError(f"{message} Near it: {', '.join(near)}.")
    folder = _existing_parent(path)
    if folder != path.parent:
        return ToolError(f"{message} The folder {show(path.parent, context)} does not exist either.")
    return ToolError(message)


def require_file(path: Path, context: ToolContext) -> os.stat_result:
    """The state of the regular file PATH. Raises ToolError for anything else, pipes and devices among it."""
    try:
        state = path.stat()
    except OSError as error:
        raise failure(error, "open", path, context) from error
    _require_regular(state, path, context)
    return state


def require_directory(path: Path, context: ToolContext) -> None:
    """Raise ToolError unless PATH is a directory."""
    try:
        state = path.stat()
    except OSError as error:
        raise failure(error, "open", path, context) from error
    if not stat.S_ISDIR(state.st_mode):
        raise ToolError(f"Not a directory: {show(path, context)}.")


def open_file(path: Path, context: ToolContext) -> BinaryIO:
    """The regular file PATH, open for reading.

    Never waits: what has become a pipe since it was looked at is refused too. Raises ToolError.
    """
    require_file(path, context)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise failure(error, "open", path, context) from error
    file = os.fdopen(descriptor, "rb")
    try:
        _require_regular(os.fstat(descriptor), path, context)
    except ToolError:
        file.close()
        raise
    return file


def _require_regular(state: os.stat_result, path: Path, context: ToolContext) -> None:
    if stat.S_ISREG(state.st_mode):
        return
    kind = _KINDS.get(stat.S_IFMT(state.st_mode), "no regular file")
    if stat.S_ISDIR(state.st_mode):
        raise ToolError(f"{show(path, context)} is {kind}. Use ls to see what is in it.")
    raise ToolError(f"{show(path, context)} is {kind}; only regular files can be read or changed.")


def _plain(text: str) -> str:
    """TEXT without what only decorates a path."""
    if "\0" in text:
        raise ToolError("The path contains a NUL character.")
    if text.lower().startswith("file://"):
        host, slash, rest = text[len("file://") :].partition("/")
        if host not in {"", "localhost"}:
            raise ToolError(f"{text} is on another host ({host}); only local files can be used.")
        text = unquote(slash + rest)
        if "\0" in text:
            raise ToolError("The path contains a NUL character.")
    if not text.strip():
        raise ToolError("The path is empty.")
    try:
        os.fsencode(text)
    except UnicodeEncodeError as error:
        raise ToolError("The path is not valid Unicode.") from error
    return text


def _spellings(text: str, cwd: Path) -> Iterator[Path]:
    """What TEXT may mean: first what is meant if nothing of the kind exists."""
    if text.startswith("@") and not os.path.lexists(cwd / text.partition("/")[0]):
        text = text[1:] or "."
    # expanduser of os.path leaves an unknown user's name as it is
    exact = cwd / os.path.expanduser(text)
    folded = cwd / os.path.expanduser(text.translate(_SPACES))
    yield exact if os.path.lexists(exact) else folded
    written = str(folded)
    decomposed = unicodedata.normalize("NFD", written)
    yield Path(decomposed)
    yield Path(unicodedata.normalize("NFC", written))
    yield Path(written.translate(_CURLY))
    yield Path(decomposed.translate(_CURLY))
    # the names of screenshots on macOS have this one before AM and PM
    yield Path(written.replace(" AM", "\u202fAM").replace(" PM", "\u202fPM"))


def _near(path: Path, context: ToolContext) -> Iterator[Path]:
    """Paths that may be what was meant by PATH, which does not exist; only such as may be read."""
    seen: set[Path] = set()
    for candidate in _candidates(path, context.cwd):
        if candidate in seen:
            continue
        seen.add(candidate)
        try:
            context.paths.check(Path(os.path.realpath(candidate)), write=False)
        except ToolError:
            continue
        yield candidate


def _candidates(path: Path, cwd: Path) -> Iterator[Path]:
    # as when the working folder's own name was put in front, or a slash
    parts = path.parts[1:]
    for start in range(len(parts)):
        below = cwd.joinpath(*parts[start:])
        if below != path and os.path.lexists(below):
            yield below
            break
    folder = _existing_parent(path)
    missing = path.relative_to(folder).parts[0]
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in islice(entries, _NAMES_LOOKED_AT)]
    except OSError:
        return
    alike = {name.lower(): name for name in sorted(names)}
    for name in get_close_matches(missing.lower(), alike, n=_NEAR_NAMES, cutoff=0.6):
        yield folder / alike[name]
    stem = missing.partition(".")[0].lower()
    if stem:
        yield from (folder / name for name in sorted(names) if name.partition(".")[0].lower() == stem)


def _existing_parent(path: Path) -> Path:
    """The nearest folder above PATH, which is absolute, that exists."""
    return next((parent for parent in path.parents if os.path.isdir(parent)), Path(path.anchor))
