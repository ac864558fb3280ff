"""Checks of the configuration: its errors and notices, and the permissions of its files; pure."""

from __future__ import annotations

import shlex
import stat
import string
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.diagnosis.findings import Area, Check, Finding, divided
from asd_monitor.diagnosis.subject import ConfigurationRead
from asd_monitor.wording import count

_SETTING = frozenset(string.ascii_letters + string.digits + "._-")
"""Characters of a setting with the id of a machine, such as machines.roof-fan.device."""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file that the configuration names, or the configuration itself."""

    path: Path
    key: str  # setting that names it; "" for the configuration
    is_secret: bool
    mode: int | None  # None: there is none, or it cannot be looked at
    is_readable: bool  # by this user
    is_credential: bool = False  # that systemd passes to the service

    @property
    def is_world_readable(self) -> bool:
        """Whether every user may read it."""
        return self.mode is not None and bool(self.mode & stat.S_IROTH)


def check_configuration(
    read: ConfigurationRead, files: Sequence[FileFacts], *, is_service: bool
) -> Iterator[Finding]:
    """Yield the findings.

    Args:
        read: the result of reading it.
        files: the configuration and the files that it names.
        is_service: whether a service of another user reads it.

    """
    check = Check(Area.CONFIGURATION, "settings", str(read.path or "command line"))
    for error in read.errors:
        yield _place(error, check).failed(*_without_place(error))
    for notice in read.notices:
        yield _place(notice, check).warning(*_without_place(notice))
    if read.config is None and not read.errors:
        given = read.remedy or "give --config FILE, or --device D and --machine M"
        yield check.not_checked("no configuration was given", given)
    elif not read.errors:
        machines = count(len(read.config.machines), "machine") if read.config else ""
        yield check.ok(f"valid, {machines}")
    for file in files:
        yield from _permissions(file, is_service=is_service)


def _place(line: str, check: Check) -> Check:
    """Return the check at the place of ``file:line:column: what: remedy``."""
    place, _, _ = line.partition(": ")
    return Check(check.area, check.name, place)


def _without_place(line: str) -> tuple[str, str | None]:
    key, _, rest = line.partition(": ")[2].partition(": ")
    if not rest:
        return key, None
    if key and _SETTING.issuperset(key):  # a setting, such as machines.fan01.device
        what, remedy = divided(rest)
        return f"{key}: {what}", remedy
    return key, rest


def _permissions(file: FileFacts, *, is_service: bool) -> Iterator[Finding]:
    check = Check(Area.CONFIGURATION, "permissions", str(file.path))
    path = shlex.quote(str(file.path))
    if file.mode is None:
        return  # a missing file is an error of the configuration
    if file.mode & stat.S_IWOTH:
        yield check.failed(
            "every user may write it", f"take the permission away: `sudo chmod o-w {path}`"
        )
    elif file.is_secret and file.is_world_readable:
        yield check.warning(
            "a secret that every user may read",
            f"take the permission away: `sudo chmod o-r {path}`",
        )
    elif is_service and not file.is_credential and not file.is_world_readable:
        remedy = (
            "remove the setting, and use the credential of the unit: deploy/README.md"
            if file.is_secret
            else f"`sudo chmod a+r {path}`"
        )
        yield check.failed("the user of the service cannot read it", remedy)
    elif not file.is_readable and not (is_service and file.is_credential):
        yield check.failed(
            "this user may not read it", "run doctor as the user of the daemon, or with sudo"
        )
    else:
        yield check.ok(f"permissions {stat.filemode(file.mode)}")
