"""Facts of the service: what systemd, its log and its file say."""

from __future__ import annotations

import re
from pathlib import Path

from asd_monitor.diagnosis.programs import output_of
from asd_monitor.diagnosis.service import ServiceFacts
from asd_monitor.guided_setup.service_unit import SHIPPED_UNITS

LOG_LINES = 2000
_PROPERTIES = (
    "LoadState,UnitFileState,ActiveState,SubState,Result,ExecMainStatus,ExecMainCode,NRestarts,"
    "WatchdogUSec,User,DynamicUser,SupplementaryGroups,FragmentPath,StatusText,MainPID,"
    "NeedDaemonReload,ExecStart,LimitNOFILE,MemoryMax,CPUQuotaPerSecUSec"
)
_MAX_UNIT_BYTES = 100_000


def read_service(unit: str, *, proc: Path = Path("/proc")) -> ServiceFacts | None:
    """Return what is known of a service; None where systemd does not run here."""
    shown = output_of(["systemctl", "show", unit, f"--property={_PROPERTIES}"])
    if shown is None:
        return None
    properties = properties_of(shown)
    path = properties.get("FragmentPath")
    return ServiceFacts(
        unit=unit,
        properties=properties,
        unit_text=_text(Path(path)) if path else None,
        shipped_text=next(
            (text for each in SHIPPED_UNITS if (text := _text(each)) is not None), None
        ),
        process_uid=_owner(proc, properties.get("MainPID", "0")),
        log=read_log(unit),
        groups=tuple(properties.get("SupplementaryGroups", "").split()),
    )


def properties_of(shown: str) -> dict[str, str]:
    """Return the properties that `systemctl show` prints."""
    lines = (line.partition("=") for line in shown.splitlines() if "=" in line)
    return {name: value for name, _, value in lines}


def read_log(unit: str) -> tuple[str, ...]:
    """Return the last lines of the log of a unit; none where it cannot be read."""
    shown = output_of(
        [
            "journalctl",
            "--unit",
            unit,
            "--lines",
            str(LOG_LINES),
            "--no-pager",
            "--output=short-iso",
        ]
    )
    lines = (shown or "").splitlines()
    return tuple(line for line in lines if not line.startswith("-- "))


def _owner(proc: Path, pid: str) -> int | None:
    if pid in {"0", ""}:
        return None
    found = re.search(r"^Uid:\s+(\d+)", _text(proc / pid / "status") or "", re.MULTILINE)
    return int(found[1]) if found else None


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes()[:_MAX_UNIT_BYTES].decode(errors="replace")
    except OSError:
        return None
