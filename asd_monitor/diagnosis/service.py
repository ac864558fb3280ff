"""Checks of the service: its unit, its state, and how it ended last; pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from asd_monitor.diagnosis.findings import Area, Check, Finding

MANY_RESTARTS = 5
_INVALID_CONFIGURATION = 2
_FREE = frozenset({"ExecStart", "Description", "Environment", "RestartSec", "After"})
"""Directives that a plant may well set otherwise."""
_NO_WATCHDOG = frozenset({"0", "infinity", ""})


@dataclass(frozen=True, slots=True)
class ServiceFacts:
    """What systemd knows of the service."""

    unit: str
    properties: Mapping[str, str]  # of `systemctl show`
    unit_text: str | None  # of its file; None: it cannot be read
    shipped_text: str | None  # of the file that belongs to this version
    process_uid: int | None  # of the daemon; None: it does not run
    log: tuple[str, ...] = ()  # last lines
    groups: tuple[str, ...] = field(default=())  # of the service

    @property
    def is_active(self) -> bool:
        """Whether it runs."""
        return self.properties.get("ActiveState") == "active"

    @property
    def pid(self) -> int | None:
        """Process of the daemon."""
        pid = int(self.properties.get("MainPID", "0") or 0)
        return pid or None

    @property
    def program(self) -> str | None:
        """The program that the unit starts."""
        found = re.search(r"path=(\S+)", self.properties.get("ExecStart", ""))
        return found[1] if found else None


def check_service(facts: ServiceFacts) -> Iterator[Finding]:
    """Yield the findings."""
    shown = facts.properties
    check = Check(Area.SERVICE, "unit", facts.unit)
    if shown.get("LoadState") != "loaded":
        yield check.failed(
            f"the unit is not installed ({shown.get('LoadState', 'unknown')})",
            "`sudo cp deploy/asd-monitor@.service /etc/systemd/system/` and "
            "`sudo systemctl daemon-reload`",
        )
        return
    if shown.get("NeedDaemonReload") == "yes":
        yield check.warning(
            "its file was changed and is not read yet",
            f"`sudo systemctl daemon-reload` and `sudo systemctl restart {facts.unit}`",
        )
    else:
        yield check.ok("installed")
    yield from _differences(facts)
    yield from _state(facts)
    yield from _watchdog(facts)
    yield from _user(facts)
    yield from _log(facts)


def _state(facts: ServiceFacts) -> Iterator[Finding]:
    shown = facts.properties
    check = Check(Area.SERVICE, "enabled", facts.unit)
    if shown.get("UnitFileState") in {"enabled", "enabled-runtime", "static"}:
        yield check.ok("starts with the computer")
    else:
        yield check.warning(
            "it does not start with the computer", f"`sudo systemctl enable {facts.unit}`"
        )
    check = Check(Area.SERVICE, "active", facts.unit)
    status, result = shown.get("ExecMainStatus", "0"), shown.get("Result", "success")
    log = f"`sudo journalctl -u {facts.unit} -n 50`"
    restarts = int(shown.get("NRestarts", "0") or 0)
    if not facts.is_active:
        if status == str(_INVALID_CONFIGURATION):
            yield check.failed(
                "it has ended with 2, an invalid configuration",
                "correct what is listed under configuration, then "
                f"`sudo systemctl start {facts.unit}`",
            )
        elif result != "success" or status != "0":
            yield check.failed(
                f"{shown.get('ActiveState')}: its last end was {result}, status {status}",
                f"{log} has the reason",
            )
        else:
            yield check.failed(
                f"{shown.get('ActiveState', 'unknown')}: it does not run",
                f"`sudo systemctl start {facts.unit}`",
            )
    elif restarts >= MANY_RESTARTS:
        yield check.warning(
            f"it was restarted {restarts} times, last after {result}, status {status}",
            f"{log} has the reason",
        )
    else:
        yield check.ok(shown.get("StatusText") or "it runs")


def _watchdog(facts: ServiceFacts) -> Iterator[Finding]:
    check = Check(Area.SERVICE, "watchdog", facts.unit)
    watchdog = facts.properties.get("WatchdogUSec", "")
    if watchdog in _NO_WATCHDOG:
        yield check.warning(
            "it has no watchdog: a daemon that stands still is not restarted",
            "add `WatchdogSec=60` to the unit",
        )
    else:
        yield check.ok(watchdog)


def _user(facts: ServiceFacts) -> Iterator[Finding]:
    check = Check(Area.SERVICE, "user", facts.unit)
    shown = facts.properties
    is_dynamic = shown.get("DynamicUser") == "yes"
    if facts.process_uid == 0 or (not is_dynamic and shown.get("User", "") in {"", "root"}):
        yield check.warning(
            "it runs as root", "use the unit of deploy/, which has a user of its own (DynamicUser)"
        )
    else:
        yield check.ok("a user of its own" if is_dynamic else shown["User"])


def _differences(facts: ServiceFacts) -> Iterator[Finding]:
    check = Check(Area.SERVICE, "unit_version", facts.unit)
    if facts.unit_text is None or facts.shipped_text is None:
        yield check.not_checked("its file cannot be read, or this installation has none to compare")
        return
    installed, shipped = directives(facts.unit_text), directives(facts.shipped_text)
    missing = [line for line in shipped if line not in installed and _name(line) not in _FREE]
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        yield check.warning(
            f"it is older than this version, or was changed: it lacks {', '.join(missing[:3])}"
            f"{more}",
            "compare it with deploy/asd-monitor@.service, copy that to /etc/systemd/system/, then "
            "`sudo systemctl daemon-reload`",
        )
    else:
        yield check.ok("as this version ships it")


def directives(text: str) -> list[str]:
    """Return the settings of a unit file, in order, without comments."""
    lines = (line.strip() for line in text.splitlines())
    return [line for line in lines if "=" in line and line[0] not in "#;"]


def _name(line: str) -> str:
    return line.partition("=")[0]


_TAKEN_OVER = "another client has connected with the client id"
_LOG_PROBLEMS = {
    _TAKEN_OVER: (
        "another daemon uses the client id of this box: the sessions end each other",
        "give each box its own `box:`, or stop one of the daemons",
    ),
    "watchdog timeout": (
        "the watchdog has ended it",
        "look at the log before: work of the daemon stood still",
    ),
    "Out of memory": (
        "the kernel has ended a process of it for lack of memory",
        "raise MemoryMax= of the unit, or monitor fewer machines",
    ),
}


def _log(facts: ServiceFacts) -> Iterator[Finding]:
    found = False
    for text, (what, remedy) in _LOG_PROBLEMS.items():
        lines = [line for line in facts.log if text.casefold() in line.casefold()]
        if lines:
            found = True
            yield Check(Area.SERVICE, "log", facts.unit).warning(
                f"{what} ({len(lines)} times in the last lines of the log)", remedy
            )
    check = Check(Area.SERVICE, "log", facts.unit)
    if not facts.log:
        yield check.not_checked(
            "its log cannot be read, or is empty", "run doctor with sudo, or in the group adm"
        )
    elif not found:
        yield check.ok("no sign of another client, the watchdog or lack of memory")
