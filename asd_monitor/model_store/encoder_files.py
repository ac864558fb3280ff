"""The networks that bundles refer to: ``models/.encoders/<sha256>.onnx``, each stored once.

All versions of all machines share them, since a network can be larger than the rest of a bundle.
A file is never changed, and its hash must be its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asd_monitor.encoders.card import CardError, card_from_values
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import MAX_NETWORK_BYTES, EncoderError, GpuError
from asd_monitor.model_store.atomic_files import read_limited, replace_durably

FOLDER = ".encoders"  # cannot be the id of a machine


class StoredEncoderError(Exception):
    """A stored network is missing or invalid; the message names the file."""


def encoder_path(models: Path, sha256: str) -> Path:
    """Return the path of a stored network."""
    return models / FOLDER / f"{sha256}.onnx"


def store_encoders(models: Path, encoders: Iterable[Encoder]) -> list[dict[str, Any]]:
    """Store networks that are not stored yet; return their entries for a manifest.

    Raises:
        OSError: the folder cannot be written.

    """
    return [
        {"name": e.name, "sha256": _store(models, e), "card": e.card.to_json()} for e in encoders
    ]


def _store(models: Path, encoder: Encoder) -> str:
    path = encoder_path(models, encoder.sha256)
    try:
        stored = hashlib.sha256(_read(path)).hexdigest() == encoder.sha256
    except (FileNotFoundError, StoredEncoderError):
        stored = False
    if not stored:  # a damaged file is replaced
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, encoder.onnx)
    return encoder.sha256


def load_stored_encoder(models: Path, entry: Mapping[str, Any]) -> Encoder:
    """Return the encoder that an entry of a manifest refers to, with its session open.

    Raises:
        StoredEncoderError: it is missing, was changed, or does not match its card.
        GpuError: it is to be run on a GPU, which cannot be used.
        OSError: it cannot be read.
        KeyError, TypeError, ValueError: the entry is invalid.

    """
    sha256 = entry["sha256"]
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"{sha256!r} is not the SHA-256 of a network")
    path = encoder_path(models, sha256)
    try:
        card = card_from_values(entry["card"], f"the card of {entry['name']}")
        onnx = _read(path)
    except CardError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    except FileNotFoundError as error:
        raise StoredEncoderError(f"{path} is missing, the network {entry['name']}") from error
    encoder = Encoder.from_bytes(onnx, card)
    if encoder.sha256 != sha256:
        raise StoredEncoderError(f"{path} was changed: its hash differs from its name")
    try:
        encoder.open()
    except GpuError:
        raise
    except EncoderError as error:
        raise StoredEncoderError(f"{path}: {error}") from error
    return encoder


def _read(path: Path) -> bytes:
    try:
        return read_limited(path, MAX_NETWORK_BYTES)
    except ValueError as error:
        raise StoredEncoderError(f"{path.parent}: {error}") from error
