"""The training regimes of an evaluation, by name."""

from __future__ import annotations

from enum import StrEnum


class RegimeName(StrEnum):
    """What a model is trained on."""

    SINGLE = "single"  # the recordings of its own machine, as in a plant
    IDS = "ids"  # those of all ids, which the encoder learns to classify
