"""The limits of fuzzing: each kind of failure is recognised, and its input kept."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from experiments.fuzz.frame import Limits, run_cases
from experiments.fuzz.targets import TARGETS


class Behaviour:
    """A target whose cases name what the code under test does."""

    name = "behaviour"

    def __init__(self, *behaviours: str) -> None:
        self._behaviours = iter(behaviours)

    def prepare(self) -> None:
        """Nothing is needed."""

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        del rng
        behaviour = next(self._behaviours)
        (folder / "input").write_text(behaviour)
        return behaviour

    def run_case(self, folder: Path) -> str:
        match (folder / "input").read_text():
            case "raises":
                raise KeyError("missing")
            case "hangs":
                time.sleep(60)
            case "allocates":
                bytearray(400 << 20)
            case "dies":
                os.kill(os.getpid(), signal.SIGKILL)
        return "read"


@pytest.mark.parametrize(
    ("behaviour", "seconds", "outcome", "detail"),
    [
        ("returns", 30.0, "read", ""),
        ("raises", 30.0, "traceback", "KeyError: 'missing'"),
        ("hangs", 0.5, "too slow", "SIGALRM"),
        ("allocates", 30.0, "traceback", "MemoryError"),
        ("dies", 30.0, "killed", "SIGKILL"),
    ],
)
def test_a_failure_is_recognised_and_its_input_kept(
    behaviour: str, seconds: float, outcome: str, detail: str, tmp_path: Path
) -> None:
    limits = Limits(seconds=seconds, address_space_mb=300)
    summary = run_cases(Behaviour(behaviour), [7], seed=1, limits=limits, output=tmp_path)
    assert dict(summary.outcomes) == {outcome: 1}
    kept = tmp_path / "behaviour" / "000007"
    assert kept.exists() == (outcome != "read")
    for result in summary.failures:
        assert detail in result.detail
        assert (kept / "input").read_text() == behaviour
        assert detail in (kept / "failure.txt").read_text()


def test_a_failure_ends_no_later_case() -> None:
    summary = run_cases(Behaviour("dies", "raises", "returns"), range(3), seed=1)
    assert [each.number for each in summary.failures] == [0, 1]
    assert summary.outcomes["read"] == 1


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_case_depends_on_seed_and_number_only(target, tmp_path: Path) -> None:
    contents = []
    target.prepare()
    for copy in ("a", "b"):
        (tmp_path / copy).mkdir()
        target.write_case(np.random.default_rng([3, 4]), tmp_path / copy)
        files = [path for path in (tmp_path / copy).rglob("*") if path.is_file()]
        contents.append({path.name: path.read_bytes() for path in files})
    assert contents[0] == contents[1] != {}
