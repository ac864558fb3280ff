"""MQTT topics of one box.

A machine's or a box's id becomes one topic level, so each is checked before it is used.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.names import check_id, check_topic_prefix

_MAX_TOPIC_BYTES = 65_535  # length of an MQTT UTF-8 string


def check_topic(topic: str) -> str:
    """Return a valid topic name unchanged (MQTT 5, section 4.7).  Raises ValueError."""
    if not topic or any(c in topic for c in "+#\0") or len(topic.encode()) > _MAX_TOPIC_BYTES:
        raise ValueError(f"{topic!r} is not a valid topic name")
    return topic


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of one box.  Raises `UsageError` for an invalid prefix, box id or machine id."""

    prefix: str
    box: str

    def __post_init__(self) -> None:
        check_topic_prefix(self.prefix)
        check_id(self.box)

    @property
    def availability(self) -> str:
        """Topic of ``online`` and ``offline``, and of the will message."""
        return f"{self.prefix}/box/{self.box}/availability"

    @property
    def status(self) -> str:
        """Topic of the box status."""
        return f"{self.prefix}/box/{self.box}/status"

    @property
    def self_test(self) -> str:
        """Topic of the newest self-test."""
        return f"{self.prefix}/box/{self.box}/selftest"

    @property
    def self_test_echo(self) -> str:
        """Topic of the message that the broker has to return during a self-test."""
        return f"{self.self_test}/echo"

    @property
    def box_alarm(self) -> str:
        """Topic of the conditions of the box itself."""
        return f"{self.prefix}/box/{self.box}/alarm"

    def score(self, machine: str) -> str:
        """Topic of the window scores."""
        return self._of(machine, "score")

    def state(self, machine: str) -> str:
        """Topic of the machine state."""
        return self._of(machine, "state")

    def alarm(self, machine: str) -> str:
        """Topic of the alarm condition."""
        return self._of(machine, "alarm")

    def event(self, machine: str) -> str:
        """Topic of the transitions."""
        return self._of(machine, "event")

    def picture(self, machine: str) -> str:
        """Topic of the picture of the newest alarm."""
        return self._of(machine, "evidence/picture")

    def commands(self, machine: str) -> str:
        """Topic filter of the commands to a machine."""
        return self._of(machine, "cmd/+")

    def command_topic(self, machine: str, verb: str) -> str:
        """Topic of one command to a machine."""
        return self._of(machine, f"cmd/{verb}")

    def command(self, topic: str) -> tuple[str, str]:
        """Return machine and verb of a topic of the filter `commands`."""
        machine, _, rest = topic.removeprefix(f"{self.prefix}/").partition("/")
        return machine, rest.rpartition("/")[2]

    def response(self, machine: str, verb: str) -> str:
        """Topic of the answers to a command, unless it names another."""
        return self._of(machine, f"cmd/{verb}/response")

    def machine(self, topic: str) -> str | None:
        """Return the machine that a topic belongs to; None for those of the box."""
        below = topic.removeprefix(f"{self.prefix}/")
        machine, _, kind = below.partition("/")
        return None if below == topic or machine == "box" or not kind else machine

    def _of(self, machine: str, kind: str) -> str:
        return f"{self.prefix}/{check_id(machine)}/{kind}"
