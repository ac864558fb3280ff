"""The block means of a machine's evidence in the state folder, so that they survive a restart.

``<state>/block-means/<machine>`` is a SHA-256 in hexadecimal, a line end, and compressed JSON: the
format, the hash of the model, and for each block its beginning in Unix milliseconds and its mean in
units of `RESOLUTION`.  It is replaced atomically, and has at most `MAX_BLOCKS` blocks.
"""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asd_monitor.alarm.block_means import BlockMean
from asd_monitor.alarm.running_means import MAX_BLOCKS, RESOLUTION
from asd_monitor.alarm.time_scales import STEP_S
from asd_monitor.journal.disk_thread import DiskThread, StalledError
from asd_monitor.limited_reading import read_limited
from asd_monitor.private_files import create_private_folder, sync_folder, write_private_file

log = structlog.get_logger()

FOLDER = "block-means"
_ANSWER_S = 2.0
_MAX_BYTES = 1 << 20
_MAX_JSON_BYTES = 4 << 20
_DIGEST_CHARACTERS = 64
_Milliseconds = Annotated[int, Field(ge=-(1 << 48), le=1 << 48)]
_Units = Annotated[int, Field(ge=-(1 << 31), le=1 << 31)]


class _Document(BaseModel):
    model_config = ConfigDict(strict=True)

    format: Literal[1]
    model: str
    begins_ms: Annotated[list[_Milliseconds], Field(max_length=MAX_BLOCKS)]
    means: Annotated[list[_Units], Field(max_length=MAX_BLOCKS)]


class EvidenceHistory:
    """The block means of one machine on the disk.

    Args:
        state: the state folder.
        machine: id of the machine.

    """

    def __init__(self, state: Path, machine: str) -> None:
        self.failed_saves = 0
        """How often the block means could not be written."""
        self._path = state / FOLDER / machine
        self._log = log.bind(machine=machine, file=str(self._path))
        self._disk = DiskThread("evidence")  # of the last `save`

    def save(
        self, model: str, blocks: Sequence[BlockMean], *, sample_0_s: float, rate_hz: int
    ) -> None:
        """Write the block means; a failure is logged.

        It waits 2 s at most: where the disk does not answer, nothing is saved until it does.

        Args:
            model: hash of the model that the evidence is of.
            blocks: block means, the oldest first.
            sample_0_s: Unix time of sample 0 of their stream, in s.
            rate_hz: its sample rate.

        """
        document = _Document(
            format=1,
            model=model,
            begins_ms=[round((sample_0_s + each.begin / rate_hz) * 1e3) for each in blocks],
            means=[round(each.mean / RESOLUTION) for each in blocks],
        )
        if self._disk.is_stalled:
            return
        self._disk = DiskThread("evidence")
        try:
            self._disk.run(partial(self._write, document), limit_s=_ANSWER_S)
        except StalledError:
            self._log.warning(
                "the disk does not answer: the evidence of the longer time scales is not saved",
                hint="check the disk of the state folder",
            )
        finally:
            self._disk.close()

    def _write(self, document: _Document) -> None:
        content = zlib.compress(document.model_dump_json().encode())
        digest = hashlib.sha256(content).hexdigest()
        partial = self._path.with_name(f".{self._path.name}.partial")
        try:
            create_private_folder(self._path.parent)
            write_private_file(partial, f"{digest}\n".encode() + content)
            partial.replace(self._path)
            sync_folder(self._path.parent)
        except OSError as error:
            self.failed_saves += 1
            self._log.warning(
                "the evidence of the longer time scales cannot be saved: a restart begins it anew",
                reason=str(error),
            )

    def load(self, model: str, *, sample_0_s: float, rate_hz: int) -> list[BlockMean]:
        """Return the block means with sample indices of a new stream, the oldest first.

        They are negative: where the clock was set back meanwhile, the newest block is taken to end
        where the stream begins.  There are none of another model, or where the file is damaged,
        which is logged.  The arguments are those of `save`, for the new stream.
        """
        document = self._read()
        if document is None or not document.begins_ms:
            return []
        if document.model != model:
            self._log.info("the model is another one: the evidence of the time scales begins anew")
            return []
        age_s = sample_0_s - document.begins_ms[-1] / 1e3
        shift_s = min(0.0, age_s - STEP_S)
        blocks = [
            BlockMean(round((begin / 1e3 - sample_0_s + shift_s) * rate_hz), units * RESOLUTION)
            for begin, units in zip(document.begins_ms, document.means, strict=True)
        ]
        self._log.info(
            "the evidence of the time scales is taken up", blocks=len(blocks), age_s=round(age_s)
        )
        return blocks

    def _read(self) -> _Document | None:
        try:
            content = read_limited(self._path, _MAX_BYTES)
            return _decoded(content)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            self._log.warning(
                "the saved evidence of the time scales cannot be used: it begins anew",
                reason=str(error).splitlines()[0],
            )
            return None


def _decoded(content: bytes) -> _Document:
    """Return the content of a file; raises ValueError where it is not one that was written."""
    digest, compressed = content[:_DIGEST_CHARACTERS], content[_DIGEST_CHARACTERS + 1 :]
    if hashlib.sha256(compressed).hexdigest().encode() != digest:
        raise ValueError("its hash differs")
    decompressor = zlib.decompressobj()
    try:
        text = decompressor.decompress(compressed, _MAX_JSON_BYTES)
        document = _Document.model_validate_json(text)
    except (zlib.error, ValidationError) as error:
        raise ValueError("its content is malformed") from error
    ordered = all(
        one <= other for one, other in zip(document.begins_ms, document.begins_ms[1:], strict=False)
    )
    if len(document.begins_ms) != len(document.means) or not ordered:
        raise ValueError("its content is malformed")
    return document
