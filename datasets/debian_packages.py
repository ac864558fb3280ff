"""The Debian packages that `datasets.sounds` downloads, and downloading by apt."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from datasets.package_licences import free_licences
from datasets.sound_formats import (
    Clip,
    instrument_of,
    read_clonk_group,
    read_sound_files,
    read_soundfont,
    read_wad,
)


class DownloadError(Exception):
    """A package cannot be downloaded or read; the message has the remedy."""


@dataclass(frozen=True)
class Package:
    """A Debian package with sounds."""

    name: str
    content: str
    read: Callable[[Path], list[Clip]]  # from the root of the unpacked package


def _per_file(
    package: str, folder: str, source: Callable[[str], str]
) -> Callable[[Path], list[Clip]]:
    """Return a reader of the files below ``folder`` with the licence of each."""

    def read(root: Path) -> list[Clip]:
        licence_of = free_licences(root / f"usr/share/doc/{package}/copyright", source)
        return read_sound_files(root, folder, licence_of, instrument_of)

    return read


def _kit(inner: str) -> str:
    """Return the archive in the source of Hydrogen that has the file of a drum kit."""
    return f"drumkits/{inner.partition('/')[0]}.h2drumkit"


PACKAGES = (
    Package(
        "fluid-soundfont-gm",
        "instruments of General MIDI",
        lambda root: read_soundfont(root / "usr/share/sounds/sf2/FluidR3_GM.sf2", "MIT"),
    ),
    Package(
        "musescore-general-soundfont",
        "instruments, drums",
        lambda root: read_soundfont(
            root / "usr/share/sounds/sf3/MuseScore_General_Full.sf3", "MIT"
        ),
    ),
    Package(
        "sonic-pi-samples",
        "drums, loops, noises",
        _per_file("sonic-pi-samples", "usr/share/sonic-pi/samples", "etc/samples/{}".format),
    ),
    Package(
        "freedoom",
        "weapons, doors, creatures",
        lambda root: read_wad(root / "usr/share/games/doom/freedoom2.wad", "BSD-3-clause"),
    ),
    Package(
        "openclonk-data",
        "tools, voices, animals, weather",
        # authors.txt: CC BY 3.0 unless stated otherwise, and otherwise CC0
        lambda root: read_clonk_group(root / "usr/share/games/openclonk/Sound.ocg", "CC-BY-3.0"),
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
        raise DownloadError(
            f"{arguments[0]} is not here: run this on Debian or Ubuntu, and copy the folder"
        ) from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        error = errors[-1] if errors else f"exit code {done.returncode}"
        raise DownloadError(
            f"{' '.join(arguments)}: {error}; is there a network? sudo apt-get update"
        )
    return done.stdout


def candidate_version(package: str) -> tuple[str, str]:
    """Return version and SHA-256 of the package that apt would install.

    Raises DownloadError.
    """
    try:
        shown = _apt("apt-cache", "show", "--no-all-versions", package)
    except DownloadError as error:
        if "No packages found" not in str(error) and "Unable to locate" not in str(error):
            raise
        shown = ""
    fields = dict(re.findall(r"(?m)^(Version|SHA256): (.*)$", shown))
    if len(fields) != 2:
        raise DownloadError(
            f"apt knows no package {package}: sudo apt-get update, or leave it out (--packages)"
        )
    return fields["Version"], fields["SHA256"]


def download_and_unpack(package: str, sha256: str, where: Path) -> Path:
    """Download and unpack a package below ``where``; return its root.

    Raises DownloadError.
    """
    _apt("apt-get", "download", package, where=where)
    archives = list(where.glob(f"{package}_*.deb"))
    if len(archives) != 1 or sha256_of(archives[0]) != sha256:
        raise DownloadError(
            f"{package}: the download is not what apt announced: sudo apt-get update"
        )
    root = where / package
    if shutil.which("dpkg-deb") is None:
        raise DownloadError("dpkg-deb is not here: sudo apt-get install dpkg")
    done = subprocess.run(
        ["dpkg-deb", "-x", archives[0], root], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DownloadError(f"{package} cannot be unpacked in {where}: {done.stderr.strip()}")
    archives[0].unlink()
    return root


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
