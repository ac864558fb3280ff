"""Restoring of a backup: each folder is exchanged as a whole, the folder before stays beside it.

A folder is written beside its place under another name, flushed to the disk, and exchanged with the
folder there in one step.  Whenever the process is killed, the folder there is the one before or the
one of the backup, complete.  Models come before the state, which the daemon locks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from asd_monitor.backup.archive import Contents, Member
from asd_monitor.backup.exchange import exchange
from asd_monitor.backup.sources import BoxFolders
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.atomic_files import os_errors_reported
from asd_monitor.plain_tar import ArchiveError, member_chunks
from asd_monitor.private_files import create_private_folder, sync_folder

_UNFINISHED = "restore.partial"
_LOCK = "daemon.lock"
_CONFIG_MODE = 0o644  # it has no secrets, and the user of the service reads it
_REMEDY = "choose other folders with --models and --state, or call this as their owner or as root"


@dataclass(frozen=True, slots=True)
class Restored:
    """One folder or file that was restored."""

    root: str  # models, state or config
    path: Path
    files: int
    before: Path | None
    """Where what was there before is kept; None: there was nothing."""


def restore_backup(
    file: IO[bytes], contents: Contents, folders: BoxFolders, *, stamp: str
) -> list[Restored]:
    """Restore models, state and, where ``folders`` has a place for it, the configuration.

    Nothing is changed before all files are on the disk.

    Args:
        file: the archive.
        contents: what `read_archive` has found in it.
        folders: the places.
        stamp: part of the names under which the present folders are kept.

    Raises:
        UsageError: the folders cannot be restored to.
        OperationError: the archive has changed, or something cannot be written.

    """
    models, state = folders.models.resolve(), folders.state.resolve()
    if models == state or models in state.parents:
        raise UsageError(
            f"{state}: the state folder cannot be, or be in, the models folder: correct --state or "
            "--models"
        )
    if state in models.parents:
        parts = [(state, {"state": Path(), "models": models.relative_to(state)})]
    else:
        parts = [(models, {"models": Path()}), (state, {"state": Path()})]
    config, in_config = folders.config, contents.of_root("config")
    restored: list[Restored] = []
    with contextlib.ExitStack() as staged, contextlib.ExitStack() as undo:
        stages = [
            staged.enter_context(_Stage(file, contents, place, below, stamp))
            for place, below in parts
        ]
        for stage in stages:
            undo.callback(stage.take_back)
            stage.put_in_place()
        undo.pop_all()
        for stage in stages:
            restored += stage.result()
    if config is not None and in_config:
        restored.append(_restore_config(file, in_config[0], config, stamp))
    return restored


class _Stage:
    """A folder that is written beside its place; what is not put in place is deleted at the end.

    ``below`` has the folder of each root in it.
    """

    def __init__(
        self, file: IO[bytes], contents: Contents, place: Path, below: dict[str, Path], stamp: str
    ) -> None:
        self._file = file
        self._members = {root: contents.of_root(root) for root in below}
        self._place = place
        self._below = below
        self._before = place.with_name(f"{place.name}.before-restore-{stamp}")
        self._folder = place.with_name(f".{place.name}.{_UNFINISHED}")
        # not the name of what is deleted as unfinished: for a moment it has what was there before
        self._complete = place.with_name(f"{place.name}.restore-{stamp}")
        self._is_in_place = False

    def __enter__(self) -> _Stage:
        if self._place.is_mount():
            raise OperationError(
                f"{self._place}: this is a mount point, which cannot be exchanged: restore to "
                "a folder in it with --models and --state, and use that"
            )
        with contextlib.ExitStack() as undo:
            undo.callback(self._delete)
            with os_errors_reported(self._place, "cannot be restored", _REMEDY):
                self._write()
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._delete()

    def put_in_place(self) -> None:
        """Exchange the folder with the one in its place.  Raises OperationError."""
        with os_errors_reported(self._place, "cannot be restored", _REMEDY):
            self._folder.rename(self._complete)
            if self._place.exists():
                exchange(self._complete, self._place)
                self._is_in_place = True
                self._complete.rename(self._before)
            else:
                self._complete.rename(self._place)
                self._is_in_place = True
            sync_folder(self._place.parent)

    def take_back(self) -> None:
        """Undo `put_in_place`, also where it failed.  Raises OSError."""
        if self._is_in_place and self._before.exists():
            self._before.rename(self._complete)
        if self._is_in_place and self._complete.exists():
            exchange(self._complete, self._place)
        elif self._is_in_place:
            self._place.rename(self._complete)
        if self._complete.exists():
            self._complete.rename(self._folder)

    def result(self) -> list[Restored]:
        """Return what was restored; a folder that was made for the lock only is not kept."""
        before: Path | None = self._before if self._before.exists() else None
        if before is not None and {each.name for each in before.iterdir()} <= {_LOCK}:
            shutil.rmtree(before, ignore_errors=True)
            before = None
        return [
            Restored(root, self._place / below, len(self._members[root]), before)
            for root, below in self._below.items()
        ]

    def _write(self) -> None:
        self._delete()  # what an interrupted restore has left
        create_private_folder(self._place.parent)
        self._folder.mkdir(0o700)
        owner = _owner_of(self._place)
        for root, below in self._below.items():
            for member in self._members[root]:
                _write_member(self._file, member, self._folder / below / member.path)
            (self._folder / below).mkdir(0o700, parents=True, exist_ok=True)
        for folder, _, names in os.walk(self._folder, topdown=False):
            for path in (Path(folder), *(Path(folder, name) for name in names)):
                if owner is not None:
                    os.chown(path, *owner)
            sync_folder(Path(folder))

    def _delete(self) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)


def _owner_of(place: Path) -> tuple[int, int] | None:
    """Return user and group of the restored files; None: those of this process.

    Root gives them to the owner of the folder in place, which is the user of the service.
    """
    if os.geteuid() != 0:
        return None
    status = (place if place.exists() else place.parent).stat()
    return status.st_uid, status.st_gid


def _write_member(file: IO[bytes], member: Member, path: Path) -> None:
    """Write a member to a new file, and verify its hash again."""
    create_private_folder(path.parent)
    digest = hashlib.sha256()
    file.seek(member.offset)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as output:
        try:
            for chunk in member_chunks(file, member.size):
                digest.update(chunk)
                output.write(chunk)
        except ArchiveError as error:
            raise OperationError(f"the archive has become shorter: {error}") from error
        output.flush()
        os.fsync(output.fileno())
    if digest.hexdigest() != member.sha256:
        raise OperationError(
            f"{member.name}: the archive was changed while it was read: nothing was restored; "
            "repeat it"
        )


def _restore_config(file: IO[bytes], member: Member, config: Path, stamp: str) -> Restored:
    """Replace the configuration file; the one before is kept beside it."""
    place = config.resolve()
    partial = place.with_name(f".{place.name}.{_UNFINISHED}")
    before: Path | None = place.with_name(f"{place.name}.before-restore-{stamp}")
    with os_errors_reported(place, "cannot be restored", "name another file with --config"):
        partial.unlink(missing_ok=True)
        create_private_folder(place.parent)
        try:
            _write_member(file, member, partial)
            partial.chmod(_CONFIG_MODE)
            if before is not None and place.exists():
                shutil.copy2(place, before)
            else:
                before = None
            partial.replace(place)
        finally:
            partial.unlink(missing_ok=True)
        sync_folder(place.parent)
    return Restored("config", place, 1, before)
