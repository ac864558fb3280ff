"""evaluate: results, report and errors."""

import json
from pathlib import Path

from tests.doubles.command_line import CommandLine, without_privileges
from tests.doubles.synthetic_sounds import machine_sound, write


def test_evaluate_prints_and_writes_the_results(command_line: CommandLine, tmp_path: Path) -> None:
    for n in range(3):
        name = f"normal_id_00_{n:08}.wav"
        write(tmp_path / "d/fan/train" / name, machine_sound(8.0, seed=n))
    write(tmp_path / "d/fan/test/normal_id_00_00000003.wav", machine_sound(4.0, seed=3))
    faulty = machine_sound(4.0, seed=4, fault=1.0)
    write(tmp_path / "d/fan/test/anomaly_id_00_00000000.wav", faulty)
    arguments = ("evaluate", tmp_path / "d", "--output", tmp_path / "o", "--jobs", 1)
    result = command_line(*arguments)
    assert result.code == 0, result.err
    assert "fan id_00" in result.out
    report = (tmp_path / "o/report.html").read_text()
    assert "1 machine<" in report
    assert "of 1 type, 2 test clips" in report
    assert "of each view alone" in result.out
    document = json.loads((tmp_path / "o/results.json").read_text())
    assert document["mean"] == {"auc": 1.0, "pauc": 1.0}
    assert json.loads(command_line(*arguments, "--json").out) == document
    (tmp_path / "o/results.json").unlink()
    (tmp_path / "file").touch()
    result = command_line("evaluate", tmp_path / "d", "--output", tmp_path / "file")
    assert (result.code, "--output" in result.message) == (1, True)
    assert command_line("evaluate", tmp_path / "absent").code == 2
    assert command_line("evaluate", tmp_path / "d", "--rules", "1999").code == 2


def test_a_folder_without_permission_is_reported(
    command_line: CommandLine, open_folder: Path
) -> None:
    clip = write(open_folder / "d/fan/train/normal_id_00_00000000.wav", machine_sound(1.0))
    for closed in (open_folder / "d", clip.parents[1]):
        closed.chmod(0)
        with without_privileges():
            result = command_line("evaluate", open_folder / "d")
        assert result.code == 1
        assert f"{closed}" in result.message
        assert "no permission to read it" in result.message
        closed.chmod(0o755)
