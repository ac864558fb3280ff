"""`models refit` as a child process of the daemon."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from asd_monitor.daemon.refit_child import refit as refit_in_child
from asd_monitor.model_store.versions import MANIFEST


async def test_the_child_refits_a_real_model_within_its_memory(
    own_models: Path, commissioned: Path
) -> None:
    outcome = await refit_in_child("fan01", own_models, commissioned)
    assert outcome.failure is None
    assert (outcome.version, outcome.in_use) == ("v2", True)
    assert outcome.moved is not None
    assert outcome.reason.startswith("commissioning: day 3 of 7")
    manifest = json.loads((own_models / "fan01/v2" / MANIFEST).read_text())
    assert manifest["reason"] == outcome.reason
    assert manifest["commissioning"]["automatic"] is True


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("print('asd-monitor: no live sound', file=sys.stderr); sys.exit(1)", "no live sound"),
        ("print('{}')", "the refit gave no result"),
        (
            "x = bytearray(1 << 30)",
            "the refit needs more memory than the 300 MiB that it may use (MemoryError): run "
            "`asd-monitor models refit --machine fan01 --models M --state S`",
        ),
    ],
)
async def test_a_failed_child_has_its_reason(tmp_path: Path, text: str, failure: str) -> None:
    script = tmp_path / "program.py"
    script.write_text(f"import sys, time\ntime.sleep(0.3)\n{text}")
    outcome = await refit_in_child(
        "fan01", Path("M"), Path("S"), program=(sys.executable, str(script))
    )
    assert outcome.failure is not None
    assert failure in outcome.failure
    assert outcome.version is None
