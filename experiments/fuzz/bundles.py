"""Damaged bundles: cards, manifests and array files, by somebody who writes the hashes anew.

A case changes one file of a valid bundle, or the card of a valid network, and is then loaded as
the daemon, `models list` and `models show` do it.  A change of values keeps the form; a change of
bytes does not.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import json
import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from typer.testing import CliRunner

from asd_monitor.cli.models import app
from asd_monitor.detector.fit import fit_detector
from asd_monitor.dsp.front_end import FrontEnd
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import SHIPPED_FOLDERS, parse_card, shipped_encoder
from asd_monitor.encoders.session import EncoderError
from asd_monitor.encoders.validation import validate_network
from asd_monitor.errors import AsdMonitorError
from asd_monitor.features.windows import WindowStream
from asd_monitor.model_store.bundle import load_bundle, save_bundle
from asd_monitor.model_store.manifest import ARRAYS
from asd_monitor.model_store.versions import MANIFEST, BundleError, set_current

MACHINE, VERSION = "fan01", "v1"

_TRAINING = {
    "trained": "2026-01-02T03:04:05.000Z",
    "training": {
        "seconds": 30.0,
        "windows": 55,
        "one_piece_in": 1,
        "files": [
            {
                "name": "a.flac",
                "sha256": "0" * 64,
                "seconds": 30.0,
                "rate_hz": 16000,
                "modified": "2026-01-02T03:04:05.000Z",
            }
        ],
    },
    "thresholds": {
        "false_alarms": "1 per month",
        "alarm": 5.4,
        "warnings": "1 per day",
        "warning": 3.9,
        "false_alarms_per_day": [0.0, 4.0],
    },
    "held_out": None,
    "warnings": ["little sound"],
}

_EXTREMES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 3, 64, 65_535, 2**31, 2**53, 2**63, 2**64, 10**400),
    *(0.0, -0.0, 0.5, 1e-320, 1e-30, 1e30, 1.7e308, -1e308, float("nan"), float("inf")),
    *(
        "",
        "x",
        "../..",
        "\x00",
        "\ud800",
        "é" * 300,
        "level",
        "0" * 64,
        "v2",
        "log_mel",
        "waveform",
    ),
    *([], {}, [1], [[]], {"x": 1}, [0.0] * 19, ["a"] * 1000, [1e6] * 2),
)


@cache
def shipped() -> Encoder:
    """Return the shipped encoder."""
    encoder = shipped_encoder()
    if encoder is None:
        raise FileNotFoundError(f"no network in {SHIPPED_FOLDERS}")
    return encoder


@cache
def bundle_folder() -> Path:
    """Return a models folder with a bundle of real views and the shipped network."""
    encoder = shipped()
    front_end = FrontEnd()
    stream = WindowStream(front_end, [encoder])
    rng = np.random.default_rng(0)
    sound = rng.normal(0, 0.05, 30 * front_end.rate_hz).astype(np.float32)
    detector = fit_detector([stream.push(sound)], front_end, front_end.rate_hz, [encoder]).detector
    models = Path(tempfile.mkdtemp(prefix="fuzz-bundle-"))
    atexit.register(shutil.rmtree, models)
    save_bundle(models, MACHINE, detector, _TRAINING, {"report.html": "<p>report</p>"})
    return models


def write_manifest(models: Path, text: str, *, sealed: bool = True) -> None:
    """Write the text of a JSON object as the manifest, with its hash, and put it into use."""
    body = text.rstrip().removesuffix("}").rstrip().encode(errors="surrogatepass")
    sha256 = hashlib.sha256(body).hexdigest()
    content = body + f',\n "sha256": "{sha256}"\n}}\n'.encode()
    _replace(models / MACHINE / VERSION / MANIFEST, content if sealed else body + b"\n}\n")
    set_current(models, MACHINE, VERSION, sha256)


def read_manifest(models: Path) -> dict[str, Any]:
    """Return the manifest without its own hash."""
    manifest: dict[str, Any] = json.loads((models / MACHINE / VERSION / MANIFEST).read_text())
    del manifest["sha256"]
    return manifest


def change_values(rng: np.random.Generator, values: Any) -> str:
    """Change one value, key or item somewhere in a tree of values; return what was done."""
    path = []
    while True:
        keys = list(values) if isinstance(values, dict) else list(range(len(values)))
        if not keys:
            return "nothing"
        key = keys[rng.integers(len(keys))]
        path.append(str(key))
        inner = values[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.15:
            break
        values = inner
    kind = rng.integers(6)
    if isinstance(inner, int | float) and not isinstance(inner, bool) and rng.random() < 0.6:
        factor = int(rng.choice([-1, 2, 3, 10, 1000]))
        values[key] = inner * factor if rng.random() < 0.5 else inner + factor
    elif kind == 0:
        del values[key]
    elif kind == 1 and isinstance(values, list):
        values.append(values[key])
    elif kind == 1:
        values[f"{key}2"] = values.pop(key)
    else:
        values[key] = _EXTREMES[rng.integers(len(_EXTREMES))]
    return ".".join(path)


def change_bytes(rng: np.random.Generator, data: bytes) -> bytes:
    """Flip bits, cut, remove, repeat or insert a piece."""
    changed = bytearray(data)
    place = int(rng.integers(len(data) + 1))
    piece = int(rng.integers(1, 200))
    match rng.integers(5):
        case 0:
            for _ in range(rng.integers(1, 30)):
                changed[rng.integers(len(changed))] ^= 1 << int(rng.integers(8))
        case 1:
            del changed[place:]
        case 2:
            del changed[place : place + piece]
        case 3:
            changed[place:place] = changed[place : place + piece] * int(rng.integers(1, 50))
        case _:
            changed[place:place] = rng.bytes(piece)
    return bytes(changed)


class DamagedCards:
    """Cards, read as `train --encoder` reads them; valid ones are tried with the network."""

    name = "cards"

    def prepare(self) -> None:
        """Load the shipped network."""
        shipped()

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write one damaged card."""
        text = yaml.safe_dump(shipped().card.to_json(), sort_keys=False)
        if rng.random() < 0.3:
            (folder / "card.yaml").write_bytes(change_bytes(rng, text.encode()))
            return "bytes"
        values = yaml.safe_load(text)
        changes = [change_values(rng, values) for _ in range(rng.integers(1, 4))]
        written = yaml.safe_dump(values, allow_unicode=bool(rng.integers(2)))
        (folder / "card.yaml").write_bytes(written.encode(errors="surrogatepass"))
        return ", ".join(changes)

    def run_case(self, folder: Path) -> str:
        """Read the card and validate the network with it."""
        try:
            card = parse_card((folder / "card.yaml").read_bytes(), "card.yaml")
        except AsdMonitorError as error:
            _check_lines(str(error))
            return "refused"
        Encoder(card, shipped().network).incompatibility(FrontEnd())
        try:
            validate_network(shipped().network, card)
        except EncoderError as error:
            _check_lines(str(error))
            return "refused by the trial"
        return "used"


