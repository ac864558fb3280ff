"""A configuration as a systemd service: names, the text of the unit, what is in the way."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from asd_monitor.audio.devices.device_strings import DeviceKind, DeviceSpec

UNIT = "asd-monitor@.service"
_PACKAGE = Path(__file__).parents[1]
SHIPPED_UNITS = (_PACKAGE / "deploy" / UNIT, _PACKAGE.parent / "deploy" / UNIT)
"""Where the unit of this version is, in an installation and in a checkout."""
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108 - hidden by the unit
_OF_A_SESSION = (DeviceKind.PULSE, DeviceKind.DEFAULT, DeviceKind.NAME)
_EXEC_START = re.compile(r"^ExecStart=\S+", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServiceFolders:
    """Where services and their files are; below another root in tests."""

    root: Path = Path("/")

    @property
    def units(self) -> Path:
        """Units of the administrator."""
        return self.root / "etc/systemd/system"

    @property
    def configurations(self) -> Path:
        """``NAME.yaml`` and ``NAME.password`` of each instance."""
        return self.root / "etc/asd-monitor"

    def state(self, instance: str) -> Path:
        """Return the state folder of an instance, with its models."""
        return self.root / "var/lib/asd-monitor" / instance

    @property
    def has_systemd(self) -> bool:
        """Whether systemd runs (sd_booted(3))."""
        return (self.root / "run/systemd/system").is_dir()


def service_name(instance: str) -> str:
    """Return the name of the service of an instance."""
    return UNIT.replace("@.", f"@{instance}.")


def unit_text(source: str, program: Path) -> str:
    """Return the unit with this program."""
    return _EXEC_START.sub(f"ExecStart={program}", source, count=1)


def obstacle(program: Path, device: DeviceSpec) -> str | None:
    """Return why this cannot be a service as it is, with the remedy; None: it can."""
    hidden = next((each for each in _HIDDEN if program.is_relative_to(each)), None)
    if hidden is not None:
        return (
            f"the service cannot start {program}, since {hidden} is hidden from it: install "
            "asd-monitor into /opt/asd-monitor (deploy/README.md) and run setup there"
        )
    if device.kind in _OF_A_SESSION:
        return (
            f"{device} is a device of a sound server, which a service does not reach: choose the "
            "card itself (usb-path:…, usb-id:… or card-id:…)"
        )
    if device.is_file and any(device.path.is_relative_to(each) for each in _HIDDEN):
        return (
            f"the service cannot read {device.path}, which is hidden from it: move the recordings, "
            "such as to /srv"
        )
    return None
