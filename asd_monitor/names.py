"""Rules for ids and topic prefixes; pure.

The id of a machine or a box becomes a folder and one level of a topic.  The rules leave no
text that could leave the folder, add a topic level or act as a topic filter (MQTT 5, section 4.7).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from datetime import datetime

from asd_monitor.errors import UsageError
from asd_monitor.wording import quoted

ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"
"""Regular expression of an id, to be matched in full.  The id ``box`` is reserved."""

MAX_PREFIX_CHARS = 200
MAX_TOPIC_CHARS = 500
_MAX_SUGGESTIONS = 10
ALARM_ID_TIME_FORMAT = "%Y%m%dT%H%M%SZ"
"""Of the time in the id of an alarm, UTC."""
_ID = re.compile(ID_PATTERN)
_ALARM_ID_TIME = re.compile(r"(\d{8}T\d{6}Z)(?:\.\d+)?")
_TOPIC = re.compile(r"[^+#\x00-\x1f\x7f-\x9f\ud800-\udfff]+")
_PREFIX_LEVEL = re.compile(r"[^/+#$\s\x00-\x1f\x7f-\x9f\ud800-\udfff]+")


def is_id(text: str) -> bool:
    """Return whether a text is the id of a machine or a box."""
    return text != "box" and _ID.fullmatch(text) is not None


def time_of_alarm_id(machine: str, alarm_id: str) -> datetime | None:
    """Return the time in the id of an alarm, UTC; None: it has none."""
    found = _ALARM_ID_TIME.fullmatch(alarm_id.removeprefix(f"{machine}-"))
    if found is None:
        return None
    try:
        return datetime.strptime(f"{found[1]}+0000", f"{ALARM_ID_TIME_FORMAT}%z")
    except ValueError:
        return None


def check_id(text: str) -> str:
    """Return the id of a machine or a box unchanged.  Raises `UsageError`."""
    if text == "box":
        raise UsageError(
            "'box' cannot be an id: it is reserved for the topics of the box; choose another"
        )
    if not _ID.fullmatch(text):
        raise UsageError(
            f"{quoted(text)} cannot be an id: use up to 64 letters (a-z, A-Z), digits, '_', '.' "
            "and '-', the first a letter or digit"
        )
    return text


def unknown_machine(machine: str, known: Collection[str], where: object) -> UsageError:
    """Return the error that ``where`` (a file, a folder) has no such machine, with a suggestion."""
    return UsageError(f"{where}: there is no machine {machine}: {suggest_machine(machine, known)}")


def suggest_machine(machine: str, known: Collection[str]) -> str:
    """Return which of the known machines was probably meant, or which ones there are."""
    if similar := similar_machine(machine, known):
        return f"did you mean {similar}?"
    if not known:
        return "there are no machines yet"
    shown = sorted(known)[:_MAX_SUGGESTIONS]
    more = ", …" if len(known) > len(shown) else ""
    return f"choose one of {', '.join(shown)}{more}"


def similar_machine(machine: str, known: Collection[str]) -> str | None:
    """Return the known machine whose id is most similar, None where none is."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(machine.lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def check_topic_name(text: str) -> str:
    """Return the name of one topic unchanged (MQTT 5, section 4.7).  Raises `UsageError`.

    That of a shared subscription (section 4.8.2) is none: its messages come on another topic.
    """
    if len(text) > MAX_TOPIC_CHARS or not _TOPIC.fullmatch(text) or text.startswith("$share/"):
        raise UsageError(
            f"{quoted(text)} cannot be a topic: use 1 to {MAX_TOPIC_CHARS} characters, without "
            "control characters, without '+' and '#' and without '$share/' at the begin (one "
            "topic, not a filter), such as 'plc/fan01'"
        )
    return text


def check_topic_prefix(text: str) -> str:
    """Return the prefix of all topics unchanged; it may have levels.  Raises `UsageError`."""
    if len(text) > MAX_PREFIX_CHARS or not all(map(_PREFIX_LEVEL.fullmatch, text.split("/"))):
        raise UsageError(
            f"{quoted(text)} cannot be a topic prefix: use at most {MAX_PREFIX_CHARS} characters, "
            "levels separated by single '/', without spaces, control characters, '+', '#' and '$', "
            "such as 'asd' or 'works/hall2/asd'"
        )
    return text
