"""Results of a training and of an evaluation, shared by all tests of the reports."""

import pytest

from asd_monitor.evaluation.dcase_layouts import find_data_set
from asd_monitor.evaluation.results import Results
from asd_monitor.evaluation.runner import evaluate
from tests.doubles.small_trees import small_tree
from tests.doubles.trained_fan import fan_reference, fan_result, fan_training, short_result

__all__ = ["fan_reference", "fan_result", "fan_training", "results_2023", "short_result"]


@pytest.fixture(scope="session")
def results_2023(tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The evaluation of a small data set in the layout of 2023."""
    return evaluate(find_data_set(small_tree(tmp_path_factory.mktemp("tree"), "2023")))