class DamagedManifests:
    """Manifests, with their hash, loaded and shown."""

    name = "manifests"

    def prepare(self) -> None:
        """Make the bundle, and load what the commands need."""
        _load(bundle_folder())

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write a bundle with a damaged manifest."""
        models = _copied(folder)
        text = json.dumps(read_manifest(models), indent=1)
        if rng.random() < 0.2:
            changed = change_bytes(rng, text.encode()).decode(errors="replace")
            write_manifest(models, changed, sealed=bool(rng.integers(2)))
            return "bytes"
        values = json.loads(text)
        changes = [change_values(rng, values) for _ in range(rng.integers(1, 4))]
        if rng.random() < 0.02:
            values["nested"] = 0
            text = json.dumps(values).replace('"nested": 0', '"nested": ' + "[" * 10_000)
        else:
            text = json.dumps(values, indent=1)
        write_manifest(models, text)
        return ", ".join(changes)

    def run_case(self, folder: Path) -> str:
        """Load it, and show what is loaded."""
        return _load(folder)


class DamagedArrays:
    """Array files, with their hash in the manifest, loaded and shown."""

    name = "npz"

    def prepare(self) -> None:
        """Make the bundle, and load what the commands need."""
        _load(bundle_folder())

    def write_case(self, rng: np.random.Generator, folder: Path) -> str:
        """Write a bundle with a damaged array file."""
        models = _copied(folder)
        path = models / MACHINE / VERSION / ARRAYS
        content = path.read_bytes()
        damage = _ARRAY_DAMAGES[rng.integers(len(_ARRAY_DAMAGES))]
        changed = damage(rng, content)
        _replace(path, changed)
        manifest = read_manifest(models)
        manifest["files"][ARRAYS] = hashlib.sha256(changed).hexdigest()
        write_manifest(models, json.dumps(manifest, indent=1))
        return damage.__name__.strip("_").replace("_", " ")

    def run_case(self, folder: Path) -> str:
        """Load it, and show what is loaded."""
        return _load(folder)


def _copied(folder: Path) -> Path:
    """Return the folder with the bundle; its files are links, to be replaced and not written."""
    shutil.copytree(bundle_folder(), folder, dirs_exist_ok=True, copy_function=os.link)
    return folder


def _replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def _load(models: Path) -> str:
    try:
        load_bundle(models, MACHINE)
    except BundleError as error:
        _check_lines(str(error), 1)
        return "refused"
    for command in ("list", "show"):
        result = CliRunner().invoke(app, [command, "--machine", MACHINE, "--models", str(models)])
        raised = result.exception
        if raised is not None and not isinstance(raised, AsdMonitorError | SystemExit):
            raise raised
    return "loaded"


def _check_lines(text: str, most: int = 100) -> None:
    lines = text.split("\n")
    if len(lines) > most or max(map(len, lines)) > 1000:
        raise AssertionError(f"not short lines: {text[:2000]!r}")


def _directory_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    """Change bytes of the archive's directory, or of the header of an array."""
    places = [found.start() for found in re.finditer(b"PK|\x93N", content)]
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        place = places[rng.integers(len(places))] + int(rng.integers(120))
        if place < len(changed):
            changed[place] = int(rng.integers(256))
    return bytes(changed)


