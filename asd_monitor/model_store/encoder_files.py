"""The networks that bundles refer to: ``models/.encoders/<sha256>.onnx``, each stored once.

All versions of all machines share them, since a network can be larger than the rest of a bundle.
A file is never changed, and its hash must be its name.
"""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asd_monitor.encoders.card import CardError, card_from_values
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.encoder_loading import SHIPPED_FILE, SHIPPED_FOLDERS
from asd_monitor.encoders.runtime import Runtime
from asd_monitor.encoders.session import MAX_NETWORK_BYTES, EncoderError, GpuError
from asd_monitor.limited_reading import read_limited
from asd_monitor.model_store.atomic_files import replace_durably, writing_to

FOLDER = ".encoders"  # cannot be the id of a machine

_opening = threading.Lock()
"""Held while a session is created: machines that are loaded at the same time share networks."""


class StoredEncoderError(Exception):
    """A stored network is missing or invalid; the message names the file."""

    def __init__(self, message: str, alternative: str = "") -> None:
        super().__init__(message)
        self.alternative = alternative
        """What may be done instead of a new training, as the beginning of the remedy."""


def encoder_path(models: Path, sha256: str) -> Path:
    """Return the path of a stored network."""
    return models / FOLDER / f"{sha256}.onnx"


def store_encoders(models: Path, encoders: Sequence[Encoder]) -> list[dict[str, Any]]:
    """Store networks that are not stored yet; return their entries for a manifest.

    Raises:
        OSError: the folder cannot be written.

    """
    if encoders:
        with writing_to(models / FOLDER):
            for encoder in encoders:
                _store(models, encoder)
    return [{"name": e.name, "sha256": e.sha256, "card": e.card.to_json()} for e in encoders]


def _store(models: Path, encoder: Encoder) -> None:
    path = encoder_path(models, encoder.sha256)
    try:
        stored = hashlib.sha256(_read(path)).hexdigest() == encoder.sha256
    except (FileNotFoundError, StoredEncoderError):
        stored = False
    if not stored:  # a damaged file is replaced
        replace_durably(path, encoder.onnx)


@dataclass(frozen=True, slots=True, eq=False)
class StoredEncoder:
    """An encoder of a bundle."""

    encoder: Encoder
    damage: str | None
    """Why the network of the package, which is the same, is used; None: the stored one is."""


def load_stored_encoder(models: Path, entry: Mapping[str, Any], runtime: Runtime) -> StoredEncoder:
    """Return the encoder that an entry of a manifest refers to, with its session open.

    Where the stored network is missing or damaged, that of the package is used if it has the same
    hash.

    Raises:
        StoredEncoderError: it is missing, was changed, or does not match its card.
        GpuError: it is to be run on a GPU, which cannot be used.
        OSError: it cannot be read.
        KeyError, TypeError, ValueError: the entry is invalid.

    """
    sha256 = entry["sha256"]
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"{sha256!r} is not the SHA-256 of a network")
    path, damage = encoder_path(models, sha256), None
    try:
        card = card_from_values(entry["card"], f"the card of {entry['name']}")
    except CardError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    try:
        onnx = _intact(path, sha256, entry["name"])
    except StoredEncoderError as error:
        shipped = _shipped(sha256)
        if shipped is None:
            raise
        onnx = shipped
        damage = f"{error}: the same network of the package is used; copy it there"
    try:
        with _opening:
            encoder = Encoder.from_bytes(onnx, card, runtime)
            encoder.open()
    except GpuError:
        raise
    except EncoderError as error:
        raise StoredEncoderError(f"{path}: {error}") from error
    return StoredEncoder(encoder, damage)


def _intact(path: Path, sha256: str, name: str) -> bytes:
    try:
        onnx = _read(path)
    except FileNotFoundError as error:
        raise StoredEncoderError(
            f"{path} is missing, the network {name}",
            f"copy the hidden folder {FOLDER} of the models folder that this model comes from too, "
            "as `asd-monitor models export` does, or ",
        ) from error
    if hashlib.sha256(onnx).hexdigest() != sha256:
        raise StoredEncoderError(f"{path} was changed: its hash differs from its name")
    return onnx


def _shipped(sha256: str) -> bytes | None:
    """Return the network of the package, where it has this hash."""
    for folder in SHIPPED_FOLDERS:
        try:
            onnx = read_limited(folder / SHIPPED_FILE, MAX_NETWORK_BYTES)
        except (OSError, ValueError):
            continue
        if hashlib.sha256(onnx).hexdigest() == sha256:
            return onnx
    return None


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, MAX_NETWORK_BYTES)
    except ValueError as error:
        raise StoredEncoderError(f"{path.parent}: {error}") from error
