"""Recordings in Debian packages: SoundFonts, Doom archives, single files, each with its licence.

Every reader returns clips in a fixed order; a clip is decoded only when it is asked for.
Sources: SoundFont Technical Specification 2.04, §4 to §7 and §7.10; SF3 as MuseScore writes it
(one Ogg Vorbis stream a sample); the DMX sound format of Doom (Unofficial Doom Specs, §5.1);
OpenClonk's src/c4group/C4Group.h; Debian's machine-readable copyright format 1.0.
"""

from __future__ import annotations

import fnmatch
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
"""A sample whose loop allows it is played this long at least."""
LEAST_LOOP_S = 0.1
"""Shorter loops are single periods: repeating them gives a tone that no instrument makes."""
FREE = frozenset(
    (
        *("mit", "expat", "isc", "zlib", "bsd-2", "bsd-2-clause", "bsd-3-clause", "apache-2.0"),
        *("cc0", "cc0-1.0", "public-domain", "pd", "cc-by-3.0", "cc-by-4.0"),
    )
)
"""Licences under which everybody may use, change and pass on, asking for no more than a name."""


@dataclass(frozen=True)
class Clip:
    """One recording of a package.

    ``name``: unique in the package, fit for a file name; ``group``: of one instrument or series,
    so near each other; ``decode``: → (mono samples, rate in Hz).
    """

    name: str
    group: str
    seconds: float
    licence: str
    decode: Callable[[], tuple[Mono, int]]


def soundfont(path: Path, licence: str) -> list[Clip]:
    """Return the samples of an SF2 or SF3 file; of a stereo pair only the left one."""
    data = path.read_bytes()
    if data[:4] != b"RIFF" or data[8:12] != b"sfbk":
        raise ValueError(f"{path} is no SoundFont: it does not begin with RIFF … sfbk")
    lists = {data[at : at + 4]: (at + 4, at + size) for _, at, size in _chunks(data, 12, len(data))}
    pool = {tag: (at, size) for tag, at, size in _chunks(data, *lists[b"sdta"])}[b"smpl"][0]
    at, size = {tag: (at, size) for tag, at, size in _chunks(data, *lists[b"pdta"])}[b"shdr"]
    clips: dict[str, Clip] = {}
    for record in range(at, at + size - 46, 46):  # the last one only ends the list
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
        # a loop over all of it only says that the blow is not to be looped
        if loop[0] < 0.02 * rate or loop[1] > length or loop[1] - loop[0] < LEAST_LOOP_S * rate:
            loop = (0, 0)
        seconds = max(length / rate, LOOPED_S) if loop[1] else length / rate
        decode = _sample(body, rate, loop, compressed=bool(kind & 0x10))
        name = _unique(_plain(re.sub(r"\(L\)|[-_ ]L$", "", title)), clips)
        clips[name] = Clip(name, instrument(title), seconds, licence, decode)
    return [c for c in clips.values() if not (c.name[-1] == "r" and c.name[:-1] + "l" in clips)]


def instrument(title: str) -> str:
    """Return what a sample's title says of the instrument: pitch, loudness, side, number cut off.

    "Trombone Bb3(L)" and "trombone-c#4" are both ``trombone``.
    """
    words = _plain(re.sub(r"\([LR]\)", "", title).replace("#", "s")).split("-")
    pitch = r"[a-g][sb]?-?\d+[lr]?|[lr]|p+|m[pf]|f+|\d+|v\d+[a-z]*|r+\d+[a-z]*|[a-g]s?"
    while len(words) > 1 and re.fullmatch(pitch, words[-1]):
        words.pop()
    return re.sub(r"(?<=[a-z]{3})(\d+|[A-G]#?\d)$", "", "-".join(words))


def archive(path: Path, licence: str) -> list[Clip]:
    """Return the sound lumps of a Doom archive (WAD), 8 bit PCM behind a header of 8 bytes."""
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
        clips.setdefault(name, Clip(name, instrument(name), seconds, licence, _bytes(body, rate)))
    return list(clips.values())


