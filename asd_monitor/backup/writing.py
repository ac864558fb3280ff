"""Writing of a backup, while the daemon runs or not."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from asd_monitor.backup.archive import ArchiveWriter, Contents, read_archive
from asd_monitor.backup.databases import DamagedDatabaseError, copy_database, is_database
from asd_monitor.backup.sources import BoxFolders, SourceFiles, files_below, open_regular
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.atomic_files import os_errors_reported, writing_to
from asd_monitor.plain_tar import ArchiveError
from asd_monitor.private_files import sync_folder
from asd_monitor.wording import rfc3339

_UNFINISHED = ".backup.partial"
_ARCHIVE = "archive.tar"
_DATABASE = "copy.db"


@dataclass(frozen=True, slots=True)
class WrittenBackup:
    """A backup that was written."""

    contents: Contents
    size: int  # bytes
    notices: tuple[str, ...]


def write_backup(
    file: Path, folders: BoxFolders, *, box: str, now: datetime, secrets: Collection[Path] = ()
) -> WrittenBackup:
    """Write an archive, complete or not at all, readable for its owner only.

    An earlier backup of this name is replaced.

    Args:
        file: the archive.
        folders: what it is made of.
        box: id of the box.
        now: time of the backup.
        secrets: files that never get into it.

    Raises:
        UsageError: the file is in one of the folders, or is something else than a backup.
        OperationError: something cannot be read or written.

    """
    file = file.absolute()
    _check_place(file, folders)
    with os_errors_reported(file, "the backup cannot be written", "choose another place"):
        with _working_folder(file) as folder:
            archive = folder / _ARCHIVE
            handle = os.open(archive, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "w+b") as output:
                writer = ArchiveWriter(
                    output, box=box, time=rfc3339(now), time_s=int(now.timestamp())
                )
                backup = _Backup(writer, folder / _DATABASE, secrets)
                try:
                    backup.add_folders(folders)
                    contents = writer.finish()
                except ArchiveError as error:
                    raise OperationError(f"{file}: no backup was written: {error}") from error
                output.flush()
                os.fsync(output.fileno())
                size = output.tell()
            archive.replace(file)
        sync_folder(file.parent)
    return WrittenBackup(contents, size, tuple(backup.notices))


class _Backup:
    """Adds the files of a box to an archive; ``copy`` is where databases are copied to."""

    def __init__(self, writer: ArchiveWriter, copy: Path, secrets: Collection[Path]) -> None:
        self.notices: list[str] = []
        self._writer = writer
        self._copy = copy
        self._secrets = secrets

    def add_folders(self, folders: BoxFolders) -> None:
        """Add models, state and configuration."""
        models, state = folders.models.resolve(), folders.state.resolve()
        for folder, what in ((models, "models"), (state, "state")):
            if not folder.is_dir():
                self.notices.append(f"{folder}: there is no {what} folder")
        # the networks last: those of a model that was trained meanwhile are there then
        names = [path.name for path in models.glob("*") if path.is_dir()]
        for name in sorted(names, key=lambda name: (name.startswith("."), name)):
            self._add_models(models, name)
        self._add_files("state", state, files_below(state, without=models, secrets=self._secrets))
        if folders.config is not None:
            self._add_file(f"config/{folders.config.name}", folders.config.resolve())

    def _add_models(self, models: Path, name: str) -> None:
        """Add the models of a machine; none is written or deleted meanwhile."""
        home = models / name
        if home.is_symlink():
            self.notices.append(f"{home}: a link, which is left out")
            return
        with writing_to(home):
            self._add_files(f"models/{name}", home, files_below(home, secrets=self._secrets))

    def _add_files(self, below: str, folder: Path, found: SourceFiles) -> None:
        self.notices += [f"{each}, which is left out" for each in found.left_out]
        for name in found.files:
            # deleted meanwhile, by the daemon
            with contextlib.suppress(FileNotFoundError):
                self._add_file(f"{below}/{name.as_posix()}", folder / name)

    def _add_file(self, name: str, path: Path) -> None:
        if is_database(path):
            try:
                self._add_database(name, path)
            except DamagedDatabaseError as error:
                self.notices.append(f"{path}: is damaged ({error}), and is copied as it is")
            else:
                return
        self._add_content(name, path)

    def _add_database(self, name: str, path: Path) -> None:
        try:
            problem = copy_database(path, self._copy)
            if problem is not None:
                self.notices.append(f"{path}: is damaged ({problem}), and is copied as it is")
            self._add_content(name, self._copy)
        finally:
            for each in self._copy.parent.glob(f"{self._copy.name}*"):
                each.unlink()

    def _add_content(self, name: str, path: Path) -> None:
        with open(path, "rb", opener=open_regular) as content:
            self._writer.add(name, content, os.fstat(content.fileno()).st_size)


def _check_place(file: Path, folders: BoxFolders) -> None:
    """Check that an archive at this place harms nothing; raises UsageError."""
    models, state = folders.models.resolve(), folders.state.resolve()
    if models == state or models in state.parents:
        raise UsageError(
            f"{state}: the state folder cannot be, or be in, the models folder: correct --state or "
            "--models"
        )
    for folder in (models, state):
        if folder in file.resolve().parents:
            raise UsageError(f"{file}: this is in {folder}, which is backed up: name another place")
    if not file.exists():
        return
    try:
        with open(file, "rb", opener=open_regular) as existing:
            read_archive(existing)
    except (ArchiveError, OSError) as error:
        raise UsageError(
            f"{file}: this is there already and no intact backup: name another file, or remove it"
        ) from error


@contextmanager
def _working_folder(file: Path) -> Iterator[Path]:
    """Create a private folder beside a file, and delete it at the end.

    What interrupted backups of this file have left is deleted.  A lock tells those that are being
    written; it ends with the process.
    """
    for left in file.parent.glob(f".{glob.escape(file.name)}.*{_UNFINISHED}"):
        with contextlib.suppress(OSError), _locked(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(_UNFINISHED, f".{file.name}.", file.parent))
    try:
        with _locked(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; raises OSError where another process holds it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
