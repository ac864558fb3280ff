"""The folder of a pretraining: its checkpoint, and what lies there when it is done.

A checkpoint is `checkpoint.pt`: numbers only, no code is loaded from it.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import torch
import yaml

from asd_monitor.encoders.encoder import Encoder
from asd_monitor.errors import OperationError, UsageError
from asd_monitor.model_store.atomic_files import replace_durably, write_durably

CHECKPOINT = "checkpoint.pt"


def prepare(folder: Path) -> None:
    """Make the folder and see that it can be written: now, and not after a hundred steps.

    Raises:
        OperationError: it cannot.

    """
    with _told(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


def load_checkpoint(folder: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what was kept of this training, or None where it has not begun.

    Raises:
        UsageError: it is of another training.
        OperationError: it cannot be read, or is damaged.

    """
    path = folder / CHECKPOINT
    remedy = "choose another folder with --output, or delete it to begin anew"
    try:
        _see_that_it_is_whole(path)
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        found = dict(state["identity"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperationError(f"{path}: cannot be read ({error.strerror}): {remedy}") from error
    except Exception as error:  # whatever a damaged archive makes torch raise
        raise OperationError(f"{path}: not a checkpoint, or a damaged one: {remedy}") from error
    differing = sorted(key for key in identity if found.get(key) != identity[key])
    if differing:
        raise UsageError(
            f"{path}: the checkpoint of another training ({', '.join(differing)} differ): give "
            f"the same options as then, {remedy}"
        )
    return state


def _see_that_it_is_whole(path: Path) -> None:
    with ZipFile(path) as archive:  # torch looks at no checksum
        if archive.testzip() is not None:
            raise BadZipFile


def keep_checkpoint(folder: Path, state: Mapping[str, Any]) -> None:
    """Put a checkpoint in the place of the one before.  Raises OperationError."""
    buffer = io.BytesIO()  # writing to a full disk itself, torch raises no OSError
    torch.save(state, buffer)
    with _told(folder):
        replace_durably(folder / CHECKPOINT, buffer.getvalue())


def write_encoder(
    folder: Path, encoder: Encoder, facts: Mapping[str, Any], every_map: Encoder
) -> None:
    """Write `encoder.onnx`, `maps.onnx`, their cards `.yaml`, and `training.json`.

    Raises:
        OperationError: the folder cannot be written.

    """
    with _told(folder):
        for name, each in (("encoder", encoder), ("maps", every_map)):
            card = yaml.safe_dump(each.card.to_json(), sort_keys=False)
            write_durably(folder / f"{name}.onnx", each.onnx)
            write_durably(folder / f"{name}.yaml", card.encode())
        write_durably(folder / "training.json", (json.dumps(facts, indent=1) + "\n").encode())


@contextmanager
def _told(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OperationError(
            f"{error.filename or folder}: cannot be written ({error.strerror}): choose "
            "another folder with --output, or free some space"
        ) from error
