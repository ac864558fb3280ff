"""Ids and topics under which Home Assistant knows the machines and the box.

The object id of a device is ``asd-<box>-<machine>``, that of the box ``asd-<box>-box``: ``box`` is
the id of no machine.  Home Assistant accepts letters, digits, ``_`` and ``-`` there.  What else an
id may have is escaped, and in the id of a machine the separator ``-`` too, so that no two devices
have the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from asd_monitor.names import check_id

BOX = "box"

_ESCAPED_IN_BOX = re.compile(r"[^A-Za-z0-9-]")
_ESCAPED_IN_MACHINE = re.compile(r"[^A-Za-z0-9]")


@dataclass(frozen=True, slots=True)
class Identifiers:
    """The ids and topics of one box.

    Args:
        discovery_prefix: Beginning of the topics of the discovery.
        box: Id of the box.

    Raises:
        UsageError: The id is none.

    """

    discovery_prefix: str
    box: str

    def __post_init__(self) -> None:
        check_id(self.box)

    @property
    def box_device(self) -> str:
        """Object id of the box."""
        return f"asd-{_ESCAPED_IN_BOX.sub(_escaped, self.box)}-{BOX}"

    def machine_device(self, machine: str) -> str:
        """Object id of a machine.  Raises `UsageError` where its id is none."""
        encoded = _ESCAPED_IN_MACHINE.sub(_escaped, check_id(machine))
        return f"{self.box_device.removesuffix(BOX)}{encoded}"

    def config_topic(self, device: str) -> str:
        """Topic of the discovery of a device, by its object id."""
        return f"{self.discovery_prefix}/device/{device}/config"

    @property
    def birth_topic(self) -> str:
        """Topic on which Home Assistant publishes ``online`` when it has started."""
        return f"{self.discovery_prefix}/status"


def _escaped(found: re.Match[str]) -> str:
    return f"_{ord(found[0]):02x}"
