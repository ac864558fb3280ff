"""The spectrogram of an alarm as one picture of limited size."""

from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from asd_monitor.evidence.building import alarm_picture, content_of
from asd_monitor.evidence.contents import PackageContent
from asd_monitor.evidence.package_files import MAX_IMAGE_BYTES
from asd_monitor.evidence.pictures import BANDS, Picture
from asd_monitor.evidence.sound_span import SoundContent
from asd_monitor.reports.alarm_image import alarm_image
from tests.doubles.captured_alarm import RAISED_S, SECONDS, captured_alarm


def pixels_of(image: bytes) -> npt.NDArray[np.uint8]:
    """Return the colours (rows, columns) of a PNG of this package."""
    columns, rows = struct.unpack(">II", image[16:24])
    at = image.index(b"IDAT")
    (length,) = struct.unpack(">I", image[at - 4 : at])
    lines = np.frombuffer(zlib.decompress(image[at + 4 : at + 4 + length]), np.uint8)
    return lines.reshape(rows, 1 + columns)[:, 1:]


def content_with(picture: Picture | None) -> PackageContent:
    return content_of(captured_alarm(), picture)


@pytest.mark.parametrize("content", SoundContent)
def test_the_line_is_at_the_alarm(content: SoundContent) -> None:
    captured = captured_alarm(content=content)
    image = alarm_image(content_of(captured, alarm_picture(captured)))
    assert image is not None
    assert len(image) <= MAX_IMAGE_BYTES
    pixels = pixels_of(image)
    assert 500 <= pixels.shape[1] <= 1000
    lightest = pixels.max()
    (line,) = np.nonzero((pixels == lightest).all(axis=0))
    assert line[0] / pixels.shape[1] == pytest.approx(RAISED_S / SECONDS, abs=0.02)


def test_low_frequencies_are_at_the_bottom() -> None:
    captured = captured_alarm()
    picture = alarm_picture(captured)
    assert picture is not None
    levels = np.full_like(picture.levels_db, -80.0)
    levels[:, 3] = 0.0
    image = alarm_image(content_with(replace(picture, levels_db=levels)))
    assert image is not None
    brightest = pixels_of(image)[:, 0].argmax()
    assert brightest == 3 * (BANDS - 4)


def test_noise_in_every_pixel_does_not_exceed_the_size() -> None:
    noise = np.random.default_rng(1).uniform(-80, 0, (6000, BANDS)).astype(np.float32)
    centres_hz = np.linspace(50, 8000, BANDS)
    image = alarm_image(content_with(Picture(noise, 0.01, centres_hz)))
    assert image is not None
    assert len(image) <= MAX_IMAGE_BYTES
    assert pixels_of(image).shape[1] > 100


def test_without_a_picture_there_is_none() -> None:
    assert alarm_image(content_with(None)) is None
