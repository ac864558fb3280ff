"""backtest, as a user meets it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.doubles.bad_recordings import bad_recordings
from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound, write


def test_backtest_tells_alarms_and_states(
    command_line: CommandLine, trained: Path, fault: Path
) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained)
    called = command_line(*arguments, "--json")
    assert called.code == 0, called.err
    told = json.loads(called.out)
    assert told["machine"] == "fan01"
    assert told["seconds"] == pytest.approx(45.0)
    assert told["budget"] == "1 per month"
    [alarm] = told["alarms"]
    assert {"id", "severity", "raised_s", "cleared_s", "peak_score"} <= alarm.keys()
    assert alarm["severity"] == "alarm"
    assert 25 < alarm["raised_s"] < 40
    assert alarm["cleared_s"] is None
    assert told["states"][0] == {"from_s": 0.0, "state": "normal"}
    assert told["states"][-1]["state"] == "alarm"
    called = command_line(*arguments)
    assert "fan01: 1 alarm in 0:45.0" in called.out
    assert "stands" in called.out


def test_backtest_takes_budgets(command_line: CommandLine, trained: Path, fault: Path) -> None:
    arguments = ("backtest", fault, "-m", "fan01", "--models", trained, "--json")
    thresholds = []
    for budget in ("1 per hour", "1 per month", "1 per 10 years"):
        told = json.loads(command_line(*arguments, "--false-alarms", budget).out)
        assert told["budget"] == budget
        thresholds.append(told["thresholds"]["alarm"])
    assert thresholds == sorted(set(thresholds))
    called = command_line(*arguments, "--false-alarms", "seldom")
    assert (called.code, "not a budget" in called.message) == (2, True)


def test_backtest_ofbad_recordings(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "bad").mkdir()
    for name, told in bad_recordings(tmp_path / "bad").items():
        if name in ("absent.wav", "*.ogg", "empty folder", "zero.wav", "text.wav", "low.wav"):
            path = tmp_path / "bad" / name
            called = command_line("backtest", path, "-m", "fan01", "--models", trained)
            assert called.code == 2, name
            expected = {"*.ogg": "no such file", "low.wav": "2000 Hz"}.get(name, told)
            assert expected in called.message, name
            if name != "low.wav":
                assert len(called.err.splitlines()) == 1, called.err


def test_a_dead_microphone_is_no_calm_machine(
    command_line: CommandLine, trained: Path, tmp_path: Path
) -> None:
    zeros = write(tmp_path / "zeros.wav", np.zeros(16_000 * 70))
    arguments = ("-m", "fan01", "--models", trained)
    called = command_line("backtest", zeros, *arguments)
    assert called.code == 0
    assert "no alarm in 0:02.0 judged of 1:10.0" in called.out
    assert "Nobody could listen for 1:08.0 of 1:10.0" in called.out
    assert "microphone was dead from 0:02.0 to its end" in called.out
    assert "share of the 0:02.0 judged" in called.out
    told = json.loads(command_line("backtest", zeros, *arguments, "--json").out)
    assert told["evaluated_s"] == 2.0
    for shape in ("--csv", "--json"):
        scored = command_line("score", zeros, *arguments, shape)
        assert scored.code == 0
        assert "zeros.wav: 70.0 s of dead silence" in scored.err


@pytest.mark.slow
def test_backtest_is_what_run_does(
    command_line: CommandLine, trained: Path, fault: Path, tmp_path: Path
) -> None:
    """A folder of two files, at full speed, without a broker."""
    folder = tmp_path / "sound"
    folder.mkdir()
    fault.rename(folder / "1.wav")
    write(folder / "2.wav", machine_sound(15.0, seed=7, fault=1.0))
    state = tmp_path / "state"
    subprocess.run(
        [sys.executable, "-m", "asd_monitor", "run", "--device", f"file:{folder}", "--speed", "0",
         "--machine", "fan01", "--models", trained, "--state", state, "--broker", "localhost:1"],
        check=True, capture_output=True, timeout=90,
    )  # fmt: skip
    ran = json.loads(command_line("alarms", "list", "--state", state, "--json").out)
    tested = json.loads(
        command_line("backtest", folder, "-m", "fan01", "--models", trained, "--json").out
    )
    assert len(ran) == len(tested["alarms"]) == 1
    assert ran[0]["peak_score"] == pytest.approx(tested["alarms"][0]["peak_score"], abs=1e-3)
    assert ran[0]["active"] is True
