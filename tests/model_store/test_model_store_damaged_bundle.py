"""Damaged bundles: each is refused with a remedy."""

import io
import math
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from asd_monitor.model_store.bundle import load_bundle
from asd_monitor.model_store.manifest import ARRAYS, FORMAT
from asd_monitor.model_store.versions import (
    MANIFEST,
    BundleError,
)
from tests.doubles.bundle_files import edit_manifest, write_arrays, write_manifest_text


def _edit(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    return lambda folder: edit_manifest(folder, change)


def _arrays(change: Callable[[dict[str, np.ndarray]], object]) -> Callable[[Path], None]:
    """Change the arrays and the hashes."""

    def damage(folder: Path) -> None:
        with np.load(folder / ARRAYS) as stored:
            arrays = dict(stored)
        change(arrays)
        write_arrays(folder, _npz(arrays))

    return damage


def _npz(arrays: dict[str, np.ndarray], *, compressed: bool = False) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, allow_pickle=True, **arrays)
    return buffer.getvalue()


def _declared(header: bytes) -> Callable[[Path], None]:
    """Store an array file whose first array has this header and no numbers."""

    def damage(folder: Path) -> None:
        content = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("level.points.npy", content)
        write_arrays(folder, buffer.getvalue())

    return damage


def _tamper(folder: Path) -> None:
    data = bytearray((folder / ARRAYS).read_bytes())
    data[len(data) // 2] ^= 1
    (folder / ARRAYS).write_bytes(bytes(data))


def _damage_method(folder: Path) -> None:
    """Declare a method of compression that does not exist."""
    data = bytearray((folder / ARRAYS).read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 10] = 77
    write_arrays(folder, bytes(data))


def _nest(folder: Path) -> None:
    write_manifest_text(
        folder, f'{{"format": {FORMAT}, "x": ' + "[" * 100_000 + "]" * 100_000 + "}"
    )


def _set_first(arrays: dict[str, np.ndarray], value: object) -> None:
    name = next(iter(arrays))
    arrays[name] = np.full_like(arrays[name], value)


def _set_type(arrays: dict[str, np.ndarray], dtype: type) -> None:
    arrays.update({name: array.astype(dtype) for name, array in arrays.items()})


def _shorten(arrays: dict[str, np.ndarray]) -> None:
    arrays["spectrum.mean"] = arrays["spectrum.mean"][:1]


def _divide_by_zero(arrays: dict[str, np.ndarray]) -> None:
    for name in ("texture.centre", "texture.scale"):
        arrays[name] = np.zeros_like(arrays[name])


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "tampered": (_tamper, "hash differs"),
    "arrays missing": (lambda f: (f / ARRAYS).unlink(), f"{ARRAYS} is missing"),
    "report missing": (lambda f: (f / "report.html").unlink(), "report.html is missing"),
    "manifest missing": (lambda f: (f / MANIFEST).unlink(), f"{MANIFEST} is missing"),
    "truncated manifest": (lambda f: (f / MANIFEST).write_text('{"format"'), "damaged"),
    "manifest is a list": (lambda f: (f / MANIFEST).write_text("[]"), "damaged"),
    "nested manifest": (_nest, "damaged (RecursionError"),
    "another format": (_edit(lambda m: m.update(format=FORMAT + 1)), f"format {FORMAT + 1}"),
    "an older format": (_edit(lambda m: m.update(format=5)), "format 5, written by"),
    "no format": (_edit(lambda m: m.pop("format")), "format None"),
    "unknown view": (_edit(lambda m: m["views"][0].update(name="other")), "other"),
    "no quietest level": (_edit(lambda m: m.pop("quietest_dbfs")), "quietest_dbfs: Field required"),
    "no views": (_edit(lambda m: m.update(views=[])), "views"),
    "another back end": (_edit(lambda m: m["views"][0].update(back_end="x")), "another version"),
    "a view twice": (_edit(lambda m: m["views"].append(m["views"][0])), "level"),
    "NaN in a calibration": (_edit(lambda m: m["calibration"].update(scale=math.nan)), "NaN"),
    "a number that overflows": (
        _edit(lambda m: m["calibration"].update(scale=10**400)),
        "calibration.scale",
    ),
    "no degrees of freedom": (
        _edit(lambda m: m["calibration"].update(dof=0.0)),
        "calibration.dof",
    ),
    "a unit of 0": (
        _edit(lambda m: m["views"][2]["calibration"].update(unit=0.0)),
        "views.2.calibration.unit",
    ),
    "a view without centre": (
        _edit(lambda m: m["views"][2]["calibration"].pop("centre")),
        "views.2.calibration.centre",
    ),
    "a time scale missing": (_edit(lambda m: m["evidence"]["tails"].pop()), "time scales"),
    "a narrow tail": (
        _edit(lambda m: m["evidence"]["tails"][1].update(scale=-1.0)),
        "evidence.tails.1.scale",
    ),
    "modes of other bands": (
        _edit(lambda m: m["evidence"].update(modes=[[0.0], [1.0]])),
        "modes",
    ),
    "modes without calibration": (
        _edit(lambda m: m["evidence"].update(modes=[[0.0] * 128, [1.0] * 128])),
        "modes",
    ),
    "no bound of the effect": (
        _edit(lambda m: m["evidence"].update(effect_bound=0.0)),
        "evidence.effect_bound",
    ),
    "no hour": (_edit(lambda m: m["evidence"].update(hours=0)), "evidence.hours"),
    "text in the front end": (_edit(lambda m: m["front_end"].update(hop_frames="x")), "front_end"),
    "no hop": (_edit(lambda m: m["front_end"].update(hop_frames=0)), "front_end"),
    "a window of hours": (_edit(lambda m: m["front_end"].update(window_frames=10**6)), "front end"),
    "a huge frame": (_edit(lambda m: m["front_end"].update(frame=10**6)), "front end"),
    "other bands": (_edit(lambda m: m["front_end"].update(mel_bands=64)), "does not fit"),
    "another parameter": (_edit(lambda m: m["front_end"].update(gain=1)), "gain"),
    "a file outside the folder": (_edit(lambda m: m["files"].update({"../x": ""})), "files"),
    "arrays not listed": (_edit(lambda m: m["files"].pop(ARRAYS)), "does not list"),
    "a training without files": (_edit(lambda m: m.update(training={})), "training.seconds"),
    "NaN in an array": (_arrays(lambda a: _set_first(a, np.nan)), "not finite numbers"),
    "an array missing": (_arrays(dict.popitem), "in place of"),
    "a further array": (_arrays(lambda a: a.update(x=np.zeros(3, np.float32))), "no view"),
    "an array of doubles": (_arrays(lambda a: _set_type(a, np.float64)), "float32"),
    "an array of another shape": (_arrays(_shorten), "does not fit"),
    "scores that are not finite": (_arrays(_divide_by_zero), "not finite"),
    "pickle": (lambda f: write_arrays(f, pickle.dumps({"level.points": [1.0]})), "array file"),
    "objects in the arrays": (
        _arrays(lambda a: a.update(bad=np.array([{}], dtype=object))),
        "damaged",
    ),
    "arrays compressed": (
        lambda f: write_arrays(f, _npz({"x": np.zeros(2**20, np.float32)}, compressed=True)),
        "compressed",
    ),
    "an unknown method": (_damage_method, "compressed"),
    "terabytes declared": (
        _declared(b"{'descr': '<f4', 'fortran_order': False, 'shape': (999999999, 999999999), }\n"),
        "has not the size",
    ),
    "code in a header": (_declared(b"{'descr': __import__('os'), 'shape': (1,), }\n"), "float32"),
    "many arrays": (
        lambda f: write_arrays(f, _npz({str(n): np.zeros(1, np.float32) for n in range(3000)})),
        "more arrays than",
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_bundle_is_refused_with_a_remedy_in_one_line(models: Path, name: str) -> None:
    damage, reason = DAMAGES[name]
    damage(models / "fan01/v1")
    with pytest.raises(BundleError) as refused:
        load_bundle(models, "fan01")
    assert reason in refused.value.reason
    assert "fan01" in refused.value.reason
    assert "\n" not in refused.value.reason
    assert "rollback" in refused.value.reason or "train" in refused.value.reason
