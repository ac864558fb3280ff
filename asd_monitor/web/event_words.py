"""What the page says of a change of an alarm; pure."""

from __future__ import annotations

from asd_monitor.alarm.state import NEW_ALARM, OUT_OF_SERVICE, SHELVED, AlarmCondition

_WORDS = {
    AlarmCondition.UNACKNOWLEDGED: "Raised",
    AlarmCondition.ACKNOWLEDGED: "Acknowledged",
    AlarmCondition.LATCHED: "Sound normal again",
    AlarmCondition.RETURNED: "Over, not acknowledged",
    AlarmCondition.NORMAL: "Closed",
    AlarmCondition.SHELVED: "Shelved",
    AlarmCondition.SHELVED_RETURNED: "Shelved, sound normal again",
    AlarmCondition.OUT_OF_SERVICE: "Out of service",
    AlarmCondition.OUT_OF_SERVICE_RETURNED: "Out of service, sound normal again",
}
_BY_SOUND = {  # before and after: nobody has shelved or acknowledged it then
    (AlarmCondition.ACKNOWLEDGED, AlarmCondition.UNACKNOWLEDGED): "Raised again",
    (AlarmCondition.LATCHED, AlarmCondition.UNACKNOWLEDGED): "Sound abnormal again",
    (AlarmCondition.SHELVED, AlarmCondition.SHELVED_RETURNED): "Sound normal again, still shelved",
    (AlarmCondition.SHELVED_RETURNED, AlarmCondition.SHELVED): "Sound abnormal again, shelved",
    (
        AlarmCondition.OUT_OF_SERVICE,
        AlarmCondition.OUT_OF_SERVICE_RETURNED,
    ): "Sound normal again, out of service",
    (
        AlarmCondition.OUT_OF_SERVICE_RETURNED,
        AlarmCondition.OUT_OF_SERVICE,
    ): "Sound abnormal again, out of service",
}


def event_words(before: str, after: str) -> str:
    """Return the words of a change between two conditions; one that is not known as it is."""
    try:
        was, becomes = AlarmCondition(before), AlarmCondition(after)
    except ValueError:
        return after.replace("_", " ").capitalize()
    if becomes is AlarmCondition.UNACKNOWLEDGED and was in SHELVED:
        return "Shelving over, not acknowledged"
    if becomes is AlarmCondition.UNACKNOWLEDGED and was in OUT_OF_SERVICE:
        return "In service again, not acknowledged"
    if becomes is AlarmCondition.UNACKNOWLEDGED and was in NEW_ALARM:
        return "Raised"
    if becomes is AlarmCondition.ACKNOWLEDGED and was in SHELVED:
        return "Unshelved, acknowledged"
    return _BY_SOUND.get((was, becomes), _WORDS[becomes])
