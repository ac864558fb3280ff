"""The networks that bundles listen with: ``models/.encoders/<sha256>.onnx``, each kept once.

All versions of all machines share them, since a network may be larger than all else that a
bundle holds.  A file is never changed, and believed only where its hash is its name.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from asd_monitor.encoders.card import CardError, card_of
from asd_monitor.encoders.encoder import Encoder
from asd_monitor.encoders.session import MAX_NETWORK_BYTES, EncoderError, GpuError
from asd_monitor.model_store.atomic_files import replace_durably

FOLDER = ".encoders"  # no machine can be called so


class StoredEncoderError(Exception):
    """A network is not there or cannot be trusted; the message says what and where."""


def encoder_path(models: Path, sha256: str) -> Path:
    """Return where a network is kept."""
    return models / FOLDER / f"{sha256}.onnx"


def store_encoders(models: Path, encoders: Iterable[Encoder]) -> list[dict[str, Any]]:
    """Keep networks and return what a manifest says of them.  Raises OSError."""
    return [
        {"name": e.name, "sha256": _keep(models, e), "card": e.card.to_json()} for e in encoders
    ]


def _keep(models: Path, encoder: Encoder) -> str:
    path = encoder_path(models, encoder.sha256)
    try:
        kept = hashlib.sha256(_read(path)).hexdigest() == encoder.sha256
    except (FileNotFoundError, StoredEncoderError):
        kept = False
    if not kept:  # or damaged, and so mended
        path.parent.mkdir(parents=True, exist_ok=True)
        replace_durably(path, encoder.onnx)
    return encoder.sha256


def load_stored_encoder(models: Path, entry: Mapping[str, Any]) -> Encoder:
    """Return the network that an entry of a manifest names, ready to run.

    Raises:
        StoredEncoderError: it is missing, another one than was kept, or does not fit its card.
        GpuError: it was to be run on a GPU, which cannot be used.
        OSError: it cannot be read.
        KeyError, TypeError, ValueError: the entry is damaged.

    """
    sha256 = entry["sha256"]
    if not re.fullmatch("[0-9a-f]{64}", sha256):
        raise ValueError(f"{sha256!r} is no hash of a network")
    path = encoder_path(models, sha256)
    try:
        card = card_of(entry["card"], f"the card of {entry['name']}")
        onnx = _read(path)
    except CardError as error:
        raise ValueError(str(error).splitlines()[0]) from error
    except FileNotFoundError as error:
        raise StoredEncoderError(
            f"{path} is missing, the network {entry['name']} that it listens with"
        ) from error
    encoder = Encoder.from_bytes(onnx, card)
    if encoder.sha256 != sha256:
        raise StoredEncoderError(f"{path} is not the network that was kept: its hash differs")
    try:
        encoder.open()
    except GpuError:
        raise
    except EncoderError as error:
        raise StoredEncoderError(f"{path}: {error}") from error
    return encoder


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_NETWORK_BYTES + 1)
    if len(data) > MAX_NETWORK_BYTES:
        raise StoredEncoderError(f"{path} is larger than any network that is kept")
    return data
