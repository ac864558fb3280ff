"""`asd-monitor box backup` beside a daemon, and a daemon on what was restored."""

import json
import signal
from pathlib import Path

import pytest

from tests.doubles.mosquitto import Subscriber
from tests.doubles.run_process import BrokerMessages, RunProcess, asd_monitor

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def test_an_alarm_at_the_backup_stands_after_the_restoration_with_its_id(
    trained: Path, tmp_path: Path, make_mosquitto
) -> None:
    archive, new = tmp_path / "hall.tar", tmp_path / "new"
    old_state, old_models = tmp_path / "state", trained / "models"

    def start(recording: str, port: int, models: Path, state: Path) -> RunProcess:
        return RunProcess(
            tmp_path,
            *("--device", f"file:{trained}/{recording}?loop", "--machine", "fan01"),
            *("--broker", f"localhost:{port}", "--speed", 20),
            *("--models", models, "--state", state),
        )

    broker = make_mosquitto()
    broker.start()
    with (
        Subscriber(broker.port) as subscriber,
        start("fault.flac", broker.port, old_models, old_state) as run,
    ):
        alarm = BrokerMessages(subscriber).until("fan01/alarm", lambda m: m["active"], run)
        asd_monitor("box", "backup", archive, "--models", old_models, "--state", old_state)
        assert run.process.poll() is None
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 0
    asd_monitor(*("box", "restore", archive, "--models", new / "models", "--state", new / "state"))
    listed = json.loads(asd_monitor("alarms", "list", "--json", "--state", new / "state"))
    assert [each["id"] for each in listed] == [alarm["id"]]

    other_broker = make_mosquitto()  # without the retained messages of the first run
    other_broker.start()
    with (
        Subscriber(other_broker.port) as subscriber,
        start("calm.flac", other_broker.port, new / "models", new / "state") as run,
    ):
        messages = BrokerMessages(subscriber)
        restored = messages.until("fan01/alarm", lambda m: m["id"] is not None, run)
        assert (restored["id"], restored["active"]) == (alarm["id"], True)
        assert restored["raised"] == alarm["raised"]
        messages.until("fan01/state", lambda m: m["evaluated"], run)
        run.process.send_signal(signal.SIGTERM)
        assert run.end() == 0
