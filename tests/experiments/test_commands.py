"""The help of every command of the development packages."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "benchmarks.alarm_flood",
    "benchmarks.alarm_list",
    *("benchmarks", "benchmarks.daemon_comparison", "benchmarks.floor", "benchmarks.live_trial"),
    *("benchmarks.process_settings", "benchmarks.pypi_peers", "benchmarks.torch_peers"),
    "benchmarks.view_cost",
    *("datasets.impact_tree", "datasets.injected_tree", "datasets.sounds"),
    "datasets.synthetic_tree",
    *("experiments.ablations", "experiments.alarms.budget", "experiments.alarms.early_faults"),
    *("experiments.alarms.effect_bound", "experiments.alarms.life", "experiments.alarms.priors"),
    *("experiments.alarms.recordings", "experiments.alarms.sensitivity"),
    *("experiments.alarms.training_sound", "experiments.alarms.windows"),
    *("experiments.bit_flips.bundle", "experiments.bit_flips.journal", "experiments.chaos"),
    *("experiments.compare_fusions", "experiments.compare_views"),
    *("experiments.dc_offset", "experiments.doctor", "experiments.encoder_report"),
    *("experiments.evidence_pages", "experiments.fuzz", "experiments.learning"),
    *("experiments.machine_page", "experiments.microphone.cost"),
    *("experiments.microphone.trials", "experiments.microphone.weeks"),
    *(
        "experiments.mutations",
        "experiments.page_pictures",
        "experiments.reasons",
        "experiments.self_test_levels",
    ),
    "experiments.terminal_pictures",
]


@pytest.mark.slow
@pytest.mark.parametrize("module", COMMANDS)
def test_help_shows_the_command_as_it_is_called(module: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", module, "--help"],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"usage: python -m {module} ")
    assert f"    python -m {module}" in done.stdout
    assert not list(tmp_path.iterdir()), "nothing is installed or written"


def test_all_commands_are_tested() -> None:
    """Every module with a main function."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for package in ("benchmarks", "datasets", "experiments")
        for path in (ROOT / package).rglob("*.py")
        if "def main(" in path.read_text()
    }
    assert modules == set(COMMANDS)
