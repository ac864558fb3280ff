"""A detector with the views of two small networks."""

import functools
from dataclasses import replace
from typing import Any

from asd_monitor.detector.detector import Detector
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import front_end_for
from asd_monitor.encoders.card import card_from_values
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.pipeline import WindowExtractor
from tests.doubles.blocks import block_at
from tests.doubles.synthetic_networks import maps_card, maps_network, wave_card, wave_network
from tests.doubles.synthetic_sounds import machine_sound

FRONT_END = front_end_for(16_000)
VIEWS: list[dict[str, Any]] = [
    {"name": f"toy.{back_end}", "outputs": ["near"], "back_end": back_end}
    for back_end in ("mahalanobis", "neighbour", "residual", "largest")
]


@functools.cache
def toy_encoders() -> tuple[Encoder, ...]:
    """Return the encoders `toy`, with the views VIEWS, and `wavy`, with one view."""
    return (
        Encoder.from_bytes(maps_network(), card_from_values(maps_card(views=VIEWS), "toy")),
        Encoder.from_bytes(wave_network(), card_from_values(wave_card(), "wavy")),
    )


@functools.cache
def encoder_detector() -> Detector:
    """Return a detector fitted to synthetic sound with these encoders."""
    encoders = toy_encoders()
    windows = WindowExtractor(FRONT_END, encoders).push(block_at(0, machine_sound(30.0)))
    return fit_detector([windows], FRONT_END, 16_000, encoders).detector


def plain_detector() -> Detector:
    """Return a detector without encoders."""
    fitted = encoder_detector()
    views = tuple(view for view in fitted.views if view.kind.encoder is None)
    return replace(fitted, views=views, idle_dbfs=None, encoders=())
