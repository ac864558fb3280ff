"""Whether a machine is monitored since its service has started, by what the daemon says; pure.

Two witnesses: the messages of the broker, of which those that were retained before the start are of
an earlier run, and the status line that the daemon gives systemd, which has the states alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_EVALUATED = frozenset({"idle", "normal", "warning", "alarm"})
_STATUS = re.compile(r"(\S+) (\w+) \((\w+)\)")
_FINE = "ok"

Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is known of the machine now."""

    is_monitored: bool
    text: str  # `normal, alarm score 0.3 of 3.9`, or why it is not monitored
    has_score: bool = False  # of a window since the start


@dataclass(frozen=True, slots=True)
class Received:
    """The messages of a machine: those since the start, and the retained state from before."""

    states: Sequence[Document]
    scores: Sequence[Document]
    before: Document | None = None


def seen_in_messages(
    received: Received, *, box: str, machine: str, model: str | None
) -> Sighting | None:
    """Return what the messages say; None: nothing yet.

    Args:
        received: the messages.
        box: id of this box; another one may publish a machine of the same id.
        machine: id of the machine.
        model: version that is to be in use; None: any.

    """
    newest = received.states[-1] if received.states else received.before
    if newest is None:
        return None
    of = newest.get("box")
    if of != box:
        if not received.states:
            return None
        return Sighting(
            is_monitored=False,
            text=f"the box {of} publishes a machine of the id {machine} on this broker: give each "
            "machine its own id",
        )
    scored = [each for each in received.scores if _is_number(each.get("alarm_score"))]
    used = next((each.get("model") for each in (*scored[-1:], *received.states[-1:])), None)
    if model is not None and used is not None and used != model:
        return Sighting(is_monitored=False, text=f"it uses the model {used} and not {model}")
    if scored and scored[-1].get("state") in _EVALUATED:
        return Sighting(is_monitored=True, text=_scored(scored[-1], newest), has_score=True)
    return _of_state(received.states[-1]) if received.states else None


def seen_in_status(status: str, machine: str) -> Sighting | None:
    """Return what the status line of the daemon says; None: nothing of this machine."""
    for name, state, microphone in _STATUS.findall(status):
        if name == machine:
            text = state if microphone == _FINE else f"{state} (microphone: {microphone})"
            return Sighting(is_monitored=state in _EVALUATED, text=text)
    return None


def _of_state(state: Document) -> Sighting:
    name, reason = str(state.get("state")), state.get("reason")
    microphone = state.get("microphone")
    if name in _EVALUATED:
        text = name if state.get("evaluated") else f"{name}: {reason}" if reason else name
        return Sighting(is_monitored=True, text=text)
    if reason:
        return Sighting(is_monitored=False, text=f"{name}: {reason}")
    of = "" if microphone in {_FINE, None} else f" (microphone: {microphone})"
    return Sighting(is_monitored=False, text=f"{name}{of}")


def _scored(score: Document, state: Document) -> str:
    thresholds = score.get("thresholds")
    alarm = thresholds.get("alarm") if isinstance(thresholds, Mapping) else None
    of = f" of {alarm:.1f}" if _is_number(alarm) else ""
    provisional = " (provisional)" if state.get("provisional") is True else ""
    return f"{score['state']}, alarm score {score['alarm_score']:.1f}{of}{provisional}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
