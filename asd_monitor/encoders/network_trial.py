"""The trial of a network of unknown origin, in a child process."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from asd_monitor.encoders.card import Card
from asd_monitor.encoders.onnx_graph import GraphError, check_graph
from asd_monitor.encoders.session import EncoderError

MEMORY_BYTES, MEMORY_PER_BYTE = 192 * 2**20, 6
"""Memory that the trial may take, and for each byte of the network."""

PROCESSOR_S, PROCESSOR_S_PER_MIB = 5, 0.5
"""Processor time that the trial may take, and for each MiB of the network."""

_PATIENCE = 10.0
"""Wall-clock time that the trial may take, as a multiple of the processor time."""


def try_network(onnx: bytes, card: Card) -> None:
    """Validate a network (`asd_monitor.encoders.validation`) in a child process.

    Raises EncoderError where the network is invalid, or takes more memory or time than its size
    justifies.
    """
    try:
        check_graph(onnx)  # without the start of a process
    except GraphError as error:
        raise EncoderError(str(error)) from error
    memory_bytes = MEMORY_BYTES + MEMORY_PER_BYTE * len(onnx)
    processor_s = round(PROCESSOR_S + PROCESSOR_S_PER_MIB * len(onnx) / 2**20)
    card_json = json.dumps(card.to_json()).encode()
    limits = [str(each) for each in (memory_bytes, processor_s, len(card_json))]
    too_slow = (
        f"its trial took more than {processor_s} s: give outputs with a shorter reach, or export a "
        "faster network"
    )
    try:
        child = subprocess.run(
            [sys.executable, "-m", "asd_monitor.encoders.trial_child", *limits],
            input=card_json + onnx,
            capture_output=True,
            timeout=_PATIENCE * processor_s,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EncoderError(too_slow) from error
    if child.returncode in {-signal.SIGXCPU, -signal.SIGKILL}:
        raise EncoderError(too_slow)
    if child.returncode:
        how = (
            signal.Signals(-child.returncode).name
            if child.returncode < 0
            else _last_line(child.stderr)
        )
        raise EncoderError(
            f"its trial ended by {how}: the installed onnxruntime cannot run it within "
            f"{memory_bytes / 2**20:.0f} MiB of memory: export it again, with standard operators "
            "only"
        )
    answer = json.loads(child.stdout)
    if answer["out_of_memory"]:
        raise EncoderError(
            f"its trial takes more than {memory_bytes / 2**20:.0f} MiB of memory: give outputs "
            "with a shorter reach, or export a smaller network"
        )
    if answer["problem"] is not None:
        raise EncoderError(answer["problem"])


def _last_line(output: bytes) -> str:
    lines = output.decode(errors="replace").split("\n")
    return next((line[:200] for line in reversed(lines) if line.strip()), "an unknown error")
