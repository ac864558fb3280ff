"""How the process of the command line ends."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BEGIN = """
import sys
import threading
from asd_monitor.cli import program
"""
INFERENCE = """
import numpy as np
import onnxruntime
session = onnxruntime.InferenceSession("models/encoder.onnx")
inputs = {
    each.name: np.zeros([n if isinstance(n, int) else 16 for n in each.shape], np.float32)
    for each in session.get_inputs()
}
running = threading.Event()
def infer():
    while True:
        session.run(None, inputs)
        running.set()
threading.Thread(target=infer, daemon=True).start()
running.wait()
"""
END = """
def main():
    print("all is said")
    sys.exit({code!r})
program.main = main
program.program()
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (None, 0), (3, 3)])
@pytest.mark.parametrize("thread", ["", INFERENCE], ids=["alone", "inference"])
def test_the_exit_code_and_the_output_are_kept_while_a_thread_infers(thread, code, expected):
    ended = run(BEGIN + thread + END.format(code=code))
    assert (ended.returncode, ended.stdout, ended.stderr) == (expected, "all is said\n", "")
