"""The output folder of a pretraining: the checkpoint, and the files written at the end.

`checkpoint.pt` holds numbers only; no code is loaded from it.
"""

from __future__ import annotations

import io
import json
import pickle
import struct
import tempfile
import zlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
import yaml

from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.atomic_files import (
    os_errors_reported,
    replace_durably,
    write_durably,
)

CHECKPOINT = "checkpoint.pt"


def prepare_folder(folder: Path) -> None:
    """Create the folder and check that it can be written.

    Raises:
        OperationError: it cannot.

    """
    with _write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def load_checkpoint(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the state of this training, or None if there is no checkpoint.

    Raises:
        UsageError: the checkpoint has another identity.
        OperationError: it cannot be read, or is damaged.

    """
    path = folder / CHECKPOINT
    remedy = "choose another folder with --output, or delete it to begin anew"
    try:
        _verify_checksums(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(state["identity"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationError(f"{path}: cannot be read ({error.strerror}): {remedy}") from error
    except _DAMAGED as error:
        raise OperationError(f"{path}: not a checkpoint, or a damaged one: {remedy}") from error
    differing = sorted(key for key in identity if found.get(key) != identity[key])
    if differing:
        raise UsageError(
            f"{path}: the checkpoint of another training ({', '.join(differing)} differ): give "
            f"the same options as then, {remedy}"
        )
    return state


_DAMAGED = (
    *(BadZipFile, zlib.error, struct.error, pickle.UnpicklingError, EOFError),
    *(RuntimeError, AttributeError, LookupError, TypeError, ValueError),
)
"""What `zipfile` and `torch.load` raise for damaged and for other files."""


def _verify_checksums(path: Path) -> None:
    with ZipFile(path) as archive:  # torch.load does not
        if archive.testzip() is not None:
            raise BadZipFile


def save_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Replace the checkpoint atomically.  Raises OperationError."""
    buffer = io.BytesIO()  # on a full disk torch.save raises no OSError
    torch.save(state, buffer)
    with _write_errors(folder):
        replace_durably(folder / CHECKPOINT, buffer.getvalue())


def write_encoder(
    folder: Path, encoder: Encoder, record: Mapping[str, Any], every_map: Encoder
) -> None:
    """Write `encoder.onnx`, `maps.onnx`, their cards `.yaml`, and `training.json`.

    Raises:
        OperationError: the folder cannot be written.

    """
    with _write_errors(folder):
        for name, each in (("encoder", encoder), ("maps", every_map)):
            card = yaml.safe_dump(each.card.to_json(), sort_keys=False)
            write_durably(folder / f"{name}.onnx", each.onnx)
            write_durably(folder / f"{name}.yaml", card.encode())
        write_durably(folder / "training.json", (json.dumps(record, indent=1) + "\n").encode())


def _write_errors(folder: Path) -> AbstractContextManager[None]:
    return os_errors_reported(folder, "cannot be written", "choose another folder with --output")
