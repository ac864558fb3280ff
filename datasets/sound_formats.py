"""Readers of the sounds in Debian packages: SoundFonts, Doom archives, OpenClonk groups, files.

Every reader returns clips in a fixed order; a clip is decoded only on demand.  Sources:
SoundFont Technical Specification 2.04, §4 to §7 and §7.10; SF3 as MuseScore writes it (one Ogg
Vorbis stream per sample); the DMX sound format of Doom (Unofficial Doom Specs, §5.1);
OpenClonk's src/c4group/C4Group.h.
"""

from __future__ import annotations

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

Mono = npt.NDArray[np.float32]

LOOPED_S = 2.0
"""A sample with a usable loop is played for at least this long."""
MIN_LOOP_S = 0.1
"""Shorter loops are single periods; repeated, they are a tone of no instrument."""
_SUFFIXES = (".flac", ".wav", ".ogg", ".aif", ".aiff", ".mp3")


@dataclass(frozen=True)
class Clip:
    """A sound of a package."""

    name: str  # unique in the package, usable as a file name
    group: str  # instrument or series: sounds of a group are similar
    seconds: float
    licence: str
    decode: Callable[[], tuple[Mono, int]]  # → samples (n,), rate in Hz


def read_soundfont(path: Path, licence: str) -> list[Clip]:
    """Return the samples of an SF2 or SF3 file; of a stereo pair the left one.

    Raises ValueError for another file.
    """
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise ValueError(f"{path} is no SoundFont: it does not begin with RIFF … sfbk")
    lists = {data[at : at + 4]: (at + 4, at + size) for _, at, size in _chunks(data, 12, len(data))}
    pool = {tag: (at, size) for tag, at, size in _chunks(data, *lists[b"sdta"])}[b"smpl"][0]
    at, size = {tag: (at, size) for tag, at, size in _chunks(data, *lists[b"pdta"])}[b"shdr"]
    clips: dict[str, Clip] = {}
    for record in range(at, at + size - 46, 46):  # the last one marks the end
        raw, start, end, on, off, rate, _, _, _, kind = struct.unpack_from(
            "<20sIIIIIBbHH", data, record
        )
        if kind & 0x8002 or end <= start or not rate:  # in a synthesiser's ROM; right
            continue
        title = raw.split(b"\0")[0].decode("latin-1").strip()
        if kind & 0x10:  # SF3: start and end count bytes, the loop counts from the sample's start
            body = data[pool + start : pool + end]
            length, loop = int(soundfile.info(io.BytesIO(body)).frames), (on, off)
        else:
            body = data[pool + 2 * start : pool + 2 * end]
            length, loop = end - start, (on - start, off - start)
        # a loop over the whole sample marks one that is not to be looped
        if loop[0] < 0.02 * rate or loop[1] > length or loop[1] - loop[0] < MIN_LOOP_S * rate:
            loop = (0, 0)
        seconds = max(length / rate, LOOPED_S) if loop[1] else length / rate
        decode = _sample(body, rate, loop, compressed=bool(kind & 0x10))
        name = _unique(_plain(re.sub(r"\(L\)|[-_ ]L$", "", title)), clips)
        clips[name] = Clip(name, instrument_of(title), seconds, licence, decode)
    return [c for c in clips.values() if not (c.name[-1] == "r" and c.name[:-1] + "l" in clips)]


def instrument_of(title: str) -> str:
    """Return the title of a sample without pitch, dynamics, channel and number.

    "Trombone Bb3(L)" and "trombone-c#4" are both ``trombone``.
    """
    words = _plain(re.sub(r"\([LR]\)", "", title).replace("#", "s")).split("-")
    pitch = r"[a-g][sb]?-?\d+[lr]?|[lr]|p+|m[pf]|f+|\d+|v\d+[a-z]*|r+\d+[a-z]*|[a-g]s?"
    while len(words) > 1 and re.fullmatch(pitch, words[-1]):
        words.pop()
    return re.sub(r"(?<=[a-z]{3})(\d+|[A-G]#?\d)$", "", "-".join(words))


def read_wad(path: Path, licence: str) -> list[Clip]:
    """Return the sound lumps of a Doom archive (WAD): 8-bit PCM after a header of 8 bytes.

    Raises ValueError for another file.
    """
    data, clips = path.read_bytes(), dict[str, Clip]()
    if data[:4] not in (b"IWAD", b"PWAD"):
        raise ValueError(f"{path} is no WAD: it does not begin with IWAD or PWAD")
    count, directory = struct.unpack_from("<ii", data, 4)
    for entry in range(directory, directory + 16 * count, 16):
        at, size, raw = struct.unpack_from("<ii8s", data, entry)
        name = raw.rstrip(b"\0").decode("latin-1").lower()
        if not name.startswith("ds") or size < 8 + 32:
            continue
        form, rate, length = struct.unpack_from("<HHI", data, at)
        if form != 3 or 8 + length > size:
            continue
        body = data[at + 8 + 16 : at + 8 + length - 16]  # 16 bytes of padding at either end
        seconds = len(body) / rate
        clips.setdefault(
            name, Clip(name, instrument_of(name), seconds, licence, _bytes(body, rate))
        )
    return list(clips.values())


