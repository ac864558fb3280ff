"""Where on the broker everything lies, below the prefix.

A machine's or a box's id becomes one topic level, so it is checked here once more:
no id can climb into another level or act as a wildcard.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from asd_monitor.errors import UsageError
from asd_monitor.records import ID_PATTERN

_ID = re.compile(ID_PATTERN)
_PREFIX_LEVEL = re.compile(r"[^/+#\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_PREFIX_MAX_CHARS = 200


def machine_level(machine: str) -> str:
    """Return a machine's id if it may stand as a topic level; raise UsageError otherwise."""
    if machine == "box":
        raise UsageError(
            "machine 'box': this name is taken by the topics of the box itself; choose another"
        )
    return _id_level("machine", machine)


def box_level(box: str) -> str:
    """Return a box's id if it may stand as a topic level; raise UsageError otherwise."""
    return _id_level("box", box)


def check_prefix(prefix: str) -> str:
    """Return the prefix if topics can begin with it; raise UsageError otherwise.

    It may have several levels (``works/hall2/asd``).
    """
    levels = prefix.split("/")
    if (
        len(prefix) > _PREFIX_MAX_CHARS
        or prefix.startswith("$")
        or not all(_PREFIX_LEVEL.fullmatch(level) for level in levels)
    ):
        raise UsageError(
            f"MQTT prefix {prefix!r}: use levels parted by single '/', without '+', '#' or control "
            f"characters, not beginning with '$', {_PREFIX_MAX_CHARS} characters at most, "
            "for example 'asd' or 'works/hall2/asd'"
        )
    return prefix


def check_topic(topic: str) -> str:
    """Return a topic that one can publish to; raise ValueError otherwise."""
    if not topic or any(c in topic for c in "+#\0") or len(topic.encode()) > 65535:
        raise ValueError(f"nobody can publish to the topic {topic!r}")
    return topic


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one box; construction raises UsageError for a bad prefix or box id."""

    prefix: str
    box: str

    def __post_init__(self) -> None:
        check_prefix(self.prefix)
        box_level(self.box)

    @property
    def availability(self) -> str:
        """Where ``online`` or ``offline`` stands; also the last will."""
        return f"{self.prefix}/box/{self.box}/availability"

    @property
    def status(self) -> str:
        """Where the box tells how it does."""
        return f"{self.prefix}/box/{self.box}/status"

    def score(self, machine: str) -> str:
        """Where every window's score goes."""
        return self._of(machine, "score")

    def state(self, machine: str) -> str:
        """Where the machine's state stands."""
        return self._of(machine, "state")

    def alarm(self, machine: str) -> str:
        """Where the alarm condition stands."""
        return self._of(machine, "alarm")

    def event(self, machine: str) -> str:
        """Where every transition of an alarm goes."""
        return self._of(machine, "event")

    def _of(self, machine: str, what: str) -> str:
        return f"{self.prefix}/{machine_level(machine)}/{what}"


def _id_level(kind: str, text: str) -> str:
    if not _ID.fullmatch(text):
        raise UsageError(
            f"{kind} {text!r}: use 1 to 64 letters (a-z), digits, '_', '.' and '-', "
            "beginning with a letter or digit"
        )
    return text
