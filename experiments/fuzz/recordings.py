"""Damaged recordings of every container that libsndfile writes, through reader and training.

A case is a short recording with a few damages: flipped bits, cuts, inserted, removed or swapped
pieces, extreme numbers in the header, another recording behind it, and samples that are no sound.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from asd_monitor.audio.files.recording_search import find_recordings
from asd_monitor.audio.files.recordings import RecordingReader
from asd_monitor.errors import AsdMonitorError
from asd_monitor.model_training.reference import read_reference

_FORMATS = (
    *(("WAV", "PCM_16", "wav"), ("WAV", "FLOAT", "wav"), ("WAV", "PCM_24", "wav")),
    *(("WAV", "MS_ADPCM", "wav"), ("WAV", "GSM610", "wav"), ("WAVEX", "DOUBLE", "wav")),
    *(("FLAC", "PCM_16", "flac"), ("FLAC", "PCM_24", "flac"), ("OGG", "VORBIS", "ogg")),
    *(("OGG", "OPUS", "opus"), ("MP3", "MPEG_LAYER_III", "mp3"), ("AIFF", "PCM_16", "aiff")),
    *(("AIFF", "FLOAT", "aif"), ("AU", "PCM_16", "au"), ("AU", "ULAW", "snd")),
    *(("CAF", "PCM_16", "caf"), ("CAF", "ALAC_16", "caf"), ("W64", "PCM_16", "w64")),
    *(("RF64", "PCM_16", "rf64"), ("SVX", "PCM_16", "wav"), ("NIST", "PCM_16", "wav")),
    *(("VOC", "PCM_16", "wav"), ("PAF", "PCM_16", "wav"), ("IRCAM", "FLOAT", "wav")),
    *(("AVR", "PCM_16", "wav"), ("MAT4", "DOUBLE", "wav"), ("MAT5", "FLOAT", "wav")),
    *(("PVF", "PCM_16", "wav"), ("HTK", "PCM_16", "wav"), ("SDS", "PCM_16", "wav")),
    *(("XI", "DPCM_16", "wav"), ("MPC2K", "PCM_16", "wav")),
)
_RATES_HZ = (8000, 16000, 48000)
_HEADER_BYTES = 160
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1)
_EXTREMES_64 = (*_EXTREMES, 2**36 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_NO_SOUND = (np.nan, np.inf, -np.inf, 3e38, -1e30, 1e7, 1e-40)


class DamagedRecordings:
    """Recordings, read as `train` and `score` read them."""

    name = "recordings"

    def prepare(self) -> None:
        """Nothing beyond the imports of this module is needed."""

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write one damaged recording."""
        container, subtype, suffix = _FORMATS[rng.integers(len(_FORMATS))]
        data = _recording(rng, container, subtype)
        damages = [_DAMAGES[rng.integers(len(_DAMAGES))] for _ in range(rng.integers(1, 4))]
        for damage in damages:
            data = damage(rng, data)
        (folder / f"a.{suffix}").write_bytes(data)
        names = ", ".join(damage.__name__.strip("_").replace("_", " ") for damage in damages)
        return f"{container} {subtype}: {names}"

    def run_case(self, folder: Path) -> str:
        """Find it, read it at another rate, and extract its training windows."""
        [path] = find_recordings(folder)
        try:
            with RecordingReader(path) as reader:
                for block in reader.blocks_at(16000):
                    _check(block.samples)
                _check_notices(reader.notices)
            reference = read_reference([path])
        except AsdMonitorError as error:
            _check_notices([str(error)])
            return "refused"
        _check_notices(reference.notices)
        for window in reference.windows:
            for vector in window.features.values():
                _check(np.asarray(vector))
        return "read"


def _check(values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise AssertionError("a value is not finite")


def _check_notices(notices: list[str] | tuple[str, ...]) -> None:
    for notice in notices:
        if "\n" in notice or len(notice) > 1000:
            raise AssertionError(f"not one line: {notice!r}")


def _recording(rng: np.random.Generator, container: str, subtype: str) -> bytes:
    is_mono = container in {"HTK", "XI", "SDS", "SVX"} or subtype == "GSM610"
    channels = 1 if is_mono else int(rng.integers(1, 3))
    rate_hz = _RATES_HZ[rng.integers(len(_RATES_HZ))]
    sound = rng.normal(0, 0.1, (int(rate_hz * rng.uniform(0.1, 3.0)), channels))
    if subtype in {"FLOAT", "DOUBLE"} and rng.random() < 0.5:
        places = rng.integers(0, len(sound), 3)
        sound[places] = _NO_SOUND[rng.integers(len(_NO_SOUND))]
    data = io.BytesIO()
    soundfile.write(data, sound, rate_hz, subtype, format=container)
    return data.getvalue()


def _place(rng: np.random.Generator, data: bytes) -> int:
    """Return a position, half of the time in the header."""
    end = min(len(data), _HEADER_BYTES) if rng.random() < 0.5 else len(data)
    return int(rng.integers(0, max(1, end)))


def _flipped_bits(rng: np.random.Generator, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.integers(1, 40)):
        if changed:
            changed[_place(rng, data)] ^= 1 << int(rng.integers(8))
    return bytes(changed)


def _cut(rng: np.random.Generator, data: bytes) -> bytes:
    return data[: _place(rng, data)]


def _removed_piece(rng: np.random.Generator, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + data[place + int(rng.integers(1, 5000)) :]


def _inserted_piece(rng: np.random.Generator, data: bytes) -> bytes:
    place = _place(rng, data)
    return data[:place] + rng.bytes(int(rng.integers(1, 5000))) + data[place:]


def _swapped_pieces(rng: np.random.Generator, data: bytes) -> bytes:
    a, b, c = sorted(_place(rng, data) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def _zeroed_piece(rng: np.random.Generator, data: bytes) -> bytes:
    place, size = _place(rng, data), int(rng.integers(1, 3000))
    return data[:place] + bytes(len(data[place : place + size])) + data[place + size :]


def _extreme_number(rng: np.random.Generator, data: bytes) -> bytes:
    size = int(rng.choice([1, 2, 4, 4, 8]))
    numbers = _EXTREMES_64 if size == 8 else _EXTREMES
    number = numbers[rng.integers(len(numbers))] % (1 << 8 * size)
    place = int(rng.integers(0, max(1, min(len(data), _HEADER_BYTES))))
    order = "little" if rng.random() < 0.5 else "big"
    return data[:place] + number.to_bytes(size, order) + data[place + size :]  # type: ignore[arg-type]


def _repeated(rng: np.random.Generator, data: bytes) -> bytes:
    return data + data[_place(rng, data) if rng.random() < 0.5 else 0 :]


def _followed_by_noise(rng: np.random.Generator, data: bytes) -> bytes:
    return data + rng.bytes(int(rng.integers(1, 20000)))


def _not_damaged(rng: np.random.Generator, data: bytes) -> bytes:  # noqa: ARG001
    return data


_Damage = Callable[[np.random.Generator, bytes], bytes]
_DAMAGES: tuple[_Damage, ...] = (
    _flipped_bits,
    _cut,
    _removed_piece,
    _inserted_piece,
    _swapped_pieces,
    _zeroed_piece,
    _extreme_number,
    _extreme_number,
    _repeated,
    _followed_by_noise,
    _not_damaged,
)
