"""Replacing a file in one step: whoever reads it sees all of the old content or all of the new."""

import os
import secrets
import stat
from contextlib import AbstractContextManager, nullcontext, suppress
from itertools import takewhile
from pathlib import Path
from typing import Final

_DESCRIPTORS: Final = "/proc/self/fd"


def replace(path: Path, data: bytes, *, around: AbstractContextManager[None] | None = None) -> None:
    """Make DATA the content of PATH, which has no links in it; a new file's folder is made too.

    An existing file keeps its mode and, where that is allowed, its owner. AROUND is entered at the last moment and left
    right after; an exception on its way in leaves all as it was, as does OSError.
    """
    old = _state(path)
    if old is not None and not os.access(path, os.W_OK):
        raise PermissionError(13, "Permission denied", str(path))
    missing = _missing_folders(path.parent)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _replace(path, data, old, around or nullcontext())
    except BaseException:
        for folder in missing:
            with suppress(OSError):
                folder.rmdir()
        raise


def _replace(path: Path, data: bytes, old: os.stat_result | None, around: AbstractContextManager[None]) -> None:
    temporary = path.parent / f".{path.name[:40]}.{secrets.token_hex(8)}.tmp"
    # a private file must not be readable for a moment; a new one gets what the umask leaves
    mode = 0o666 if old is None else 0o600
    unnamed = _open_unnamed(path.parent, mode)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, mode) if unnamed is None else unnamed
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if old is not None:
                _keep_owner_and_mode(descriptor, old)
            os.fsync(descriptor)
            if unnamed is not None:
                _give_name(descriptor, temporary)
        with around:
            os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(path.parent)


def _open_unnamed(folder: Path, mode: int) -> int | None:
    """A file without a name, of which nothing is left when the process is killed; None where there is no such thing."""
    flag = getattr(os, "O_TMPFILE", 0)
    if not flag or not os.path.isdir(_DESCRIPTORS):
        return None
    try:
        return os.open(folder, flag | os.O_WRONLY | os.O_CLOEXEC, mode)
    except OSError:  # not on every file system; what else may be wrong shows again with a name
        return None


def _give_name(descriptor: int, path: Path) -> None:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # with a folder's descriptor Python calls linkat, which can follow the link to the file
        os.link(f"{_DESCRIPTORS}/{descriptor}", path.name, dst_dir_fd=folder, follow_symlinks=True)
    finally:
        os.close(folder)


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _missing_folders(folder: Path) -> list[Path]:
    """What of FOLDER has to be made, innermost first."""
    return list(takewhile(lambda part: not os.path.lexists(part), (folder, *folder.parents)))


def _keep_owner_and_mode(descriptor: int, old: os.stat_result) -> None:
    new = os.fstat(descriptor)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(folder: Path) -> None:
    """Make the new name last through a power cut. The file is in place already, so that a failure is none."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
