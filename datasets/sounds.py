"""Download freely licensed recordings from Debian packages, to train an encoder on.

    python -m datasets.sounds OUT
    python -m datasets.sounds --list
    asd-monitor pretrain --sounds OUT --output DIR

They are short recordings of every kind, instruments, voices, animals, weather, tools, engines
and music, since there is no free collection of machines.  apt-get downloads the packages (2 GB)
into a temporary folder; nothing is installed.  Only recordings are taken that everyone may use,
change and pass on (MIT, BSD, zlib, CC0, public domain, CC BY), by the licence of each file where
a package has several; at most --minutes of each package, evenly over its instruments.  The
default is 3,162 files, 2 hours 31 minutes, and takes 3 minutes on Debian 12.

OUT/<package>/<name>.flac are mono, 16 kHz, 16 bit.  OUT/sounds.csv lists for each the package,
its version, licence, group (an instrument or series), duration in s, SHA-256 of the file, and
that of the package.  The same packages give the same bytes; files that are there already are
kept.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from datasets.debian_packages import (
    PACKAGES,
    DownloadError,
    Package,
    candidate_version,
    download_and_unpack,
    sha256_of,
)
from datasets.recordings import RATE_HZ
from datasets.sound_formats import Clip

MIN_SOUND_S = 0.15
MIN_PEAK = 10 ** (-50 / 20)
COLUMNS = (
    *("file", "package", "version", "licence", "group", "seconds"),
    *("sha256", "package_sha256", "cap_minutes"),
)


def select_evenly(clips: list[Clip], cap_s: float) -> list[Clip]:
    """Return clips of at most ``cap_s`` seconds in all: groups in turn, evenly over each."""
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
    """Return 0 … n−1 in van der Corput order: every prefix is spread over the whole range."""
    bits = max(1, (n - 1).bit_length())
    reversed_bits = (int(f"{index:0{bits}b}"[::-1], 2) for index in range(2**bits))
    return [index for index in reversed_bits if index < n]


def _write(clip: Clip, path: Path) -> float | None:
    """Write a clip as mono 16 kHz FLAC; return its duration in s, or None if it is silent."""
    sound, rate = clip.decode()
    sound = soxr.resample(sound, rate, RATE_HZ, quality="HQ")
    peak = float(np.abs(sound).max(initial=0.0))
    if len(sound) < MIN_SOUND_S * RATE_HZ or peak < MIN_PEAK:
        return None
    sound = sound * min(1.0, 0.999 / peak)  # the filter may overshoot full scale
    soundfile.write(path, sound, RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(sound) / RATE_HZ


def _download(
    package: Package, out: Path, minutes: float, candidate: tuple[str, str]
) -> list[list[str]]:
    """Write the recordings of a package; return their lines of the table."""
    version, sha256 = candidate
    folder, new, lines = out / package.name, out / f".{package.name}", []
    with tempfile.TemporaryDirectory(prefix="sounds-") as temporary:
        clips = package.read(download_and_unpack(package.name, sha256, Path(temporary)))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for clip in select_evenly([c for c in clips if c.seconds >= MIN_SOUND_S], 60 * minutes):
            path = new / f"{clip.name}.flac"
            seconds = _write(clip, path)
            if seconds is not None:
                file = f"{package.name}/{path.name}"
                entry = [file, package.name, version, clip.licence, clip.group, f"{seconds:.3f}"]
                lines.append([*entry, sha256_of(path), sha256, f"{minutes:g}"])
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)  # complete
    return lines


def _read_table(out: Path) -> dict[str, list[list[str]]]:
    """Return the lines of the present table by package."""
    table: dict[str, list[list[str]]] = {}
    path = out / "sounds.csv"
    if path.exists():
        with path.open(newline="") as stream:
            head, *lines = list(csv.reader(stream)) or [[]]
        for line in lines if tuple(head) == COLUMNS else []:
            table.setdefault(line[1], []).append(line)
    return table


def _is_current(lines: list[list[str]], out: Path, minutes: float, sha256: str) -> bool:
    """Return whether these lines are of this package and cap, and all files are unchanged."""
    return bool(lines) and all(
        line[7:] == [sha256, f"{minutes:g}"]
        and (out / line[0]).is_file()
        and sha256_of(out / line[0]) == line[6]
        for line in lines
    )


def _write_table(table: dict[str, list[list[str]]], out: Path) -> None:
    with (out / "sounds.new").open("w", newline="") as stream:
        lines = [line for package in sorted(table) for line in table[package]]
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *lines])
    (out / "sounds.new").replace(out / "sounds.csv")


def _print_line(name: str, version: str, licence: str, lines: list[list[str]]) -> None:
    hours = sum(float(line[5]) for line in lines) / 3600
    sys.stdout.write(f"{name:<28} {version:<18} {licence:<46} {len(lines):>6} {hours:>7.3f}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m datasets.sounds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, nargs="?", help="folder to write")
    parser.add_argument("--list", action="store_true", help="list the packages only")
    parser.add_argument("--minutes", type=float, default=40.0, help="of each package, at most")
    names = [package.name for package in PACKAGES]
    parser.add_argument("--packages", nargs="+", choices=names, default=names, metavar="NAME")
    options = parser.parse_args()
    if options.out is None and not options.list:
        parser.error("name the folder to write, or use --list")
    return options


def _run(options: argparse.Namespace) -> None:
    chosen = [package for package in PACKAGES if package.name in options.packages]
    if options.list:
        for package in chosen:
            sys.stdout.write(
                f"{package.name:<28} {candidate_version(package.name)[0]:<18} {package.content}\n"
            )
        return
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise DownloadError(f"{out} is a file: name a folder")
    table = _read_table(out)
    sys.stdout.write(f"{'package':<28} {'version':<18} {'licences':<46}  files   hours\n")
    for package in chosen:
        candidate = candidate_version(package.name)
        lines = table.pop(package.name, [])
        if not _is_current(lines, out, options.minutes, candidate[1]):
            lines = _download(package, out, options.minutes, candidate)
        table[package.name] = lines
        _write_table(table, out)  # after each package, in case of an interruption
        licences = ", ".join(sorted({line[3] for line in lines}))
        _print_line(package.name, candidate[0], licences, lines)
    _print_line("all", "", "", [line for package in chosen for line in table[package.name]])


def main() -> int:
    """Download the recordings, or list the packages."""
    try:
        _run(_arguments())
    except (DownloadError, OSError, ValueError) as error:
        sys.stderr.write(f"sounds: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
