"""`asd-monitor box`: a backup of a box, and its restoration."""

from __future__ import annotations

import os
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated, Any

import typer

from asd_monitor.cli.command_group import CommandGroup
from asd_monitor.cli.options import AsJson, ModelsDir, StateDir, config_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from asd_monitor.backup.archive import Contents
    from asd_monitor.backup.restoring import Restored

app = CommandGroup("box", "Back up a box, and restore it.")

ArchiveFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE", help="The archive, such as hall.tar.", show_default=False, readable=False
    ),
]

_NO_SECRETS = (
    "Passwords, keys and certificates are not part of a backup: keep them where you keep secrets."
)


@app.command(short_help="Write models, state and configuration to one archive.")
def backup(
    file: ArchiveFile,
    models: ModelsDir,
    state: StateDir,
    config: Annotated[
        Path | None, config_option("Also this configuration file, as it is; it names the box.")
    ] = None,
    *,
    as_json: AsJson = False,
) -> None:
    """Write models, state (alarms, commissioning) and configuration to one archive.

    The daemon may run meanwhile.  Passwords, keys and certificates are never part of it.
    """
    from datetime import UTC, datetime

    from asd_monitor.audio.devices.device_strings import parse_device
    from asd_monitor.backup.sources import BoxFolders, secret_files
    from asd_monitor.backup.writing import write_backup
    from asd_monitor.config.loading import default_box, load_config

    settings = None if config is None else load_config(config, parse_device)
    written = write_backup(
        file,
        BoxFolders(models, state, config),
        box=default_box() if settings is None else settings.box,
        now=datetime.now(UTC),
        secrets=frozenset() if settings is None else secret_files(settings),
    )
    _print_notices(written.notices)
    document = {"file": str(file), "bytes": written.size, **_as_json(written.contents)}
    if as_json:
        _print_json(document | {"notices": list(written.notices)})
        return
    _print_contents(written.contents)
    typer.echo(f"{file}: written, {written.size / 1e6:.1f} MB.  {_NO_SECRETS}")


@app.command(short_help="Restore a backup, while no daemon runs.")
def restore(
    file: ArchiveFile,
    models: ModelsDir,
    state: StateDir,
    config: Annotated[
        Path | None, config_option("Also write the configuration of the archive to this file.")
    ] = None,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Only verify and list what is in the archive.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Restore models, state and configuration from an archive, while no daemon runs.

    Every hash is verified before anything is changed.  What was there before is kept beside it,
    under a name with `before-restore`.
    """
    from datetime import UTC, datetime

    from asd_monitor.backup.restoring import restore_backup
    from asd_monitor.backup.sources import BoxFolders
    from asd_monitor.daemon.state_lock import StateLock

    with _opened(file) as (archive, contents):
        notices = _notices(contents, config)
        if check:
            _print_notices(notices)
            if as_json:
                _print_json({"file": str(file), **_as_json(contents), "notices": notices})
            else:
                _print_contents(contents)
                typer.echo(f"{file}: intact; nothing was restored.")
            return
        lock = StateLock(state)
        try:
            stamp = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
            restored = restore_backup(
                archive, contents, BoxFolders(models, state, config), stamp=stamp
            )
        finally:
            lock.release()
    _print_notices(notices)
    if as_json:
        parts = [
            {
                "root": each.root,
                "path": str(each.path),
                "files": each.files,
                "before": None if each.before is None else str(each.before),
            }
            for each in restored
        ]
        _print_json(
            {"file": str(file), **_as_json(contents), "restored": parts, "notices": notices}
        )
        return
    _print_restored(contents, restored)


@contextmanager
def _opened(file: Path) -> Iterator[tuple[IO[bytes], Contents]]:
    """Open and verify an archive.  Raises UsageError, OperationError."""
    from asd_monitor.backup.archive import read_archive
    from asd_monitor.backup.sources import open_regular
    from asd_monitor.errors import OperationError, UsageError
    from asd_monitor.plain_tar import ArchiveError

    try:
        archive: IO[bytes] = os.fdopen(open_regular(str(file.resolve()), os.O_RDONLY), "rb")
    except FileNotFoundError as error:
        raise UsageError(f"{file}: no such file: correct the path") from error
    except OSError as error:
        raise OperationError(
            f"{file}: cannot be read ({error.strerror or error}): name an archive that this user "
            "may read"
        ) from error
    with archive:
        try:
            contents = read_archive(archive)
        except ArchiveError as error:
            raise UsageError(f"{file}: {error}: nothing was changed; use another backup") from error
        except OSError as error:
            raise OperationError(
                f"{file}: cannot be read ({error.strerror or error}): nothing was changed; copy "
                "the archive to another disk, or use another backup"
            ) from error
        yield archive, contents


def _notices(contents: Contents, config: Path | None) -> list[str]:
    from asd_monitor import __version__

    notices = []
    in_config = contents.of_root("config")
    if contents.package != __version__:
        notices.append(
            f"the backup was written by asd-monitor {contents.package}, and this is {__version__}: "
            "an older version may not read all of it"
        )
    if in_config and config is None:
        notices.append(
            f"the configuration {in_config[0].path} is in the archive: --config FILE restores it"
        )
    if config is not None and not in_config:
        notices.append("there is no configuration in the archive")
    return notices


def _as_json(contents: Contents) -> dict[str, Any]:
    return {
        "box": contents.box,
        "time": contents.time,
        "package": contents.package,
        "members": [
            {"name": each.name, "bytes": each.size, "sha256": each.sha256}
            for each in contents.members
        ],
    }


def _print_json(document: dict[str, Any]) -> None:
    from asd_monitor.cli.json_lines import print_json

    print_json(document)


def _print_notices(notices: tuple[str, ...] | list[str]) -> None:
    from asd_monitor.wording import printable

    for notice in notices:
        typer.echo(f"notice: {printable(notice)}", err=True)


def _print_contents(contents: Contents) -> None:
    from asd_monitor.backup.archive import ROOTS
    from asd_monitor.cli.console import plain_table, result_console
    from asd_monitor.wording import count, printable

    typer.echo(
        f"box {contents.box}, {printable(contents.time)}, by asd-monitor "
        f"{printable(contents.package)}: {count(len(contents.members), 'file')}"
    )
    table = plain_table("part", "files", "bytes")
    for root in ROOTS:
        members = contents.of_root(root)
        table.add_row(root, str(len(members)), str(sum(each.size for each in members)))
    result_console().print(table)


def _print_restored(contents: Contents, restored: list[Restored]) -> None:
    from asd_monitor.wording import count, printable

    typer.echo(f"The backup of box {contents.box} of {printable(contents.time)} was restored:")
    for each in restored:
        before = "" if each.before is None else f"; what was there is kept as {each.before}"
        typer.echo(printable(f"  {each.root}: {each.path}, {count(each.files, 'file')}{before}"))
    typer.echo(
        "Next: put passwords, keys and certificates into place, which are not part of a backup; "
        "start the daemon; when all is well, delete what is kept from before."
    )
