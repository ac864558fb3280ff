"""backtest: alarms, states and errors of recordings."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.doubles.bad_recordings import bad_recordings
from tests.doubles.command_line import CommandLine
from tests.doubles.mosquitto import Mosquitto
from tests.doubles.synthetic_sounds import machine_sound, write


def test_backtest_reports_alarms_and_states(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained)
    result = command_line(*arguments, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert document["machine"] == "fan01"
    assert document["seconds"] == pytest.approx(45.0)
    assert document["budget"] == "1 per month"
    [alarm] = document["alarms"]
    assert {
        "id",
        "severity",
        "raised_s",
        "cleared_s",
        "peak_alarm_score",
        "time_scale_s",
    } <= alarm.keys()
    assert alarm["severity"] == "alarm"
    assert 25 < alarm["raised_s"] < 40
    assert alarm["cleared_s"] is None
    assert document["states"][0] == {"from_s": 0.0, "state": "normal"}
    assert document["states"][-1]["state"] == "alarm"
    result = command_line(*arguments)
    assert "fan01: 1 alarm in 0:45.0" in result.out
    assert "active" in result.out


def test_the_alarm_threshold_follows_the_budget(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained, "--json")
    thresholds = []
    for budget in ("1 per hour", "2 per day", "1 per day"):
        document = json.loads(command_line(*arguments, "--false-alarms", budget).out)
        assert (document["budget"], document["effective_budget"]) == (budget, budget)
        assert document["provisional"] is False
        thresholds.append(document["thresholds"]["alarm"])
    assert thresholds == sorted(set(thresholds))
    result = command_line(*arguments, "--false-alarms", "seldom")
    assert (result.code, "not a budget" in result.message) == (2, True)


def test_a_provisional_model_has_the_thresholds_of_the_budget_that_it_supports(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained)
    documents = [
        json.loads(command_line(*arguments, "--false-alarms", budget, "--json").out)
        for budget in ("1 per day", "1 per month", "1 per 10 years")
    ]
    assert [document["thresholds"]["alarm"] for document in documents] == [
        documents[0]["thresholds"]["alarm"]
    ] * 3
    assert [document["provisional"] for document in documents] == [False, True, True]
    assert documents[1]["effective_budget"] == "1 per day"
    result = command_line(*arguments)
    assert "budget 1 per day, provisional (configured: 1 per month)" in " ".join(result.out.split())
    assert "full budget of 1 per month needs sound of the running machine from 147" in result.err


def test_unreadable_recordings_are_refused(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    for name, text in bad_recordings(tmp_path / "bad").items():
        if name in ("absent.wav", "*.ogg", "empty folder", "zero.wav", "text.wav", "low.wav"):
            path = tmp_path / "bad" / name
            result = command_line("backtest", path, "-m", "fan01", "--models", trained)
            assert result.code == 2, name
            expected = {"*.ogg": "no such file", "low.wav": "2000 Hz"}.get(name, text)
            assert expected in result.message, name
            if name != "low.wav":
                assert len(result.err.splitlines()) == 1, result.err


def test_sound_without_a_signal_is_reported_as_not_evaluated(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    zeros = write(tmp_path / "zeros.wav", np.zeros(16_000 * 70))
    arguments = ("-m", "fan01", "--models", trained)
    result = command_line("backtest", zeros, *arguments)
    assert result.code == 0
    assert "no alarm in 0:02.0 evaluated of 1:10.0" in result.out
    assert "1:08.0 of 1:10.0 were not evaluated: no signal" in result.out
    assert "No signal from 0:02.0 to the end" in result.out
    assert "share of 0:02.0 evaluated" in result.out
    document = json.loads(command_line("backtest", zeros, *arguments, "--json").out)
    assert document["evaluated_s"] == 2.0
    for shape in ("--csv", "--json"):
        scored = command_line("score", zeros, *arguments, shape)
        assert scored.code == 0
        assert "zeros.wav: 70.0 s of dead silence" in scored.err


@pytest.mark.slow
def test_backtest_raises_the_alarms_of_run(
    command_line: CommandLine, trained: Path, fault: Path, mosquitto: Mosquitto, tmp_path: Path
) -> None:
    """A folder of two files, at full speed."""
    folder = tmp_path / "sound"
    folder.mkdir()
    shutil.copy(fault, folder / "1.wav")
    write(folder / "2.wav", machine_sound(15.0, seed=7, fault=1.0))
    state = tmp_path / "state"
    subprocess.run(
        [sys.executable, "-m", "asd_monitor", "run", "--device", f"file:{folder}", "--speed", "0",
         "--machine", "fan01", "--models", trained, "--state", state,
         "--broker", f"localhost:{mosquitto.port}"],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip
    ran = json.loads(command_line("alarms", "list", "--state", state, "--json").out)
    tested = json.loads(
        command_line("backtest", folder, "-m", "fan01", "--models", trained, "--json").out
    )
    assert len(ran) == len(tested["alarms"]) == 1
    assert ran[0]["peak_alarm_score"] == pytest.approx(
        tested["alarms"][0]["peak_alarm_score"], abs=1e-3
    )
    assert ran[0]["active"] is True
