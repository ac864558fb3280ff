"""A ``sitecustomize`` for the daemons that `benchmarks.process_settings` starts.

It applies the setting PROCESS_SETTING once a file ``now`` exists in PROCESS_SETTINGS_FOLDER, and
writes the garbage collector's pauses there at the end, into ``collector.json``.
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

_FOLDER = Path(os.environ.get("PROCESS_SETTINGS_FOLDER", "."))
_POLL_S = 0.1
_pauses: list[tuple[float, int, float]] = []  # begin (monotonic), generation, seconds
_began_s = 0.0


def _note(phase: str, info: dict[str, int]) -> None:
    global _began_s  # noqa: PLW0603 - the collector runs in one thread at a time
    now_s = time.monotonic()
    if phase == "start":
        _began_s = now_s
    else:
        _pauses.append((_began_s, info["generation"], now_s - _began_s))


def _write() -> None:
    gc.callbacks.remove(_note)
    began_s = time.monotonic()
    gc.collect()
    found = {
        "pauses": _pauses,
        "full_s": time.monotonic() - began_s,
        "frozen": gc.get_freeze_count(),
        "objects": len(gc.get_objects()),
    }
    (_FOLDER / "collector.json").write_text(json.dumps(found))


def _apply_when_started(setting: str) -> None:
    while not (_FOLDER / "now").exists():
        time.sleep(_POLL_S)
    match setting:
        case "freeze":
            gc.collect()
            gc.freeze()
        case "rarely":
            gc.set_threshold(10_000, 20, 50)
        case "never":
            gc.disable()
        case "switch":
            sys.setswitchinterval(0.001)


if os.environ.get("PROCESS_SETTING") == "nice":
    os.nice(-5)  # before there are threads, each of which has its own
if "PROCESS_SETTINGS_FOLDER" in os.environ and "run" in sys.orig_argv:
    gc.callbacks.append(_note)
    atexit.register(_write)
    threading.Thread(
        target=_apply_when_started, args=(os.environ.get("PROCESS_SETTING", ""),), daemon=True
    ).start()
