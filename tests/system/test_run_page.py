"""`asd-monitor run` with its page: live values, buttons, and what happens when it fails."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import time
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

import pytest

from tests.doubles.mosquitto import Mosquitto, Subscriber
from tests.doubles.page_browser import LiveEvents, PageBrowser, free_port
from tests.doubles.run_process import BrokerMessages, RunProcess

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PAGES = 10


def start(
    folder: Path,
    trained: Path,
    broker: Mosquitto,
    port: int,
    *,
    device: str,
    speed: float = 1.0,
    models: Path | None = None,
) -> RunProcess:
    config = folder / "edge.yaml"
    config.write_text(
        f"version: 1\nbox: edge\nmqtt: {{port: {broker.port}}}\n"
        f"http: {{listen: '127.0.0.1:{port}'}}\nselftest: off\n"
        f"machines: {{fan01: {{device: 'file:{trained}/{device}'}}}}\n"
    )
    return RunProcess(
        folder,
        *("--config", config, "--models", models or trained / "models"),
        *("--state", folder / "state"),
        *("--speed", speed),
    )


def children(pid: int) -> list[int]:
    """Return the ids of the child processes of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def page_pid(run: RunProcess) -> int:
    """Return the id of the process of the page."""
    for child in children(run.process.pid):
        if b"asd_monitor.web.child" in Path(f"/proc/{child}/cmdline").read_bytes():
            return child
    raise AssertionError(f"no page: {run.log}")


def stop_service(run: RunProcess) -> None:
    """Send SIGTERM to all processes, as systemd does where it stops a service."""
    page = page_pid(run)
    for pid in (*children(page), page, run.process.pid):
        os.kill(pid, signal.SIGTERM)


def test_an_alarm_is_shown_within_a_second_and_acknowledged_by_its_button(
    tmp_path: Path, trained: Path, mosquitto: Mosquitto
) -> None:
    port = free_port()
    browser = PageBrowser(port)
    device = "fault.flac?loop"
    with (
        Subscriber(mosquitto.port) as subscriber,
        start(tmp_path, trained, mosquitto, port, device=device, speed=2) as run,
        ExitStack() as pages,
    ):
        messages = BrokerMessages(subscriber)
        browser.until("/", "/machines/fan01")
        events = pages.enter_context(LiveEvents(port, "/stream"))
        live = pages.enter_context(LiveEvents(port, "/machines/fan01/stream"))
        for _ in range(PAGES - 2):
            pages.enter_context(LiveEvents(port, "/machines/fan01/stream"))
        alarm = messages.until("fan01/alarm", lambda m: m["active"], run)
        published_s = time.time()
        assert events.wait_for("machines", '"kind": "active"') < published_s + 1
        live.wait_for("sounds", '"columns"')
        live.wait_for("windows", '"alarm_score"')
        page = f"/alarms/{alarm['id']}"
        browser.until(page, "<iframe")
        assert browser.get(f"{page}/evidence/index.html")[0] == 200
        shown = browser.submit(page, f"{page}/ack", who="ann", why="belt")
        assert "<b>Done.</b>" in shown
        acknowledged = messages.until("fan01/alarm", lambda m: m["acknowledged"], run)
        assert acknowledged["id"] == alarm["id"]
        shown = browser.submit(page, f"{page}/shelve", who="ann", why="grinding", hours="8")
        assert "<b>Done.</b>" in shown
        shelved = messages.until("fan01/alarm", lambda m: m["shelved_until"], run)
        until = datetime.fromisoformat(shelved["shelved_until"])
        assert 7.9 * 3600 < until.timestamp() - time.time() <= 8 * 3600
        browser.submit(page, f"{page}/unshelve", who="ann")
        messages.until("fan01/alarm", lambda m: m["acknowledged"] and not m["shelved_until"], run)
        browser.submit(page, f"{page}/label", who="ann", label="valid")
        browser.until(page, "valid <small>ann")
        machine = "/machines/fan01"
        browser.submit(machine, f"{machine}/out-of-service", who="ann", why="bearing")
        messages.until("fan01/alarm", lambda m: m["out_of_service"], run)
        browser.submit(machine, f"{machine}/in-service", who="ann")
        messages.until(
            "fan01/event", lambda m: (m["from"], m["to"]) == ("out_of_service", "in_service"), run
        )
        browser.until("/readyz", "ok")
        metrics = browser.get("/metrics")[1]
        assert 'asd_count_total{component="sound",counter="skipped_windows"} 0.0' in metrics
        assert 'asd_machine_state{machine="fan01"' in metrics