def _any_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    return change_bytes(rng, content)


def _other_arrays(rng: np.random.Generator, content: bytes) -> bytes:
    """Change type, shape or values of some arrays, validly stored."""
    with np.load(io.BytesIO(content)) as stored:
        arrays = dict(stored)
    for _ in range(rng.integers(1, 4)):
        name = list(arrays)[rng.integers(len(arrays))]
        array = arrays[name]
        match rng.integers(8):
            case 0:
                arrays[name] = array.astype(rng.choice(["f8", "f2", "i4", "u1", ">f4", "c8"]))
            case 1:
                arrays[name] = array[: rng.integers(len(array) + 1)]
            case 2:
                arrays[name] = np.full_like(array, rng.choice([0, -1, 3e38, np.nan, np.inf, 1e-40]))
            case 3:
                arrays[name] = np.asarray(array.T)
            case 4:
                arrays[name] = array[None]
            case 5:
                del arrays[name]
            case 6:
                arrays["é" * int(rng.integers(1, 40))] = array
            case _:
                arrays[name] = array * np.float32(rng.choice([-1.0, 1e-30, 1e20]))
        if not arrays:
            break
    buffer = io.BytesIO()
    (np.savez_compressed if rng.random() < 0.2 else np.savez)(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def _declared_sizes(rng: np.random.Generator, content: bytes) -> bytes:
    """Store an array whose header declares another size than it has."""
    axes = [str(10 ** int(rng.integers(12))) for _ in range(rng.integers(4))]
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({', '.join(axes)},), }}\n"
    array = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(content)) as source,
        zipfile.ZipFile(buffer, "w") as archive,
    ):
        replaced = source.namelist()[rng.integers(len(source.namelist()))]
        for member in source.namelist():
            archive.writestr(member, array if member == replaced else source.read(member))
    return buffer.getvalue()


def _bomb(rng: np.random.Generator, content: bytes) -> bytes:  # noqa: ARG001
    """Store a compressed array that is much larger than the file."""
    buffer = io.BytesIO()
    method = int(rng.choice([zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]))
    most = 20 if method == zipfile.ZIP_DEFLATED else 2  # the others are slow to write
    with (
        zipfile.ZipFile(buffer, "w", method) as archive,
        archive.open("level.points.npy", "w", force_zip64=True) as member,
    ):
        for _ in range(int(rng.integers(1, most))):
            member.write(bytes(2**20))
    return buffer.getvalue()


_ArrayDamage = Callable[[np.random.Generator, bytes], bytes]
_ARRAY_DAMAGES: tuple[_ArrayDamage, ...] = (
    *(_directory_bytes, _directory_bytes, _directory_bytes, _any_bytes, _any_bytes),
    *(_other_arrays, _other_arrays, _declared_sizes, _bomb),
)
