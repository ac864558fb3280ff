"""Writes what `setup` leaves: the configuration, and the service of it."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from asd_monitor.cli.configuration import read_for_run
from asd_monitor.cli.service_folders import service_environment
from asd_monitor.config.loading import ConfigError
from asd_monitor.config.settings import Config
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.extras import WEB, is_installed
from asd_monitor.guided_setup.configuration_edit import (
    BrokerEntry,
    MachineEntry,
    MachineExistsError,
    add_machine,
    new_configuration,
)
from asd_monitor.guided_setup.service_unit import (
    SHIPPED_UNITS,
    UNIT,
    ServiceFolders,
    service_name,
    unit_text,
)
from asd_monitor.model_store.atomic_files import os_errors_reported, sync_folder
from asd_monitor.private_files import create_private_file, write_private_file

_REMEDY = "choose another file with --config, or run setup as a user who may write there"
_SYSTEMCTL_LIMIT_S = 120.0
_PAGE = "127.0.0.1:9464"


@dataclass(frozen=True, slots=True)
class PreparedConfiguration:
    """A configuration that was checked and is not written."""

    path: Path
    before: bytes | None  # None: there is no file
    text: str
    config: Config

    @property
    def is_new(self) -> bool:
        """Whether there is no file yet."""
        return self.before is None

    @property
    def is_changed(self) -> bool:
        """Whether the file has to be written."""
        return self.before != self.text.encode()


def prepare_configuration(
    path: Path, entry: MachineEntry, broker: BrokerEntry
) -> PreparedConfiguration:
    """Return a new configuration with the machine, or the file there with the machine added.

    A new one has the page, for this computer alone, where the page is installed.

    Raises:
        MachineExistsError: the file there has the machine already, with another device.
        UsageError: it is malformed.
        OperationError: it cannot be read, or nothing can be written there.

    """
    before = _content(path)
    if before is None:
        text = first_configuration(broker, entry)
    else:
        try:
            text = add_machine(before.decode("utf-8-sig"), entry)
        except MachineExistsError as error:
            raise MachineExistsError(f"{path}: {error}") from error
        except (UsageError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}") from error
    with os_errors_reported(path.parent, "the configuration cannot be written", _REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        with _checked_text(path, text) as config:
            return PreparedConfiguration(path, before, text, config)


def first_configuration(broker: BrokerEntry, entry: MachineEntry) -> str:
    """Return the text of a new configuration, with the page where that is installed."""
    return new_configuration(broker, entry, _PAGE if is_installed(WEB) else None)


def check_machine(path: Path, entry: MachineEntry) -> None:
    """Check that the file there, if any, has no machine of this id with another device.

    Raises `MachineExistsError`; what else is wrong with the file `prepare_configuration` says.
    """
    before = _content(path)
    try:
        add_machine("" if before is None else before.decode("utf-8-sig"), entry)
    except MachineExistsError:
        raise
    except (UsageError, UnicodeDecodeError):
        return


@contextmanager
def changing(path: Path) -> Iterator[None]:
    """Let one `setup` at a time change the configurations in the folder of a file.

    The lock ends with the process, however it ends.

    Raises:
        OperationError: the folder cannot be opened.

    """
    with os_errors_reported(path.parent, "the configuration cannot be written", _REMEDY):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_configuration(prepared: PreparedConfiguration) -> Path | None:
    """Write the file atomically; return the backup of the one before, if there was one.

    Raises:
        OperationError: it cannot be written, or has changed since it was read.

    """
    path, backup = prepared.path, None
    if not prepared.is_changed:
        return None
    with os_errors_reported(path, "the configuration cannot be written", _REMEDY):
        if _content(path) != prepared.before:
            raise OperationError(f"{path}: it was changed meanwhile: run setup again")
        if prepared.before is None:
            _replace(path, prepared.text.encode(), 0o644)
        else:
            backup = _free_backup(path)
            shutil.copy2(path, backup)
            real = path.resolve()  # a link stays one
            _replace(real, prepared.text.encode(), real.stat().st_mode, owner=real.stat())
    return backup


def _replace(path: Path, data: bytes, mode: int, owner: os.stat_result | None = None) -> None:
    """Write or replace a file atomically, complete with its mode and its owner.  Raises OSError.

    A service may read it at any instant.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        write_private_file(partial, data)
        if owner is not None:
            with suppress(PermissionError):  # only root can keep the file of another user theirs
                os.chown(partial, owner.st_uid, owner.st_gid)
        partial.chmod(mode & 0o7777)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def _checked_text(path: Path, text: str) -> Iterator[Config]:
    """Yield the configuration of a text as `run` reads it at this path."""
    trial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        create_private_file(trial)
        trial.write_text(text, encoding="utf-8")
        yield read_for_run(trial, environ=service_environment(path)).config
    except ConfigError as error:
        problems = [each.replace(str(trial), str(path)) for each in error.problems]
        raise ConfigError(problems) from error
    finally:
        trial.unlink(missing_ok=True)


