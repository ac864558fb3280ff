import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from asd_monitor.publish.messages import read


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "asd_monitor", "demo", "--output", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"HOME": str(folder.parent), "COLUMNS": "100"},
    )


def words(picture: Path) -> list[str]:
    """Return the lines of text in a picture of the display, without numbers."""
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", picture.read_text("utf-8"))
    return [re.sub(r"[\d.:]+", "", text).strip() for text in texts if re.search("[a-z]{2}", text)]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_alarm_is_raised_and_all_files_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "shown"
    shown = demo(folder)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "ALARM at" in shown.stdout
    steps = re.findall(r"^  (\w.*) … (\d+) %$", shown.stdout, re.MULTILINE)
    assert [percent for _, percent in steps] == sorted((p for _, p in steps), key=int)
    assert {"extracting features", "fitting", "checking"} <= {step for step, _ in steps}
    assert re.search(r"Reason: .* \(alarm score at least ", " ".join(shown.stdout.split()))
    assert "alarms show demo01-" in shown.stdout
    assert "alarms ack demo01-" in shown.stdout
    for kept in ("normal/normal-1.flac", "growing-fault.flac", "display.svg", "run.log"):
        assert (folder / kept).stat().st_size > 0, kept
    picture = Path(__file__).parents[2] / "docs" / "demo.svg"
    assert words(folder / "display.svg") == words(picture), f"copy display.svg to {picture}"
    assert list((folder / "models" / "demo01").glob("*/report.html"))
    lines = [json.loads(line) for line in (folder / "mqtt.jsonl").read_text().splitlines()]
    topics = {line["topic"] for line in lines}
    names = ("score", "state", "alarm", "event")
    assert {f"asd/demo01/{name}" for name in names} <= topics
    for line in lines:
        if isinstance(line["payload"], dict):
            read(json.dumps(line["payload"]).encode())
    assert [line["payload"] for line in lines if line["topic"].endswith("availability")] == [
        "online",
        "offline",
    ]


def test_an_unknown_family_is_wrong_usage(tmp_path: Path) -> None:
    refused = demo(tmp_path / "shown", "--family", "rocket")
    assert refused.returncode == 2
    assert "choose one of fan" in refused.stderr
    assert "Traceback" not in refused.stderr
