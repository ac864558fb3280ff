"""The mutation harness on a small tree, and the list of mutations on this one."""

from pathlib import Path

import pytest

from asd_monitor.errors import OperationError, UsageError
from experiments.mutation_list import MUTATIONS, Mutation
from experiments.mutations import ROOT, first_failure, locate, run_mutations

SOURCE = """\
def limit(x: int) -> int:
    return min(x, 10)


def double(x: int) -> int:
    return 2 * x
"""
TESTS = """\
from limits import limit


def test_limit() -> None:
    assert limit(11) == 10
"""
CAUGHT = Mutation("maximum", "limits.py", "min(x, 10)", "max(x, 10)", "area")
SURVIVES = Mutation("triple", "limits.py", "2 * x", "3 * x", "area")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A module of two functions, one of them tested."""
    (tmp_path / "tests" / "area").mkdir(parents=True)
    (tmp_path / "limits.py").write_text(SOURCE)
    (tmp_path / "tests" / "area" / "test_limits.py").write_text(TESTS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = slow: slow\n")
    return tmp_path


@pytest.mark.slow
def test_a_mutation_is_caught_by_a_failing_test_or_survives(tree: Path) -> None:
    caught, survived = run_mutations(tree, [CAUGHT, SURVIVES])
    assert caught.caught_by == "tests/area/test_limits.py::test_limit"
    assert caught.row()[1:] == [
        "limits.py:2",
        "`min(x, 10)` → `max(x, 10)`",
        "tests/area/test_limits.py::test_limit",
    ]
    assert survived.caught_by is None
    assert survived.row()[1:] == ["limits.py:6", "`2 * x` → `3 * x`", "SURVIVED"]
    assert (tree / "limits.py").read_text() == SOURCE, "only the copy is changed"


@pytest.mark.parametrize(("old", "count"), [("return 4", 0), ("return", 2)])
def test_text_that_does_not_occur_once_is_refused(tree: Path, old: str, count: int) -> None:
    mutation = CAUGHT._replace(old=old)
    with pytest.raises(UsageError, match=rf"maximum: its text occurs {count} times in limits.py"):
        run_mutations(tree, [mutation])


def test_a_missing_file_is_refused(tree: Path) -> None:
    with pytest.raises(UsageError, match=r"maximum: absent.py is missing"):
        locate(tree, CAUGHT._replace(file="absent.py"))


@pytest.mark.slow
def test_tests_that_fail_without_mutations_are_refused(tree: Path) -> None:
    (tree / "limits.py").write_text(SOURCE.replace("10)", "9)"))
    with pytest.raises(OperationError, match=r"tests/area fails without mutations"):
        run_mutations(tree, [SURVIVES])


@pytest.mark.slow
def test_an_area_without_tests_is_refused(tree: Path) -> None:
    with pytest.raises(OperationError, match="pytest tests/empty"):
        first_failure(tree, "empty")


def test_every_mutation_applies_to_this_tree() -> None:
    names = [mutation.name for mutation in MUTATIONS]
    assert len(set(names)) == len(names)
    for mutation in MUTATIONS:
        assert locate(ROOT, mutation) >= 1
        assert mutation.new != mutation.old
        assert (ROOT / "tests" / mutation.area).exists()
