"""Fetch freely licensed recordings out of Debian packages, to pretrain an encoder on.

    python -m datasets.sounds OUT
    python -m datasets.sounds --list
    asd-monitor pretrain --sounds OUT --output DIR

Instruments, voices, animals, weather, tools, engines, music: short recordings of every kind,
since there is no free collection of machines.  The packages (2 GB) are downloaded by apt-get and
unpacked into a temporary folder; nothing is installed.  Only recordings are taken that everybody
may use, change and pass on (MIT, BSD, zlib, CC0, public domain, CC BY), where a package mixes
licences by those of each file; at most --minutes of each package, evenly over its instruments.
With the default options: 3,162 files, 2 hours 31 minutes, on Debian 12 in 3 minutes.

OUT/<package>/<name>.flac are mono, 16 kHz, 16 bit.  OUT/sounds.csv has of each its package,
version, licence, group (recordings of one instrument or series, near each other), seconds, the
SHA-256 of the file and that of the package.  The same packages give the same bytes; what is
there already is kept.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from datasets.sound_packages import (
    Clip,
    archive,
    clonk,
    files,
    instrument,
    licences,
    soundfont,
    spread,
)

RATE_HZ = 16_000
LEAST_S = 0.15
SILENT = 10 ** (-50 / 20)
"""Peaks below this are silence."""
COLUMNS = (
    *("file", "package", "version", "licence", "group", "seconds"),
    *("sha256", "package_sha256", "cap_minutes"),
)


class SoundsError(Exception):
    """What went wrong, where, and the mend, in one line."""


@dataclass(frozen=True)
class Package:
    """A Debian package: what is in it, and how its recordings are read once it is unpacked."""

    name: str
    holds: str
    read: Callable[[Path], list[Clip]]


def _per_file(
    package: str, folder: str, source: Callable[[str], str]
) -> Callable[[Path], list[Clip]]:
    """Read the files below ``folder``, each by the licence of what it is in the source."""

    def read(root: Path) -> list[Clip]:
        licence_of = licences(root / f"usr/share/doc/{package}/copyright", source)
        return files(root, folder, licence_of, instrument)

    return read


def _kit(inner: str) -> str:
    """Return the archive in Hydrogen's source that a drum kit's file comes from."""
    return f"drumkits/{inner.partition('/')[0]}.h2drumkit"


PACKAGES = (
    Package(
        "fluid-soundfont-gm",
        "instruments of General MIDI",
        lambda root: soundfont(root / "usr/share/sounds/sf2/FluidR3_GM.sf2", "MIT"),
    ),
    Package(
        "musescore-general-soundfont",
        "instruments, drums",
        lambda root: soundfont(root / "usr/share/sounds/sf3/MuseScore_General_Full.sf3", "MIT"),
    ),
    Package(
        "sonic-pi-samples",
        "drums, loops, noises",
        _per_file("sonic-pi-samples", "usr/share/sonic-pi/samples", "etc/samples/{}".format),
    ),
    Package(
        "freedoom",
        "weapons, doors, creatures",
        lambda root: archive(root / "usr/share/games/doom/freedoom2.wad", "BSD-3-clause"),
    ),
    Package(
        "openclonk-data",
        "tools, voices, animals, weather",
        # its authors.txt: CC BY 3.0 if not stated otherwise, and otherwise CC0
        lambda root: clonk(root / "usr/share/games/openclonk/Sound.ocg", "CC-BY-3.0"),
    ),
    Package(
        "endless-sky-data",
        "thrusters, weapons, ambiences",
        _per_file("endless-sky-data", "usr/share/games/endless-sky/sounds", "sounds/{}".format),
    ),
    Package(
        "naev-data",
        "electronic music, explosions",
        _per_file("naev-data", "usr/share/naev/dat/snd", "dat/snd/{}".format),
    ),
    Package(
        "hydrogen-drumkits",
        "drums, hands, voices",
        _per_file("hydrogen-drumkits", "usr/share/hydrogen/data/drumkits", _kit),
    ),
    Package(
        "hydrogen-drumkits-effects",
        "guitars",
        _per_file("hydrogen-drumkits-effects", "usr/share/hydrogen/data/drumkits", _kit),
    ),
    Package(
        "supertuxkart-data",
        "engines, crashes, crowds, music",
        _per_file("supertuxkart-data", "usr/share/games/supertuxkart/data", "data/{}".format),
    ),
    Package(
        "lomiri-sounds",
        "ringtones",
        _per_file("lomiri-sounds", "usr/share/sounds/lomiri", "share/sounds/lomiri/{}".format),
    ),
    Package(
        "pocketsphinx-testdata",
        "speech",
        _per_file("pocketsphinx-testdata", "usr/share/pocketsphinx/test", "test/{}".format),
    ),
)


def _apt(*arguments: str, where: Path | None = None) -> str:
    command = [arguments[0], "-o", "APT::Sandbox::User=root", *arguments[1:]]
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command, cwd=where, env=environment, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        raise SoundsError(
            f"{arguments[0]} is not here: run this on Debian or Ubuntu, and copy the folder"
        ) from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        what = said[-1] if said else f"exit code {done.returncode}"
        raise SoundsError(f"{' '.join(arguments)}: {what}; is there a network? sudo apt-get update")
    return done.stdout


def _known(package: str) -> tuple[str, str]:
    """Return version and SHA-256 of the package that apt would install."""
    try:
        shown = _apt("apt-cache", "show", "--no-all-versions", package)
    except SoundsError as error:
        if "No packages found" not in str(error) and "Unable to locate" not in str(error):
            raise
        shown = ""
    fields = dict(re.findall(r"(?m)^(Version|SHA256): (.*)$", shown))
    if len(fields) != 2:
        raise SoundsError(
            f"apt knows no package {package}: sudo apt-get update, or leave it out (--packages)"
        )
    return fields["Version"], fields["SHA256"]


def _unpacked(package: str, sha256: str, where: Path) -> Path:
    """Download and unpack a package below ``where``; return its root."""
    _apt("apt-get", "download", package, where=where)
    archives = list(where.glob(f"{package}_*.deb"))
    if len(archives) != 1 or _sha256(archives[0]) != sha256:
        raise SoundsError(f"{package}: what came is not what apt announced: sudo apt-get update")
    root = where / package
    if shutil.which("dpkg-deb") is None:
        raise SoundsError("dpkg-deb is not here: sudo apt-get install dpkg")
    done = subprocess.run(
        ["dpkg-deb", "-x", archives[0], root], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SoundsError(f"{package} cannot be unpacked in {where}: {done.stderr.strip()}")
    archives[0].unlink()
    return root


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _write(clip: Clip, path: Path) -> float | None:
    """Write a clip as mono 16 kHz FLAC; return its seconds, or None where nothing is heard."""
    sound, rate = clip.decode()
    sound = soxr.resample(sound, rate, RATE_HZ, quality="HQ")
    peak = float(np.abs(sound).max(initial=0.0))
    if len(sound) < LEAST_S * RATE_HZ or peak < SILENT:
        return None
    sound = sound * min(1.0, 0.999 / peak)  # the filter may overshoot full scale
    soundfile.write(path, sound, RATE_HZ, format="FLAC", subtype="PCM_16")
    return len(sound) / RATE_HZ


def _fetch(package: Package, out: Path, minutes: float, known: tuple[str, str]) -> list[list[str]]:
    """Write the recordings of a package; return their lines of the table."""
    version, sha256 = known
    folder, new, lines = out / package.name, out / f".{package.name}", []
    with tempfile.TemporaryDirectory(prefix="sounds-") as temporary:
        clips = package.read(_unpacked(package.name, sha256, Path(temporary)))
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        for clip in spread([c for c in clips if c.seconds >= LEAST_S], 60 * minutes):
            path = new / f"{clip.name}.flac"
            seconds = _write(clip, path)
            if seconds is not None:
                file = f"{package.name}/{path.name}"
                facts = [file, package.name, version, clip.licence, clip.group, f"{seconds:.3f}"]
                lines.append([*facts, _sha256(path), sha256, f"{minutes:g}"])
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)  # only when it is whole
    return lines


def _there(out: Path) -> dict[str, list[list[str]]]:
    """Return the lines of the table that is there already, by package."""
    table: dict[str, list[list[str]]] = {}
    path = out / "sounds.csv"
    if path.exists():
        with path.open(newline="") as stream:
            head, *lines = list(csv.reader(stream)) or [[]]
        for line in lines if tuple(head) == COLUMNS else []:
            table.setdefault(line[1], []).append(line)
    return table


def _kept(lines: list[list[str]], out: Path, minutes: float, sha256: str) -> bool:
    """Tell whether these lines are of this package and cap, and all their files unchanged."""
    return bool(lines) and all(
        line[7:] == [sha256, f"{minutes:g}"]
        and (out / line[0]).is_file()
        and _sha256(out / line[0]) == line[6]
        for line in lines
    )


def _save(table: dict[str, list[list[str]]], out: Path) -> None:
    with (out / "sounds.new").open("w", newline="") as stream:
        lines = [line for package in sorted(table) for line in table[package]]
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *lines])
    (out / "sounds.new").replace(out / "sounds.csv")


def _tell(name: str, version: str, licence: str, lines: list[list[str]]) -> None:
    hours = sum(float(line[5]) for line in lines) / 3600
    sys.stdout.write(f"{name:<28} {version:<18} {licence:<46} {len(lines):>6} {hours:>7.3f}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path, nargs="?", help="folder to write")
    parser.add_argument("--list", action="store_true", help="only tell the packages")
    parser.add_argument("--minutes", type=float, default=40.0, help="at most, of each package")
    names = [package.name for package in PACKAGES]
    parser.add_argument("--packages", nargs="+", choices=names, default=names, metavar="NAME")
    options = parser.parse_args()
    if options.out is None and not options.list:
        parser.error("name the folder to write, or say --list")
    return options


def _run(options: argparse.Namespace) -> None:
    chosen = [package for package in PACKAGES if package.name in options.packages]
    if options.list:
        for package in chosen:
            sys.stdout.write(f"{package.name:<28} {_known(package.name)[0]:<18} {package.holds}\n")
        return
    out: Path = options.out
    if out.exists() and not out.is_dir():
        raise SoundsError(f"{out} is a file: name a folder")
    table = _there(out)
    sys.stdout.write(f"{'package':<28} {'version':<18} {'licences':<46}  files   hours\n")
    for package in chosen:
        known = _known(package.name)
        lines = table.pop(package.name, [])
        if not _kept(lines, out, options.minutes, known[1]):
            lines = _fetch(package, out, options.minutes, known)
        table[package.name] = lines
        _save(table, out)  # after each, so that what was fetched outlives an interruption
        licences_here = ", ".join(sorted({line[3] for line in lines}))
        _tell(package.name, known[0], licences_here, lines)
    _tell("all", "", "", [line for package in chosen for line in table[package.name]])


def main() -> int:
    """Fetch, or tell."""
    try:
        _run(_arguments())
    except (SoundsError, OSError, ValueError) as error:
        sys.stderr.write(f"sounds: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
