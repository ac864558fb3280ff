"""Every button of the page, pressed, and what follows on MQTT and among the models."""

from __future__ import annotations

import pytest

from tests.doubles.page_plant import FAULTY, HEALTHY, PagePlant
from tests.doubles.page_visitor import PATIENCE_MS, Visitor, expect

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_an_alarm_is_shelved_unshelved_labelled_and_marked(ann: Visitor, plant: PagePlant) -> None:
    alarm = plant.active_alarm()
    ann.go(f"/alarms/{alarm}")
    ann.submit("Shelve", who="ann", why="grinding")
    by_ann = plant.until(f"{FAULTY}/event", lambda m: (m["alarm_id"], m["who"]) == (alarm, "ann"))
    assert by_ann["to"] in ("shelved", "shelved_returned")  # the sound may be normal just now
    plant.until(f"{FAULTY}/alarm", lambda m: m["id"] == alarm and m["shelved_until"])
    ann.submit("Unshelve", who="ann", why="over")
    plant.until(
        f"{FAULTY}/alarm",
        lambda m: m["id"] == alarm and m["acknowledged"] and not m["shelved_until"],
    )
    label = ann.page.locator(".facts div", has_text="Label").locator("dd")
    for word in ("Valid", "Invalid"):
        ann.submit("Label", button=word, who="ann", why="a test")
        expect(label).to_contain_text(f"{word.lower()} ann: a test")
    ann.submit("Mark as normal", who="ann", why="new filter")
    ann.submit("Withdraw the mark as normal", who="ann", why="a mistake")
    expect(ann.page.get_by_role("group").filter(has_text="Mark as normal")).to_be_visible()


def test_an_alarm_is_acknowledged(ann: Visitor, plant: PagePlant) -> None:
    alarm = plant.active_alarm()
    ann.go("/")
    ann.page.locator(f'[data-machine="{FAULTY}"] .alarm-line').click()
    ann.page.wait_for_url(f"{plant.url}/alarms/{alarm}")
    ann.submit("Acknowledge", who="ann", why="belt replaced")
    acknowledged = plant.until(f"{FAULTY}/alarm", lambda m: m["id"] == alarm and m["acknowledged"])
    assert acknowledged["acknowledged_at"]
    asked = plant.until(f"{FAULTY}/event", lambda m: m["alarm_id"] == alarm and m["who"] == "ann")
    assert asked["why"] == "belt replaced"


def test_a_machine_is_taken_out_of_service_and_returned(ann: Visitor, plant: PagePlant) -> None:
    ann.go(f"/machines/{FAULTY}")
    ann.submit("Take out of service", who="ann", why="new bearing")
    plant.newest(f"{FAULTY}/alarm", lambda m: m["out_of_service"])
    expect(ann.page.locator("section.actions")).to_contain_text("by ann: new bearing")
    ann.submit("Return to service", who="ann", why="done")
    plant.newest(f"{FAULTY}/alarm", lambda m: not m["out_of_service"])


def test_sound_is_recorded_and_trained_and_models_are_exchanged(
    ann: Visitor, plant: PagePlant
) -> None:
    page = ann.page
    ann.go("/recordings")
    page.locator(f"#minutes-{HEALTHY}").fill("1")
    page.locator(f'form[action="/recordings/{HEALTHY}/record"] button').click()
    expect(page.get_by_role("progressbar")).to_be_visible()
    train = page.get_by_role("button", name="Train a model from these recordings")
    train.wait_for()
    expect(page.locator("#work")).to_contain_text("1 minute recorded.")
    train.click()
    done = page.locator("#work", has_text=f"{HEALTHY} v2 is trained and put into use")
    done.wait_for(timeout=2 * PATIENCE_MS)
    plant.newest(f"{HEALTHY}/state", lambda m: m["model"] == "v2")
    page.get_by_role("link", name="Report").click()
    expect(page.locator("h1").first).to_contain_text(HEALTHY)

    ann.go("/models")
    row = page.get_by_role("region", name=f"Versions of {HEALTHY}").get_by_role("row")
    own = page.locator("section", has=page.locator(f"#model-{HEALTHY}"))
    own.get_by_role("button", name="Roll back").click()
    expect(row.filter(has_text="v1")).to_contain_text("in use")
    plant.newest(f"{HEALTHY}/state", lambda m: m["model"] == "v1")
    row.filter(has_text="v2").get_by_role("button", name="Compare").click()
    expect(page.locator("#job .output")).to_contain_text("v2")
    row.filter(has_text="v2").get_by_role("button", name="Put into use").click()
    page.locator("#job", has_text=f"Putting {HEALTHY} v2 into use").locator(".outcome").wait_for()
    anyway = page.get_by_role("button", name="Put v2 into use anyway")
    if anyway.is_visible():
        anyway.click()
    expect(row.filter(has_text="v2")).to_contain_text("in use")
    plant.newest(f"{HEALTHY}/state", lambda m: m["model"] == "v2")
    own.get_by_role("button", name="Refit", exact=True).first.click()
    expect(row.filter(has_text="v3")).to_contain_text("candidate", timeout=2 * PATIENCE_MS)
    assert (plant.models / HEALTHY / "current").read_text().split()[0] == "v2"