def test_a_page_that_is_killed_is_started_again_and_ends_with_the_daemon(
    tmp_path: Path, trained: Path, mosquitto: Mosquitto
) -> None:
    port = free_port()
    browser = PageBrowser(port)
    with (
        Subscriber(mosquitto.port) as subscriber,
        start(tmp_path, trained, mosquitto, port, device="calm.flac?loop") as run,
    ):
        messages = BrokerMessages(subscriber)
        browser.until("/", "/machines/fan01")
        first = page_pid(run)
        assert os.getpriority(os.PRIO_PROCESS, first) > os.getpriority(
            os.PRIO_PROCESS, run.process.pid
        )
        os.kill(first, signal.SIGKILL)
        messages.until(
            "fan01/score", lambda m: m["seq"] > len(messages.all("fan01/score")) - 2, run
        )
        browser.until("/readyz", "ok")
        second = page_pid(run)
        assert second != first
        assert "was ended by signal 9" in run.log
        with LiveEvents(port, "/stream") as events:
            events.wait_for("beat")
            begun_s = time.monotonic()
            run.process.send_signal(signal.SIGTERM)
            assert run.end() == 0
            assert time.monotonic() - begun_s < 30
        assert not Path(f"/proc/{second}").exists()
        database = sqlite3.connect(tmp_path / "state" / "page-history.sqlite")
        windows = database.execute("SELECT sum(windows) FROM minutes").fetchone()[0]
        database.close()
        assert windows > 0  # the minute that had not ended is written too
        sequence = [m["seq"] for m in messages.all("fan01/score")]
        assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


def test_a_port_that_is_used_is_said_and_monitoring_goes_on(
    tmp_path: Path, trained: Path, mosquitto: Mosquitto
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = int(other.getsockname()[1])
        with (
            Subscriber(mosquitto.port) as subscriber,
            start(tmp_path, trained, mosquitto, port, device="calm.flac?loop") as run,
        ):
            messages = BrokerMessages(subscriber)
            messages.until("fan01/score", lambda m: m["seq"] > 4, run)
            condition = messages.until(
                "box/edge/alarm",
                lambda m: any(each["check"] == "page" for each in m["conditions"]),
                run,
            )
            (found,) = (each for each in condition["conditions"] if each["check"] == "page")
            assert f"cannot listen on 127.0.0.1:{port}: another program uses the port" in str(found)
            assert "choose another port in http.listen" in found["remedy"]
            assert len(re.findall("cannot listen", run.log)) <= 2
            assert "Traceback" not in run.log


@pytest.mark.timeout(600)  # a training with a low priority beside the monitoring
def test_normal_sound_is_recorded_and_trained_while_the_daemon_runs(
    tmp_path: Path, trained: Path, mosquitto: Mosquitto
) -> None:
    port = free_port()
    browser = PageBrowser(port)
    shutil.copytree(trained / "models", tmp_path / "models")
    with (
        Subscriber(mosquitto.port) as subscriber,
        start(
            tmp_path,
            trained,
            mosquitto,
            port,
            device="normal.flac?loop",
            speed=4,
            models=tmp_path / "models",
        ) as run,
    ):
        messages = BrokerMessages(subscriber)
        messages.until("fan01/state", lambda m: m["model"] == "v1", run)
        page = "/recordings"
        browser.until(page, "Record normal sound")
        shown = browser.submit(page, f"{page}/fan01/record", minutes="2")
        assert "Recording of fan01" in shown
        refused = browser.until("/models", "Other work runs.")
        assert "Recording of fan01" in refused
        shown = browser.until(page, "2 minutes recorded.")
        (name,) = re.findall(r'name="use:([^"]+)"', shown)
        browser.submit(page, f"{page}/fan01/train", **{f"use:{name}": "yes"})
        shown = browser.until(page, "fan01 v2 is trained and put into use", limit_s=200.0)
        assert "Alarm threshold" in shown
        assert browser.get("/models/fan01/v2/report")[0] == 200
        messages.until("fan01/state", lambda m: m["model"] == "v2", run)
        browser.submit(page, f"{page}/fan01/record", minutes="30")
        browser.until(page, "of 30 minutes recorded")
        browser.until(page, "being recorded")
        stop_service(run)
        assert run.end() == 0
        assert "failed" not in run.log
        folders = sorted((tmp_path / "state" / "recordings" / "fan01").iterdir())
        assert len(folders) == 2
        assert not list(folders[1].glob("*.part"))
        for sidecar in folders[1].glob("*.json"):
            assert json.loads(sidecar.read_text())["complete"]
        left = json.loads((tmp_path / "state" / "page-work.json").read_text())
        assert "is kept" in left["problem"]
        sequence = [m["seq"] for m in messages.all("fan01/score")]
        assert sequence == sorted(sequence)
