"""Front end and encoders of the simulated machines: those of the product."""

from __future__ import annotations

from functools import cache

from asd_monitor.dsp.front_end import FrontEnd, front_end_for
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import shipped_encoder
from asd_monitor.features.windows import Window
from asd_monitor.pipeline import WindowExtractor
from asd_monitor.records import Block, Samples, Stream
from experiments.alarms.plant_sound import RATE_HZ

FRONT_END: FrontEnd = front_end_for(RATE_HZ)


@cache
def encoders() -> tuple[Encoder, ...]:
    """Return the shipped encoder, if there is one."""
    shipped = shipped_encoder()
    return () if shipped is None else (shipped,)


def windows_of(sound: Samples) -> list[Window]:
    """Return the windows of a segment of sound (n,)."""
    extractor = WindowExtractor(FRONT_END, encoders())
    return extractor.push(Block(Stream(RATE_HZ), 0, sound)) + extractor.flush()
