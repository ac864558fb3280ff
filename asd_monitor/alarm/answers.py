"""Which requests of people are refused in which condition of an alarm, and what to do instead.

What is neither refused nor a transition has been done already, and succeeds without effect.
"""

from __future__ import annotations

from asd_monitor.alarm.state import OUT_OF_SERVICE, SHELVED, AlarmCondition, Trigger

_IN_SERVICE = "return the machine to service first (`alarms in-service`)"


def refusal(condition: AlarmCondition, trigger: Trigger) -> str | None:
    """Return why a person's trigger is refused in a condition, with the remedy; None: it is not."""
    if condition in OUT_OF_SERVICE and trigger in (Trigger.ACKNOWLEDGE, Trigger.SHELVE):
        return f"its machine is out of service: {_IN_SERVICE}"
    if condition in SHELVED and trigger is Trigger.ACKNOWLEDGE:
        return "it is shelved: unshelve it (`alarms unshelve`), which acknowledges it as well"
    if condition is AlarmCondition.NORMAL and trigger is Trigger.SHELVE:
        return "it is closed: there is nothing to shelve"
    return None
