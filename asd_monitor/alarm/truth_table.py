"""The transitions of an alarm as a table for people.

python -m asd_monitor.alarm.truth_table
"""

from __future__ import annotations

import sys

from asd_monitor.alarm.answers import refusal
from asd_monitor.alarm.state import ACTIVE, TRANSITIONS, AlarmCondition, Trigger

_NAMES = {
    AlarmCondition.NORMAL: "normal (A)",
    AlarmCondition.UNACKNOWLEDGED: "unacknowledged (B)",
    AlarmCondition.ACKNOWLEDGED: "acknowledged (C)",
    AlarmCondition.RETURNED: "returned to normal, unacknowledged (D)",
    AlarmCondition.LATCHED: "returned to normal, latched",
    AlarmCondition.SHELVED: "shelved (E)",
    AlarmCondition.SHELVED_RETURNED: "shelved, returned to normal (E)",
    AlarmCondition.OUT_OF_SERVICE: "out of service (G)",
    AlarmCondition.OUT_OF_SERVICE_RETURNED: "out of service, returned to normal (G)",
}
_COLUMNS = {
    "sound at the alarm threshold for the on-delay": (Trigger.ALARM, Trigger.ALARM),
    "sound worse than acknowledged": (Trigger.RE_ALARM, Trigger.RE_ALARM),
    "sound normal for the off-delay": (
        Trigger.RETURN_TO_NORMAL,
        Trigger.RETURN_TO_NORMAL_LATCHED,
    ),
    "`ack`": (Trigger.ACKNOWLEDGE, Trigger.ACKNOWLEDGE),
    "`shelve`": (Trigger.SHELVE, Trigger.SHELVE),
    "`unshelve`": (Trigger.UNSHELVE, Trigger.UNSHELVE),
    "shelving expires": (Trigger.SHELF_EXPIRED, Trigger.SHELF_EXPIRED),
    "`out-of-service`": (Trigger.TAKE_OUT_OF_SERVICE, Trigger.TAKE_OUT_OF_SERVICE),
    "`in-service`": (Trigger.RETURN_TO_SERVICE, Trigger.RETURN_TO_SERVICE),
    "not monitored any more": (Trigger.MONITORING_ENDED, Trigger.MONITORING_ENDED),
}
"""What happens, with the trigger without and with a latch."""


def truth_table() -> str:
    """Return the table in Markdown; an empty cell: nothing changes."""
    head = ["condition", "sound is abnormal", *_COLUMNS]
    lines = [head, ["---"] * len(head)]
    for condition, name in _NAMES.items():
        active = "yes" if condition in ACTIVE else "no"
        if condition is AlarmCondition.LATCHED:
            active = "no, held active"
        lines.append([name, active, *(_cell(condition, *pair) for pair in _COLUMNS.values())])
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _cell(condition: AlarmCondition, trigger: Trigger, latched: Trigger) -> str:
    if refusal(condition, trigger) is not None:
        return "refused"
    without, with_latch = (TRANSITIONS.get((condition, each)) for each in (trigger, latched))
    if without is with_latch:
        return "" if without is None else _NAMES[without]
    if with_latch is None:
        return "" if without is None else f"{_NAMES[without]} where the latch was removed"
    text = _NAMES[with_latch]
    return text if without is None else f"{text}; without latch {_NAMES[without]}"


if __name__ == "__main__":
    sys.stdout.write(truth_table())
