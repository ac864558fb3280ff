"""Copies the model of one machine for other machines.

    python -P model_copies_child.py MODELS MACHINE OTHER…

It is run by its path, so that `asd_monitor` is that of PYTHONPATH, which can be an earlier
checkout: each version of the program reads only the format of bundle that it writes.  Training
windows are copied too, and the copies are extended from live sound like the model itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from asd_monitor.model_store import bundle


def copy_models() -> None:
    """Copy the model in use of the first machine."""
    models, machine, *others = sys.argv[1:]
    source = bundle.load_bundle(Path(models), machine)
    facts = {
        name: source.manifest[name]
        for name in ("commissioning", "reason", "trained", "training")
        if name in source.manifest
    }
    reference: dict[str, Any] = {}
    if hasattr(bundle, "load_reference"):  # earlier versions keep no training windows
        reference["reference"] = bundle.load_reference(Path(models), source)
    for other in others:
        bundle.save_bundle(Path(models), other, source.detector, facts, {}, **reference)


if __name__ == "__main__":
    copy_models()
