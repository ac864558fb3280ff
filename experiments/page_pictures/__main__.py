"""Pictures of the page in the browser, for the documents.

    python -m experiments.page_pictures --output FOLDER

Trains models of synthetic machines, runs the daemon on their sound against a broker of its own, and
waits for an alarm of two of them.  Then Chromium pictures each kind of page as a desk and as a
telephone, light and dark.  It takes some minutes.  The history of the day before is made up.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.command_line import add_output, errors_reported, parser_of
from experiments.page_pictures.plant import ALARM, HEALTHY, SHELVED, TOKEN, UNTRAINED, Plant
from experiments.page_pictures.shots import Visitor, chromium

SEED = 11
_WHO = "ann"


def main() -> None:
    """Run the experiment."""
    parser = parser_of("page_pictures", __doc__)
    add_output(parser)
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    output: Path = options.output
    output.mkdir(parents=True, exist_ok=True)
    with (
        errors_reported("page_pictures"),
        tempfile.TemporaryDirectory(prefix="pictures-") as folder,
        chromium() as browser,
        Plant(Path(folder), options.seed) as plant,
    ):
        for file in pictures(browser, plant, output):
            sys.stdout.write(f"{file}  {file.stat().st_size / 1000:.0f} kB\n")


def pictures(browser: Any, plant: Plant, output: Path) -> list[Path]:
    """Wait for the alarms, and picture every kind of page."""
    plant.wait_for("box/hall-2/availability-of-page", "x", None) if False else None
    alarm = plant.wait_for(f"{ALARM}/alarm", "active", value=True)["id"]
    shelved = plant.wait_for(f"{SHELVED}/alarm", "active", value=True)["id"]
    plant.wait_for(f"{HEALTHY}/state", "state", "normal")
    stranger = browser.new_context()
    login = stranger.new_page()
    login.goto(plant.url)
    visitor = Visitor(browser, plant.url, TOKEN)
    page = visitor.page
    visitor.go(f"/alarms/{shelved}")
    page.get_by_text("Shelve", exact=True).first.click()
    page.locator("#shelve-who").fill(_WHO)
    page.locator("#shelve-why").fill("grinding next to it")
    page.get_by_role("button", name="Shelve").click()
    plant.wait_for(f"{SHELVED}/event", "to", "shelved")
    files = []
    visitor.go("/recordings")
    page.locator(f"#minutes-{HEALTHY}").fill("1")
    page.locator(f'form[action="/recordings/{HEALTHY}/record"] button').click()
    visitor.go(f"/alarms/{alarm}")
    page.locator("iframe.evidence").wait_for()
    page.frame_locator("iframe.evidence").locator("#sound").wait_for()
    for name, path in (
        ("glance", "/"),
        ("machine", f"/machines/{ALARM}"),
        ("machine-healthy", f"/machines/{HEALTHY}"),
        ("machine-shelved", f"/machines/{SHELVED}"),
        ("machine-untrained", f"/machines/{UNTRAINED}"),
        ("alarms", "/alarms"),
        ("alarm", f"/alarms/{alarm}"),
        ("alarm-shelved", f"/alarms/{shelved}"),
        ("evidence", f"/alarms/{alarm}/evidence/index.html"),
        ("models", "/models"),
        ("record-running", "/recordings"),
        ("message", "/machines/none"),
    ):
        visitor.go(path)
        if name.startswith("machine"):
            page.locator("#spectrogram").wait_for()
            page.wait_for_timeout(1500)
        files += visitor.shoot(output, name)
    visitor.go("/recordings")
    page.get_by_role("button", name="Train a model from these recordings").wait_for()
    files += visitor.shoot(output, "record")
    visitor.page = login
    files += visitor.shoot(output, "login")
    return files


if __name__ == "__main__":
    main()
