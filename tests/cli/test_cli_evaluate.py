"""evaluate, as a user meets it."""

import json
from pathlib import Path

from tests.doubles.command_line import CommandLine
from tests.doubles.synthetic_sounds import machine_sound, write


def test_evaluate_writes_its_results(command_line: CommandLine, tmp_path: Path) -> None:
    for n in range(3):
        name = f"normal_id_00_{n:08}.wav"
        write(tmp_path / "d/fan/train" / name, machine_sound(8.0, seed=n))
    write(tmp_path / "d/fan/test/normal_id_00_00000003.wav", machine_sound(4.0, seed=3))
    broken = machine_sound(4.0, seed=4, fault=1.0)
    write(tmp_path / "d/fan/test/anomaly_id_00_00000000.wav", broken)
    arguments = ("evaluate", tmp_path / "d", "--output", tmp_path / "o", "--jobs", 1)
    called = command_line(*arguments)
    assert called.code == 0, called.err
    assert "fan id_00" in called.out
    report = (tmp_path / "o/report.html").read_text()
    assert "1 machine<" in report
    assert "of 1 type, 2 test clips" in report
    assert "by each view alone" in called.out
    told = json.loads((tmp_path / "o/results.json").read_text())
    assert told["mean"] == {"auc": 1.0, "pauc": 1.0}
    assert json.loads(command_line(*arguments, "--json").out) == told
    (tmp_path / "o/results.json").unlink()
    (tmp_path / "file").touch()
    called = command_line("evaluate", tmp_path / "d", "--output", tmp_path / "file")
    assert (called.code, "--output" in called.message) == (1, True)
    assert command_line("evaluate", tmp_path / "absent").code == 2
    assert command_line("evaluate", tmp_path / "d", "--rules", "1999").code == 2
