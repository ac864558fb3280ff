"""The kinds of inputs, by name."""

from __future__ import annotations

from experiments.fuzz.configurations import DamagedConfigurations
from experiments.fuzz.frame import Target
from experiments.fuzz.recordings import DamagedRecordings

TARGETS: tuple[Target, ...] = (DamagedConfigurations(), DamagedRecordings())
