"""What `doctor` says of a running daemon, by its retained messages."""

import json
from datetime import UTC, datetime

import pytest

from asd_monitor.diagnosis.daemon_status import check_daemon
from asd_monitor.diagnosis.findings import Result
from asd_monitor.publish.topics import Topics

NOW = datetime(2026, 3, 2, 10, 15, tzinfo=UTC)
TOPICS = Topics("asd", "edge-07")


@pytest.mark.parametrize(
    ("state", "result", "text"),
    [
        ({"state": "normal"}, Result.OK, "normal"),
        ({"state": "alarm", "reason": "provisional model"}, Result.WARNING, "provisional model"),
        ({"state": "normal", "microphone": "degraded"}, Result.WARNING, "microphone degraded"),
        ({"state": "unavailable", "reason": "no sound: look"}, Result.FAILED, "unavailable"),
    ],
)
def test_a_machine_is_as_its_newest_state(state, result, text):
    status = {"time": NOW.isoformat(), "version": "1.0"}
    retained = {
        TOPICS.status: json.dumps(status).encode(),
        TOPICS.state("fan01"): json.dumps(state).encode(),
    }
    *_, found = check_daemon(retained, TOPICS, ["fan01"], NOW)
    assert (found.check, found.result) == ("state", result)
    assert text in found.what
    assert (found.remedy is None) is (result is Result.OK)
