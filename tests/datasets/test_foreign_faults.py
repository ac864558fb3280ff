"""Injected faults of kinds that no encoder is trained on."""

import numpy as np
import pytest

from asd_monitor.synthesis.injection import INJECTED
from datasets.foreign_faults import FOREIGN, inject_foreign
from tests.doubles.synthetic_sounds import machine_sound


@pytest.mark.parametrize("kind", FOREIGN)
def test_a_fault_changes_the_clip_the_more_the_severer_it_is(kind: str) -> None:
    clip = machine_sound(2.0)
    changes = []
    for severity in (0.1, 0.9):
        faulty = inject_foreign(clip, kind, severity, np.random.default_rng(1))
        assert faulty.shape == clip.shape
        assert faulty.dtype == np.float32
        assert float(np.abs(faulty).max()) <= 1.0
        changes.append(float(np.std(faulty - clip)))
    assert 0 < changes[0] < changes[1]


def test_kinds_are_other_than_those_of_training() -> None:
    assert not set(FOREIGN) & set(INJECTED)


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="no foreign fault 'smell'; there are stack, chirp"):
        inject_foreign(machine_sound(1.0), "smell", 0.5, np.random.default_rng(1))
