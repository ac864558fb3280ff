"""What messages and the status line say about whether a machine is monitored."""

from __future__ import annotations

from typing import Any

import pytest

from asd_monitor.guided_setup.first_window import (
    Received,
    Sighting,
    seen_in_messages,
    seen_in_status,
)

STATE = {"state": "normal", "microphone": "ok", "evaluated": True, "box": "edge-07", "model": "v2"}
SCORE = {"state": "normal", "alarm_score": 0.26, "thresholds": {"alarm": 3.9}, "model": "v2"}
ABSENT = {**STATE, "state": "unavailable", "microphone": "no_device", "evaluated": False}


def seen(*states: Any, scores: Any = (), before: Any = None) -> Sighting | None:
    received = Received(states, scores, before)
    return seen_in_messages(received, box="edge-07", machine="fan01", model="v2")


def text_of(*states: Any, **others: Any) -> tuple[bool, str]:
    found = seen(*states, **others)
    assert found is not None
    return found.is_monitored, found.text


def test_a_window_since_the_start_is_reported_with_its_threshold() -> None:
    provisional = {**STATE, "provisional": True}
    assert seen(provisional, scores=[SCORE]) == Sighting(
        is_monitored=True, text="normal, alarm score 0.3 of 3.9 (provisional)", has_score=True
    )
    assert seen(scores=[SCORE], before=STATE) == Sighting(  # a reload changes no state
        is_monitored=True, text="normal, alarm score 0.3 of 3.9", has_score=True
    )


def test_what_an_earlier_run_has_left_says_nothing() -> None:
    assert seen(before=STATE) is None
    assert seen(before=ABSENT) is None


def test_a_state_says_why_the_machine_is_not_monitored() -> None:
    assert text_of({**ABSENT, "reason": "no such card: plug it in"}) == (
        False,
        "unavailable: no such card: plug it in",
    )
    assert text_of({**ABSENT, "state": "no_model", "microphone": "ok"}) == (False, "no_model")
    assert text_of(STATE, ABSENT)[0] is False  # the newest one counts


def test_a_state_suffices_where_no_score_is_published() -> None:
    assert seen(STATE) == Sighting(is_monitored=True, text="normal")
    idle = {**STATE, "state": "idle", "evaluated": False, "reason": "plc/fan01 says off"}
    assert seen(idle) == Sighting(is_monitored=True, text="idle: plc/fan01 says off")


def test_a_model_that_is_replaced_is_not_taken_for_the_new_one() -> None:
    for found in (
        text_of(STATE, scores=[{**SCORE, "model": "v1"}]),
        text_of({**STATE, "model": "v1"}),
    ):
        assert found == (False, "it uses the model v1 and not v2")
    assert text_of({**STATE, "model": "v1"}, scores=[SCORE])[0] is True


def test_the_machine_of_another_box_is_not_taken_for_this_one() -> None:
    other = {**STATE, "box": "edge-08"}
    assert seen(scores=[SCORE], before=other) is None
    monitored, text = text_of(other, scores=[SCORE])
    assert not monitored
    assert "the box edge-08 publishes a machine of the id fan01" in text


@pytest.mark.parametrize(
    "damaged", [{}, {"alarm_score": None}, {**SCORE, "alarm_score": "1"}, {"alarm_score": True}]
)
def test_a_score_without_a_number_is_none(damaged: Any) -> None:
    assert seen(scores=[damaged], before=STATE) is None


def test_the_status_line_of_the_service_names_each_machine() -> None:
    status = "fan01 normal (ok), fan010 unavailable (no_device), pump02 warning (degraded)"
    assert seen_in_status(status, "fan01") == Sighting(is_monitored=True, text="normal")
    assert seen_in_status(status, "fan010") == Sighting(
        is_monitored=False, text="unavailable (microphone: no_device)"
    )
    assert seen_in_status(status, "pump02") == Sighting(
        is_monitored=True, text="warning (microphone: degraded)"
    )
    for other in ("reloading", "", "pump normal (ok)"):
        assert seen_in_status(other, "fan01") is None
