"""When a broker is connected with an older version of MQTT; pure.

MQTT 3.1.1 has no refusal of a message: where mosquitto's access rules do not permit one, it
acknowledges it like any other, so that an event counts as published which nobody has received.
The older version is therefore used only where the broker says that it does not support MQTT 5, or
where it has left several attempts in a row without an answer.  A connection that is cut before the
answer, as by a proxy whose broker has not started, is no such statement.
"""

from __future__ import annotations

from dataclasses import dataclass

from asd_monitor.publish.broker_diagnostics import EndCause

UNANSWERED_ATTEMPTS = 5
"""In a row, before the older version is tried as well."""
_NO_ATTEMPT = frozenset({EndCause.UNREACHABLE, EndCause.NOT_ATTEMPTED})


@dataclass(slots=True)
class VersionFallback:
    """What the attempts with the newest version have shown of one broker."""

    _has_answered: bool = False  # in the newest version
    _unanswered: int = 0  # attempts in a row

    def is_due(self, cause: EndCause) -> bool:
        """Note how an attempt with the newest version ended; return whether to try an older one."""
        if cause is EndCause.UNSUPPORTED_VERSION:
            return True
        if cause is EndCause.NO_ANSWER:
            self._unanswered += 1
            return not self._has_answered and self._unanswered >= UNANSWERED_ATTEMPTS
        if cause not in _NO_ATTEMPT:
            self._has_answered = True
        return False
