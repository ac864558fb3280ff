"""The journal of a temporary state folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from asd_monitor.journal.store import Journal


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path) as opened:
        yield opened
