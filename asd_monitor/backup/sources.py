"""Which files of a box belong to a backup.

Everything below the models folder and the state folder, but for what is of use to a running process
only, what is unfinished, and secrets: a password or a private key never gets into an archive.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from asd_monitor.config.settings import Config

# the lock of the daemon, the socket that shares sound, what SQLite and the journal keep beside a
# database, what an interrupted writing leaves, and what the page keeps for itself
_OF_A_PROCESS = re.compile(
    r"daemon\.lock|sound\.sock|.*\.db-(?:wal|shm|journal|seq)|.*\.(?:part|partial)"
    r"|.*\.before-restore-.*|page-secret|page-history\.sqlite.*|page-work\.json"
)
_SECRET_SUFFIXES = frozenset({".key", ".password", ".passwd", ".pem", ".p12", ".pfx", ".token"})
_KEY_MARK = b"PRIVATE KEY-----"
_MARK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class BoxFolders:
    """The folders of a box, and its configuration file where it has one."""

    models: Path
    state: Path
    config: Path | None = None


@dataclass(slots=True)
class SourceFiles:
    """The files below one folder, and what is left out there."""

    files: list[Path] = field(default_factory=list)  # relative to the folder, sorted
    left_out: list[str] = field(default_factory=list)  # with the reason, for the user


def secret_files(config: Config) -> frozenset[Path]:
    """Return the files of secrets that a configuration names."""
    mqtt = config.mqtt
    named = [mqtt.password_file, None if config.http is None else config.http.token_file]
    if mqtt.tls is not None:
        named += [mqtt.tls.key, mqtt.tls.cert]
    return frozenset(path.resolve() for path in named if path is not None)


def files_below(
    folder: Path, *, without: Path | None = None, secrets: Collection[Path] = ()
) -> SourceFiles:
    """Return the regular files below a folder; links are not followed.

    Args:
        folder: may be missing.
        without: a folder in it that is left out.
        secrets: files that are left out.

    Raises:
        OSError: a folder cannot be listed.

    """
    found = SourceFiles()
    if folder.is_dir():
        _search(folder, Path(), without, secrets, found)
    return found


def _search(
    folder: Path,
    below: Path,
    without: Path | None,
    secrets: Collection[Path],
    found: SourceFiles,
) -> None:
    try:
        entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
    except FileNotFoundError:  # deleted meanwhile, by the daemon
        return
    for entry in entries:
        name, path = below / entry.name, Path(entry.path)
        if path == without or _OF_A_PROCESS.fullmatch(entry.name):
            continue
        if entry.is_dir(follow_symlinks=False):
            _search(folder, name, without, secrets, found)
        elif not entry.is_file(follow_symlinks=False):
            kind = "a link" if entry.is_symlink() else "no file"
            found.left_out.append(f"{path}: {kind}")
        elif path.resolve() in secrets or _is_secret(path):
            found.left_out.append(f"{path}: a secret")
        else:
            found.files.append(name)


def _is_secret(path: Path) -> bool:
    """Return whether a file is named like a secret, or begins like a private key in PEM."""
    if path.suffix.lower() in _SECRET_SUFFIXES:
        return True
    try:
        with open(path, "rb", opener=open_regular) as file:
            return _KEY_MARK in file.read(_MARK_BYTES)
    except OSError:
        return False  # whoever reads it next reports it


def open_regular(path: str, flags: int) -> int:
    """Open a regular file, without waiting and not through a link.  Raises OSError."""
    handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(f"{path} is no regular file")
    return handle
