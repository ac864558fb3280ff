"""Runs a network for the first time, in a process of its own with limits of memory and time.

The parent (`asd_monitor.encoders.network_trial`) writes the card and the network to standard
input and reads one line of JSON: the problem, or null.  A network of unknown origin can ask the
runtime for any amount of memory or time, or end it.
"""

from __future__ import annotations

import json
import math
import re
import resource
import sys
import time
from pathlib import Path

from asd_monitor.encoders.card import card_from_values
from asd_monitor.encoders.runtime import Runtime, import_onnxruntime
from asd_monitor.encoders.session import EncoderError, Network
from asd_monitor.encoders.validation import validate_network

_ALLOCATION_FAILED = re.compile("bad_alloc|bad alloc|failed to allocate|MemoryError", re.IGNORECASE)


def main() -> None:
    """Read the limits from the command line, the rest from standard input, and answer."""
    memory_bytes, processor_s, card_bytes = map(int, sys.argv[1:])
    answer = sys.stdout
    sys.stdout = sys.stderr  # for whatever else is printed
    import_onnxruntime()
    _set_limits(memory_bytes, processor_s)
    try:
        problem = _problem(card_bytes)
    except MemoryError:
        problem = "MemoryError"
    out_of_memory = problem is not None and bool(_ALLOCATION_FAILED.search(problem))
    json.dump({"problem": problem, "out_of_memory": out_of_memory}, answer)


def _problem(card_bytes: int) -> str | None:
    card = card_from_values(json.loads(sys.stdin.buffer.read(card_bytes)), "card")
    network = Network.from_bytes(sys.stdin.buffer.read(), Runtime())
    try:
        validate_network(network, card)
    except EncoderError as error:
        return str(error)
    return None


def _set_limits(memory_bytes: int, processor_s: int) -> None:
    """Limit the data and the processor time of this process to so much more than it has now."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"^VmData:\s*(\d+) kB", status, re.MULTILINE)
    used = 1024 * int(found[1]) if found else 0
    for limit, wanted in (
        (resource.RLIMIT_DATA, used + memory_bytes),
        (resource.RLIMIT_CPU, math.ceil(time.process_time()) + processor_s),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(limit, (soft, hard))


if __name__ == "__main__":
    main()
