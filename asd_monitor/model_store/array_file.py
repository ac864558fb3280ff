"""The arrays of a bundle: an uncompressed ``.npz`` of arrays of one or two axes, read strictly.

Whatever the file claims about names and sizes is checked before memory is allocated for it: an
archive can declare terabytes, and a compressed one of 2 MB can hold gigabytes.
"""

from __future__ import annotations

import io
import math
import re
import zipfile
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[np.float32]]
MixedArrays = dict[str, npt.NDArray[np.float16 | np.float32 | np.int64]]

MAX_ARRAYS = 512
_MAX_DIRECTORY_BYTES = MAX_ARRAYS * 256
_MAGIC = b"\x93NUMPY\x01\x00"
# what numpy writes for a C-contiguous array of one or two axes; one of another form is refused
_HEADER = re.compile(
    rb"\{'descr': '(<f4|<f2|<i8)', 'fortran_order': False, "
    rb"'shape': \(([0-9]{1,9}),(?: ([0-9]{1,9}))?\), \} *\n"
)


def array_file_bytes(
    arrays: Mapping[str, npt.NDArray[np.float16 | np.float32 | np.int64]],
) -> bytes:
    """Return the content of an array file; the arrays have one or two axes."""
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    return buffer.getvalue()


def read_array_file(content: bytes, name: str) -> Arrays:
    """Return the float32 arrays of an array file; ``name`` is its name for messages.

    Raises ValueError where it is malformed, or an array contains NaN or infinity.
    """
    arrays: Arrays = {}
    for key, array in read_mixed_array_file(content, name).items():
        if array.dtype != np.float32:
            raise ValueError(f"{name}: {key} is not a float32 array of one or two axes")
        arrays[key] = array.astype(np.float32, copy=False)
    return arrays


def read_mixed_array_file(content: bytes, name: str) -> MixedArrays:
    """Return the float32, float16 and int64 arrays of an array file.

    Raises ValueError as `read_array_file`.
    """
    _check_directory(content, name)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            _check_members(members, len(content), name)
            return {
                member.filename.removesuffix(".npy"): _array(
                    archive.read(member), f"{name}: {member.filename}"
                )
                for member in members
            }
    # beside BadZipFile: a method or version that is unknown, encryption, lengths that do not fit
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError) as error:
        raise ValueError(f"{name} is not an array file ({error})") from error


def _check_directory(content: bytes, name: str) -> None:
    """Check the size of the directory, of which `zipfile` makes objects of ten times its size."""
    signature, size = content[-22:-18], int.from_bytes(content[-10:-6], "little")
    if signature != b"PK\x05\x06" or content[-42:-38] == b"PK\x06\x07":
        raise ValueError(f"{name} is not an array file")
    if size > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"{name} contains more arrays than the {MAX_ARRAYS} that are allowed")


def _check_members(members: list[zipfile.ZipInfo], size: int, name: str) -> None:
    if len(members) > MAX_ARRAYS:
        raise ValueError(f"{name} contains {len(members)} arrays, at most {MAX_ARRAYS} are allowed")
    if len({member.filename for member in members}) < len(members):
        raise ValueError(f"{name} contains an array twice")
    for member in members:
        if not member.filename.endswith(".npy"):
            raise ValueError(f"{name} contains {member.filename[:80]!r}, which is not an array")
        if member.compress_type != zipfile.ZIP_STORED or member.flag_bits & 1:
            raise ValueError(f"{name}: {member.filename[:80]} is compressed or encrypted")
    if sum(member.file_size for member in members) > size:
        raise ValueError(f"{name} declares more content than it has")


def _array(content: bytes, name: str) -> npt.NDArray[np.float16 | np.float32 | np.int64]:
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(content[len(_MAGIC) : start], "little")
    header = _HEADER.fullmatch(content[start:end])
    if not content.startswith(_MAGIC) or header is None:
        raise ValueError(f"{name} is not a float32 array of one or two axes")
    kind = np.dtype(header[1].decode())
    shape = tuple(int(axis) for axis in header.groups()[1:] if axis is not None)
    if len(content) - end != kind.itemsize * math.prod(shape):
        raise ValueError(f"{name} has not the size that its shape {shape} requires")
    # a copy, which is aligned
    array = np.frombuffer(content, kind, offset=end).reshape(shape).astype(kind.newbyteorder("="))
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains values that are not finite numbers")
    return array