def _content(path: Path) -> bytes | None:
    with os_errors_reported(path, "the configuration cannot be read", _REMEDY):
        try:
            return path.read_bytes()
        except FileNotFoundError:
            return None


def _free_backup(path: Path) -> Path:
    stem = f"{path.name}.{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    number, backup = 1, path.with_name(f"{stem}.bak")
    while backup.exists():
        number += 1
        backup = path.with_name(f"{stem}-{number}.bak")
    return backup


def this_program() -> Path:
    """Return the program that runs, as a unit can start it."""
    called = Path(sys.argv[0])
    if called.name == "asd-monitor" and called.is_file():
        return called.resolve()
    return Path(sys.executable).with_name("asd-monitor")


def unit_source() -> Path:
    """Return the unit of the package.

    Raises:
        OperationError: it is missing.

    """
    for path in SHIPPED_UNITS:
        if path.is_file():
            return path
    raise OperationError(f"{UNIT}: missing from this installation: install it again")


def install_password(folders: ServiceFolders, instance: str, source: Path) -> Path:
    """Copy a password to where the unit passes it to the service; return the copy.

    Raises:
        OperationError: there is another one, or it cannot be copied.

    """
    target = folders.configurations / f"{instance}.password"
    with os_errors_reported(target, "the password cannot be copied", _REMEDY):
        content = source.read_bytes()
        if target.exists():
            if target.read_bytes() != content:
                raise OperationError(f"{target}: it has another password: replace it yourself")
            return target
        target.parent.mkdir(parents=True, exist_ok=True)
        _replace(target, content, 0o600)
    return target


def install_service(folders: ServiceFolders, instance: str, program: Path) -> list[str]:
    """Install the unit where it is missing, start the service; return what was done.

    Raises:
        OperationError: a step failed.

    """
    done = []
    target = folders.units / UNIT
    text = unit_text(unit_source().read_text(encoding="utf-8"), program)
    with os_errors_reported(target, "the unit cannot be written", "run setup as root"):
        if not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, text.encode(), 0o644)
            done.append(f"wrote {target}")
        elif target.read_text(encoding="utf-8") != text:
            done.append(f"left {target} as it is, which differs from that of this version")
    name = service_name(instance)
    _systemctl("daemon-reload")
    if _is_active(name):
        _systemctl("reload", name)
        done.append(f"reloaded {name}, which was active")
    else:
        _systemctl("enable", "--now", name)
        done.append(f"enabled and started {name}")
    return done


def give_to_service(folders: ServiceFolders, instance: str) -> None:
    """Give what root has written into the state folder of a service to the user of that.

    Its user has to pass the folder above, which root may have made with a strict umask.
    """
    state = folders.state(instance)
    if os.geteuid() != 0 or not state.is_dir():
        return
    state.parent.chmod(state.parent.stat().st_mode | 0o755)
    owner = state.stat()
    if owner.st_uid == 0:
        return  # systemd does it when the service starts for the first time
    for folder, folders_there, files in os.walk(state):  # one that is removed meanwhile is left out
        for name in (*folders_there, *files):
            path = Path(folder, name)
            with suppress(FileNotFoundError):  # the running daemon removes files meanwhile
                if path.lstat().st_uid == 0:
                    os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


def _is_active(name: str) -> bool:
    command = ["systemctl", "is-active", "--quiet", name]
    return _run(command).returncode == 0


def _systemctl(*arguments: str) -> None:
    command = ["systemctl", *arguments]
    done = _run(command)
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        unit = f" -u {arguments[-1]}" if len(arguments) > 1 else ""
        raise OperationError(
            f"`{' '.join(command)}` failed ({reason[0]}): `journalctl{unit} -n 50` says why"
        )


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            check=False,
            timeout=_SYSTEMCTL_LIMIT_S,
            capture_output=True,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OperationError(f"`{' '.join(command)}` failed ({error}): run it yourself") from error
