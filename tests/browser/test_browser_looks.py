"""Every kind of page for all eyes, keyboards and widths, light and dark."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING, Any

import pytest

from tests.doubles.page_plant import ABSENT, FAULTY, HEALTHY, PagePlant
from tests.doubles.page_visitor import DESK, NARROW, PHONE, Visitor, visitor

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

KINDS = (
    *("/", f"/machines/{HEALTHY}", f"/machines/{FAULTY}", "/alarms", "/alarms/ALARM"),
    *("/alarms/ALARM/evidence/index.html", "/models", "/recordings", "/models/fan01/v1/report"),
    f"/machines/{ABSENT}",
)
MOST_STEPS = 120
OWN_FOCUS = ("IFRAME", "AUDIO")  # what is in them has the focus
_STEP = """() => {
  const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
  const isSeen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0;
  at.dataset.reached = "yes";
  return [at.tagName, at.outerHTML.slice(0, 120), isSeen && box.width > 0];
}"""
_MISSED = """() => [...document.querySelectorAll("button, summary, input, select, a[href], audio")]
  .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.disabled)
  .filter((each) => each.type !== "hidden" && !each.dataset.reached)
  .map((each) => each.outerHTML.slice(0, 120))"""


def address(kind: str, plant: PagePlant) -> str:
    return kind.replace("ALARM", plant.alarm_with_evidence()) if "ALARM" in kind else kind


def violations(found: Visitor) -> list[str]:
    """Return what axe-core finds on the page that is serious or critical."""
    results: list[dict[str, Any]] = found.page.evaluate(
        "async () => (await axe.run({ iframes: false, resultTypes: ['violations'] })).violations"
    )
    return [
        f"{each['id']}: {node['html'][:150]} {node['failureSummary'][:300]}"
        for each in results
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


def look_everywhere(found: Visitor) -> None:
    script = resources.files("axe_playwright_python") / "axe.min.js"
    found.page.evaluate(script.read_text())
    for size, scheme in ((DESK, "light"), (PHONE, "dark")):  # colours differ by scheme alone
        found.look(size, scheme)
        assert not violations(found), f"{size} {scheme}"
    for size in (DESK, NARROW):
        found.look(size, "light")
        assert found.page.evaluate("() => document.documentElement.scrollWidth") <= size[0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_is_for_all_eyes_and_widths(ann: Visitor, plant: PagePlant, kind: str) -> None:
    ann.go(address(kind, plant))
    ann.page.evaluate(
        "() => document.querySelectorAll('details').forEach((each) => each.open = true)"
    )
    look_everywhere(ann)


def test_the_form_for_the_token_is_for_all_eyes_and_widths(
    chromium: Browser, plant: PagePlant
) -> None:
    stranger = visitor(chromium, plant.url)
    stranger.go("/login")
    look_everywhere(stranger)
    stranger.page.context.close()
    assert not stranger.faults


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_reached_by_keyboard_with_a_visible_focus(
    ann: Visitor, plant: PagePlant, kind: str
) -> None:
    ann.go(address(kind, plant))
    ann.page.evaluate(
        "() => document.querySelectorAll('details').forEach((each) => each.open = true)"
    )
    for _ in range(MOST_STEPS):
        ann.page.keyboard.press("Tab")
        name, text, is_seen = ann.page.evaluate(_STEP)
        if name == "BODY":
            break
        assert is_seen or name in OWN_FOCUS, text
    assert ann.page.evaluate(_MISSED) == []