def files(
    root: Path, folder: str, licence_of: Callable[[str], str | None], group: Callable[[str], str]
) -> list[Clip]:
    """Return the sound files below a folder of an unpacked package that are free.

    ``licence_of``: path below ``folder`` → licence, or None where it is not to be taken.
    """
    clips: dict[str, Clip] = {}
    for path in sorted((root / folder).rglob("*")):
        inner = path.relative_to(root / folder).as_posix()
        if path.suffix.lower() not in (".flac", ".wav", ".ogg", ".aif", ".aiff", ".mp3"):
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


def clonk(path: Path, licence: str) -> list[Clip]:
    """Return the sounds of an OpenClonk group and the groups in it."""
    data = path.read_bytes()
    if data[:2] != b"\x1e\x8c":
        raise ValueError(f"{path} is no OpenClonk group: it does not begin with 1e 8c")
    clips: dict[str, Clip] = {}
    for inner, body in _group(zlib.decompress(b"\x1f\x8b" + data[2:], 31), ""):
        if inner.endswith((".wav", ".ogg")):
            name = _unique(_plain(inner[:-4].replace(".ocg", "")), clips)
            seconds = float(soundfile.info(io.BytesIO(body)).duration)
            clips[name] = Clip(name, instrument(name), seconds, licence, _file(body))
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


def licences(copyright_file: Path, source: Callable[[str], str]) -> Callable[[str], str | None]:
    """Read a machine-readable copyright file; return: path → its free licence, or None.

    ``source``: path → that in the source package.  The last paragraph that matches counts
    (format 1.0, "Files"); of alternatives ("or") the first that is free.
    """
    stanzas: list[tuple[list[str], str]] = []
    for block in re.split(r"\n\s*\n", copyright_file.read_text("utf-8", "replace")):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+):((?:.*)(?:\n[ \t].*)*)", block))
        if "Files" in fields and "License" in fields:
            licence = (fields["License"].strip() or "none").splitlines()[0].strip()
            lines = [line.strip() for line in fields["Files"].splitlines()]
            # some write names with spaces plainly, though the format would have ? for them
            stanzas.append(([*lines, *fields["Files"].split()], licence))

    def licence_of(inner: str) -> str | None:
        found = [licence for patterns, licence in stanzas if _any(source(inner), patterns)]
        choice = found[-1].split(" or ") if found else []
        return next((licence for licence in choice if licence.lower() in FREE), None)

    return licence_of


def spread(clips: list[Clip], cap_s: float) -> list[Clip]:
    """Choose clips of ``cap_s`` seconds at most: from every group in turn, evenly over each."""
    groups: dict[str, list[Clip]] = {}
    for clip in sorted(clips, key=lambda clip: clip.name):
        groups.setdefault(clip.group, []).append(clip)
    turns = [
        (turn, group, members[index])
        for group, members in groups.items()
        for turn, index in enumerate(_evenly(len(members)))
    ]
    chosen, total = [], 0.0
    for _, _, clip in sorted(turns, key=lambda entry: entry[:2]):
        if total + clip.seconds <= cap_s:
            chosen.append(clip)
            total += clip.seconds
    return sorted(chosen, key=lambda clip: clip.name)


def _evenly(n: int) -> list[int]:
    """Return 0 … n−1 so ordered that every beginning is spread over all (van der Corput)."""
    bits = max(1, (n - 1).bit_length())
    turned = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(2**bits))
    return [index for index in turned if index < n]


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
    return sound if sound.ndim == 1 else sound[:, 0]  # a mean would comb what came at an angle


def _any(path: str, patterns: list[str]) -> bool:
    return any(fnmatch.fnmatchcase(path, pattern.removeprefix("./")) for pattern in patterns)


def _plain(title: str) -> str:
    return re.sub(r"[^a-z0-9#]+", "-", title.lower()).replace("#", "s").strip("-") or "sound"


def _unique(name: str, taken: dict[str, Clip]) -> str:
    number, tried = 1, name
    while tried in taken:
        number += 1
        tried = f"{name}-{number}"
    return tried
