"""Pictures of the page in the browser, for the documents.

    python -m experiments.page_pictures --output FOLDER [--documents docs]

Trains models of synthetic machines, runs the daemon on their sound against a broker of its own, and
waits for an alarm of two of them.  Then Chromium pictures each kind of page as a desk and as a
telephone, light and dark.  It takes some minutes.  The history of the day before is made up.
``--documents`` also writes those that the documents show, with few colours.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from experiments.command_line import add_output, errors_reported, parser_of
from experiments.page_pictures.plant import ABSENT, ALARM, HEALTHY, SHELVED, TOKEN, UNTRAINED, Plant
from experiments.page_pictures.shots import Visitor, chromium, shrink

SEED = 11
SHOWN = {
    "glance-desk-light": ("page-machines.png", 393),
    "machine-desk-light": ("page-machine.png", None),
    "machine-phone-dark": ("page-machine-phone.png", None),
    "alarm-desk-light": ("page-alarm.png", None),
    "models-desk-light": ("page-models.png", None),
    "record-desk-dark": ("page-record.png", None),
}
"""Pictures of the documents, with the height that is shown; None: all."""


def main() -> None:
    """Run the experiment."""
    parser = parser_of("page_pictures", __doc__)
    add_output(parser)
    parser.add_argument("--documents", type=Path, metavar="FOLDER", help="where they are shown")
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
            _report(file)
            if options.documents is not None and file.stem in SHOWN:
                name, height = SHOWN[file.stem]
                shrink(file, options.documents / name, height)
                _report(options.documents / name)


def _report(file: Path) -> None:
    sys.stdout.write(f"{file}  {file.stat().st_size / 1000:.0f} kB\n")


def pictures(browser: Any, plant: Plant, output: Path) -> list[Path]:
    """Wait for the alarms, and picture every kind of page."""
    alarm = plant.wait_for(f"{ALARM}/alarm", lambda m: m["active"])["id"]
    shelved = plant.wait_for(f"{SHELVED}/alarm", lambda m: m["active"])["id"]
    login = Visitor(browser, plant.url)
    files = login.shoot(output, "login")
    visitor = Visitor(browser, plant.url)
    visitor.log_in(TOKEN)
    page = visitor.page
    visitor.go(f"/alarms/{shelved}")
    page.get_by_text("Shelve", exact=True).first.click()
    page.locator("#shelve-who").fill("ann")
    page.locator("#shelve-why").fill("grinding next to it")
    page.get_by_role("button", name="Shelve").click()
    plant.wait_for(f"{SHELVED}/event", lambda m: m["to"] == "shelved")
    visitor.go("/recordings")
    page.locator(f"#minutes-{HEALTHY}").fill("1")
    page.locator(f'form[action="/recordings/{HEALTHY}/record"] button').click()
    plant.wait_for(f"{ALARM}/alarm", lambda m: m["evidence"])
    for name, path in (
        ("record-running", "/recordings"),
        ("glance", "/"),
        ("machine", f"/machines/{ALARM}"),
        ("machine-healthy", f"/machines/{HEALTHY}"),
        ("machine-shelved", f"/machines/{SHELVED}"),
        ("machine-absent", f"/machines/{ABSENT}"),
        ("machine-untrained", f"/machines/{UNTRAINED}"),
        ("alarms", "/alarms"),
        ("alarm", f"/alarms/{alarm}"),
        ("alarm-shelved", f"/alarms/{shelved}"),
        ("evidence", f"/alarms/{alarm}/evidence/index.html"),
        ("models", "/models"),
        ("message", "/machines/none"),
    ):
        visitor.go(path)
        if path.startswith("/machines/") and name not in ("machine-absent", "message"):
            page.locator("#no-sound").wait_for(state="hidden")
        files += visitor.shoot(output, name)
    visitor.go("/recordings")
    page.get_by_role("button", name="Train a model from these recordings").wait_for()
    return files + visitor.shoot(output, "record")


if __name__ == "__main__":
    main()
