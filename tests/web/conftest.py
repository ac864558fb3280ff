"""What the tests of the page open is closed after each."""

from collections.abc import AsyncIterator

import pytest

from tests.doubles.page_client import end_histories


@pytest.fixture(autouse=True)
async def _histories_ended() -> AsyncIterator[None]:
    yield
    await end_histories()
