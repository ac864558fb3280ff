"""What changes on a page that stays open."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.doubles.page_plant import ABSENT, FAULTY, HEALTHY, PagePlant
from tests.doubles.page_visitor import Visitor

if TYPE_CHECKING:
    from playwright.sync_api import Route

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

MOST_ALARM_DELAY_S = 1.0
_NOTE_ALARM = """(machine) => {
  const line = document.querySelector(`[data-machine="${machine}"] [data-field="alarm"]`);
  const note = () => {
    if (!window.shownAt && !line.hidden && line.dataset.kind === "active") {
      window.alarmShown = line.href.split("/").at(-1);
      requestAnimationFrame(() => { window.shownAt = Date.now() });
    }
  };
  new MutationObserver(note).observe(line, { attributes: true });
}"""

_OF_AN_HOUR_AGO = """() => {
  const send = (name, detail) => document.dispatchEvent(new CustomEvent(`asd-${name}`, { detail }));
  const time = new Date().toISOString();
  send("ages", { window_s: 3600, sound_s: 3600 });
  const thresholds = { warning: 2, alarm: 5 };
  send("windows", [{ time, alarm_score: 1, scales: { 10: 1 }, thresholds }]);
  send("sounds", [{ time, column_s: 0.1, highest_hz: 8000, columns: btoa("x".repeat(64)) }]);
}"""


def test_values_change_without_loading_the_page_again(ann: Visitor) -> None:
    own = f'[data-machine="{FAULTY}"]'
    for path, name in (("/", "last"), (f"/machines/{FAULTY}", "level")):
        ann.go(path)
        ann.mark()
        where = f'{own} [data-field="{name}"]'
        for _ in range(3):
            ann.page.wait_for_function(
                "([where, before]) => document.querySelector(where).innerHTML !== before",
                arg=[where, ann.page.locator(where).inner_html()],
            )
        assert ann.is_marked()


def test_an_alarm_is_seen_within_a_second_of_its_message(ann: Visitor, plant: PagePlant) -> None:
    ann.go("/")
    plant.acknowledge()
    ann.page.locator(f'[data-machine="{FAULTY}"] [data-field="alarm"]').wait_for(state="hidden")
    ann.page.evaluate(_NOTE_ALARM, FAULTY)
    ann.page.wait_for_function("() => window.shownAt")
    alarm = ann.page.evaluate("() => window.alarmShown")
    event = plant.until_event(FAULTY, alarm, "unacknowledged")
    delay_s = ann.page.evaluate("() => window.shownAt") / 1000 - plant.received_s(event)
    sys.stdout.write(f"shown {delay_s:.3f} s after its message\n")
    assert -1 < delay_s <= MOST_ALARM_DELAY_S


def test_live_sound_is_drawn(ann: Visitor) -> None:
    ann.go(f"/machines/{HEALTHY}")
    ann.page.wait_for_function(
        """() => {
          const canvas = document.getElementById("spectrogram");
          if (!canvas.width) return false;
          const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(image.data).size > 20;
        }"""
    )


def test_a_machine_without_sound_says_so(ann: Visitor) -> None:
    ann.go(f"/machines/{ABSENT}")
    for text in ("No sound has arrived yet.", "No scores yet.", "No scores in this time."):
        ann.page.get_by_text(text).wait_for()


def test_a_picture_that_stands_still_says_since_when(ann: Visitor) -> None:
    ann.go(f"/machines/{ABSENT}")
    ann.page.evaluate(_OF_AN_HOUR_AGO)
    for text in ("No sound has arrived since ", "No scores since "):
        ann.page.get_by_text(text).wait_for()


def test_a_page_without_live_values_says_how_old_it_is(ann: Visitor) -> None:
    ann.page.clock.install()
    ann.go("/alarms")
    aged = ann.page.locator("#aged")
    assert aged.is_hidden()
    ann.page.clock.fast_forward(7_200_000)  # as of a phone that slept
    aged.wait_for()
    aged.get_by_role("link").click()
    aged.wait_for(state="hidden")


def test_a_connection_that_nobody_answers_is_made_anew(ann: Visitor) -> None:
    ann.page.clock.install()
    ann.page.route("**/stream", lambda _: None)
    ann.go("/")
    ann.page.clock.run_for(10_000)
    ann.page.get_by_text("Not connected: no data since ").wait_for()
    ann.page.unroute("**/stream")
    ann.page.clock.run_for(10_000)
    ann.page.locator("#connection").wait_for(state="hidden")


def test_a_page_of_a_daemon_that_sends_nothing_says_so_until_it_does(ann: Visitor) -> None:
    def as_of_a_daemon_that_hangs(route: Route) -> None:
        answer = route.fetch()
        shown = answer.text().replace('aria-live="polite" hidden>The', 'aria-live="polite">The')
        route.fulfill(response=answer, body=shown)

    ann.page.clock.install()
    ann.page.route("**/stream", lambda _: None)
    ann.page.route(f"{ann.url}/", as_of_a_daemon_that_hangs)
    ann.go("/")
    lost = ann.page.locator("#connection")
    for _ in range(3):
        ann.page.clock.run_for(2_000)
        assert lost.inner_text().startswith("The daemon sends nothing")
    ann.page.unroute("**/stream")
    ann.page.clock.run_for(16_000)
    lost.wait_for(state="hidden")


def test_a_page_goes_on_after_a_restart_of_the_daemon(ann: Visitor, plant: PagePlant) -> None:
    ann.go(f"/machines/{HEALTHY}")
    ann.mark()
    lost = ann.page.locator("#connection")
    lost.wait_for(state="hidden")
    plant.stop()
    lost.wait_for()
    assert "no data since" in lost.inner_text()
    before = ann.page.locator('[data-field="last"] time').get_attribute("datetime")
    plant.start()
    lost.wait_for(state="hidden")
    ann.page.wait_for_function(
        """(before) => document.querySelector('[data-field="last"] time').dateTime !== before""",
        arg=before,
    )
    assert ann.is_marked()
    refused = "net::ERR_CONNECTION_REFUSED"
    incomplete = "net::ERR_INCOMPLETE_CHUNKED_ENCODING"
    ann.faults[:] = [each for each in ann.faults if refused not in each and incomplete not in each]
