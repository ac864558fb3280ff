"""The kinds of inputs, by name."""

from __future__ import annotations

from experiments.fuzz.bundles import DamagedArrays, DamagedCards, DamagedManifests
from experiments.fuzz.configurations import DamagedConfigurations
from experiments.fuzz.frame import Target
from experiments.fuzz.networks import StrangeNetworks
from experiments.fuzz.recordings import DamagedRecordings
from experiments.fuzz.requests import DamagedRequests

TARGETS: tuple[Target, ...] = (
    DamagedConfigurations(),
    DamagedRecordings(),
    DamagedCards(),
    DamagedManifests(),
    DamagedArrays(),
    StrangeNetworks(),
    DamagedRequests(),
)
