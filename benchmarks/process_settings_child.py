"""A ``sitecustomize`` for the daemon that `python -m benchmarks.process_settings` starts.

HYGIENE_FOLDER is where the pauses of the garbage collector are written at the end, and where
the file ``now`` tells that the daemon has started; HYGIENE_SET is what is then set.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import sys
import threading
import time
from pathlib import Path

_FOLDER = Path(os.environ.get("HYGIENE_FOLDER", "."))
_LOOK_S = 0.1
_pauses: list[tuple[float, int, float]] = []  # when it began (monotonic), generation, seconds
_begun_s = 0.0


def _note(phase: str, info: dict[str, int]) -> None:
    global _begun_s  # noqa: PLW0603 - the collector runs in one thread at a time
    now_s = time.monotonic()
    if phase == "start":
        _begun_s = now_s
    else:
        _pauses.append((_begun_s, info["generation"], now_s - _begun_s))


def _write() -> None:
    gc.callbacks.remove(_note)
    begun_s = time.monotonic()
    gc.collect()
    told = {
        "pauses": _pauses,
        "full_s": time.monotonic() - begun_s,
        "frozen": gc.get_freeze_count(),
        "objects": len(gc.get_objects()),
    }
    (_FOLDER / "inside.json").write_text(json.dumps(told))


def _wait_and_set(wanted: str) -> None:
    while not (_FOLDER / "now").exists():
        time.sleep(_LOOK_S)
    match wanted:
        case "freeze":
            gc.collect()
            gc.freeze()
        case "rarely":
            gc.set_threshold(10_000, 20, 50)
        case "never":
            gc.disable()
        case "switch":
            sys.setswitchinterval(0.001)


if os.environ.get("HYGIENE_SET") == "nice":
    os.nice(-5)  # before there are threads, each of which has its own
if "HYGIENE_FOLDER" in os.environ and "run" in sys.orig_argv:
    gc.callbacks.append(_note)
    atexit.register(_write)
    waiting = threading.Thread(
        target=_wait_and_set, args=(os.environ.get("HYGIENE_SET", ""),), daemon=True
    )
    waiting.start()
