import struct
from pathlib import Path

import numpy as np
import pytest

from asd_monitor.synthesis.families import FAMILIES, draw_machine
from asd_monitor.synthesis.faults import KINDS, kinds_for
from experiments import machine_page


def test_every_family_and_every_kind_of_fault_is_shown() -> None:
    shown = machine_page.FAULTS
    assert tuple(shown) == FAMILIES
    assert {kind for kinds in shown.values() for kind in kinds} == set(KINDS)
    for family, kinds in shown.items():
        assert set(kinds) <= set(kinds_for(draw_machine(family, np.random.default_rng(1))))


def test_a_line_of_text_has_a_shape_for_each_letter_and_none_for_a_space() -> None:
    line = machine_page._written("l 1", 18)
    assert line.shape == (11, 18)
    # a stroke down of seven, in the third column, with feet
    assert (line[2:9, 2] > 0).all()
    assert not line[:, 6:12].any()
    assert len(machine_page.SHAPES) == 5 * len(machine_page.LETTERS)
    shapes = {machine_page._written(letter, 6).tobytes() for letter in machine_page.LETTERS}
    assert len(shapes) == len(machine_page.LETTERS)


def test_a_row_has_one_scale() -> None:
    quiet, loud = (
        machine_page.Panel("x", (gain * np.random.default_rng(1).standard_normal(48000)))
        for gain in (0.01, 0.1)
    )
    first, second = machine_page._drawn((quiet, loud))
    assert first.shape == (machine_page.HIGH, machine_page.WIDE)
    assert second.mean() > first.mean() + 0.3


@pytest.mark.slow
def test_the_picture_and_the_page_are_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.png", "a.html"):
        monkeypatch.setattr("sys.argv", ["machine_page", str(tmp_path / name)])
        assert machine_page.main() == 0
    png = (tmp_path / "a.png").read_bytes()
    wide, high = struct.unpack(">II", png[16:24])
    assert wide == 7 * (machine_page.WIDE + 4) + 4
    assert high > 12 * machine_page.HIGH
    page = (tmp_path / "a.html").read_text()
    assert page.count("<audio") == page.count("<img") == 8 * 7 + 19 + 5