def read_sound_files(
    root: Path, folder: str, licence_of: Callable[[str], str | None], group: Callable[[str], str]
) -> list[Clip]:
    """Return the sound files below a folder of an unpacked package.

    ``licence_of`` returns the licence of a path below ``folder``, or None to leave it out;
    ``group`` the group of a clip's name.
    """
    clips: dict[str, Clip] = {}
    for path in sorted((root / folder).rglob("*")):
        inner = path.relative_to(root / folder).as_posix()
        if path.suffix.lower() not in _SUFFIXES:
            continue
        licence = licence_of(inner)
        if licence is None or path.is_symlink():
            continue
        try:
            seconds = float(soundfile.info(path).duration)
        except soundfile.LibsndfileError:
            continue
        name = _unique(_plain(inner.rsplit(".", 1)[0]), clips)
        clips[name] = Clip(name, group(name), seconds, licence, _file(path))
    return list(clips.values())


def read_clonk_group(path: Path, licence: str) -> list[Clip]:
    """Return the sounds of an OpenClonk group and of the groups in it.

    Raises ValueError for another file.
    """
    data = path.read_bytes()
    if data[:2] != b"\x1e\x8c":
        raise ValueError(f"{path} is no OpenClonk group: it does not begin with 1e 8c")
    clips: dict[str, Clip] = {}
    for inner, body in _group(zlib.decompress(b"\x1f\x8b" + data[2:], 31), ""):
        if inner.endswith((".wav", ".ogg")):
            name = _unique(_plain(inner[:-4].replace(".ocg", "")), clips)
            seconds = float(soundfile.info(io.BytesIO(body)).duration)
            clips[name] = Clip(name, instrument_of(name), seconds, licence, _file(body))
    return list(clips.values())


def _group(data: bytes, prefix: str) -> Iterator[tuple[str, bytes]]:
    head = bytearray(byte ^ 237 for byte in data[:204])
    head[0:201:3], head[2:203:3] = head[2:203:3], head[0:201:3]
    count = int.from_bytes(head[36:40], "little")
    for entry in range(204, 204 + 316 * count, 316):
        raw, _, child, size, _, at = struct.unpack_from("<260siiiii", data, entry)
        name = prefix + raw.split(b"\0")[0].decode("latin-1")
        body = data[204 + 316 * count + at :][:size]
        if child:
            yield from _group(body, name + "/")
        else:
            yield name, body


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        yield data[at : at + 4], at + 8, size
        at += 8 + size + size % 2


def _sample(
    body: bytes, rate: int, loop: tuple[int, int], *, compressed: bool
) -> Callable[[], tuple[Mono, int]]:
    def decode() -> tuple[Mono, int]:
        if compressed:
            sound = _mono(soundfile.read(io.BytesIO(body), dtype="float32")[0])
        else:
            sound = np.frombuffer(body, "<i2").astype(np.float32) / np.float32(32768)
        first, last = loop
        if last and len(sound) < LOOPED_S * rate:
            times = int(np.ceil((LOOPED_S * rate - last) / (last - first)))
            sound = np.concatenate([sound[:last], np.tile(sound[first:last], times)])
            sound = sound[: round(LOOPED_S * rate)]
        return sound, rate

    return decode


def _bytes(body: bytes, rate: int) -> Callable[[], tuple[Mono, int]]:
    def decode() -> tuple[Mono, int]:
        return (np.frombuffer(body, np.uint8).astype(np.float32) - 128) / np.float32(128), rate

    return decode


def _file(path: Path | bytes) -> Callable[[], tuple[Mono, int]]:
    def decode() -> tuple[Mono, int]:
        where = path if isinstance(path, Path) else io.BytesIO(path)
        sound, rate = soundfile.read(where, dtype="float32")
        return _mono(sound), int(rate)

    return decode


def _mono(sound: npt.NDArray[np.float32]) -> Mono:
    return (
        sound if sound.ndim == 1 else sound[:, 0]
    )  # the mean of two microphones would be a comb filter


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9#]+", "-", title.lower()).replace("#", "s").strip("-") or "sound"


def _unique(name: str, taken: dict[str, Clip]) -> str:
    number, tried = 1, name
    while tried in taken:
        number += 1
        tried = f"{name}-{number}"
    return tried
