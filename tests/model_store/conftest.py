"""A folder with one bundle."""

from pathlib import Path

import pytest

from asd_monitor.model_store.bundle import save_bundle
from tests.doubles.bundled_detector import bundle_detector


@pytest.fixture
def models(tmp_path: Path) -> Path:
    save_bundle(tmp_path, "fan01", bundle_detector(), {"trained": "today"}, {"report.html": "<p>"})
    return tmp_path
