"""Settings of torch for all tests of encoder training."""

import sys

import pytest


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads of torch that wait for each other spin, which is slow on a busy computer."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)
