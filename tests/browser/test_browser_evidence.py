"""The sound of an alarm, played in the sandboxed page of its evidence."""

from __future__ import annotations

import pytest

from tests.doubles.page_plant import PagePlant
from tests.doubles.page_visitor import Visitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_sound_of_an_alarm_is_played(ann: Visitor, plant: PagePlant) -> None:
    path = f"/alarms/{plant.alarm_with_evidence()}"
    ann.go(path)
    ann.page.locator("iframe.evidence").scroll_into_view_if_needed()
    frame = ann.page.frame_locator("iframe.evidence")
    frame.get_by_role("button", name="Play from the start").click()
    (inner,) = (each for each in ann.page.frames if each.url.endswith("/index.html"))
    inner.wait_for_function("() => document.getElementById('sound').currentTime > 0.2")
    assert inner.evaluate("() => document.getElementById('sound').error") is None
    assert inner.evaluate("() => document.getElementById('sound').duration") > 5
