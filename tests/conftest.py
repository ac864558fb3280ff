"""Fixtures that the tests of several areas share."""

import os

import pytest
from hypothesis import settings

pytest_plugins = [
    "tests.doubles.mosquitto",
    "tests.doubles.virtual_sound",
    "tests.doubles.command_line",
    "tests.doubles.unmeasured_sensitivity",
]

# As the command line does, before numpy is imported: the threads of OpenBLAS wait for each other,
# which doubles the CPU time of the tests.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# a busy machine is no failure
settings.register_profile("patient", deadline=None)
# where the same tests have run with all examples: pytest --hypothesis-profile brief
settings.register_profile("brief", deadline=None, max_examples=30)
settings.load_profile("patient")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the slow tests, beside whose waits the other workers run the fast ones."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
