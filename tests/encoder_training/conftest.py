"""What the tests of training share."""

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads of torch that wait for each other spin, and a busy machine has no time for that."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
