"""The page of synthetic machines and faults."""

import struct
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import KINDS, kinds_for
from experiments import machine_page


def test_every_family_and_every_kind_of_fault_is_drawn() -> None:
    shown = machine_page.FAULTS
    assert tuple(shown) == FAMILIES
    assert {kind for kinds in shown.values() for kind in kinds} == set(KINDS)
    for family, kinds in shown.items():
        assert set(kinds) <= set(kinds_for(draw_machine(family, np.random.default_rng(1))))


def test_the_spectrograms_of_a_row_have_a_common_scale() -> None:
    quiet, loud = (
        machine_page.Panel("x", gain * np.random.default_rng(1).standard_normal(48000, np.float32))
        for gain in (0.01, 0.1)
    )
    first, second = machine_page._spectrograms((quiet, loud))
    assert first.shape == (machine_page.HEIGHT, machine_page.WIDTH)
    assert second.mean() > first.mean() + 0.3


@pytest.mark.slow
def test_picture_and_page_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a.png", "a.html"):
        monkeypatch.setattr("sys.argv", ["machine_page", str(tmp_path / name)])
        assert machine_page.main() == 0
    png = (tmp_path / "a.png").read_bytes()
    wide, high = struct.unpack(">II", png[16:24])
    assert wide == 7 * (machine_page.WIDTH + 4) + 4
    assert high > 12 * machine_page.HEIGHT
    page = (tmp_path / "a.html").read_text()
    assert page.count("<audio") == page.count("<img") == 8 * 7 + 19 + 5
