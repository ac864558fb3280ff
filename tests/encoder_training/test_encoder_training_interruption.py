"""A pretraining that is killed and started again, with its real processes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.doubles.synthetic_sounds import machine_sound, write

PROGRAM = """
import sys
from functools import partial
from pathlib import Path

def main():  # the child process imports this file without torch
    import torch
    from asd_monitor.encoder_training.batch_feed import BatchFeed, Sharding, held_out_pool
    from asd_monitor.encoder_training.instance_pool import TrainingSounds
    from asd_monitor.encoder_training.pretraining_choices import SoundSource
    from asd_monitor.encoder_training.optimisation import PretrainingConfig
    from asd_monitor.encoder_training.pretraining import Intervals, pretrain

    torch.set_num_threads(1)
    noise, folder = map(Path, sys.argv[1:])
    sounds = TrainingSounds(3, (), (noise,), SoundSource.SYNTHETIC, 1.0)
    sharding = Sharding(instances=3, first_shards=1, steps_per_shard=2, shards_ahead=0)
    config = PretrainingConfig(instances=3, reference=2, faults=1, lengths=(60, 80))
    pretrain(
        sounds,
        config,
        5,
        folder,
        lambda status: print(status.step, flush=True),
        feed=partial(BatchFeed, sharding=sharding),
        held_out=held_out_pool(sounds, 1, 1),
        intervals=Intervals(status=1, checkpoint=1),
    )

if __name__ == "__main__":
    main()
"""


@pytest.mark.slow
@pytest.mark.timeout(400)  # three processes load torch
def test_a_killed_training_resumes_to_the_same_weights(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    noise = write(tmp_path / "1.wav", machine_sound(4.1))
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}

    def start(name: str) -> subprocess.Popen[str]:
        (tmp_path / name).mkdir(exist_ok=True)
        command = [sys.executable, str(program), str(noise), str(tmp_path / name)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)

    with start("resumed") as killed:
        assert killed.stdout is not None
        before = [int(killed.stdout.readline()) for _ in range(3)]
        killed.send_signal(signal.SIGKILL)
        killed.stdout.read()  # returns when the child process has ended too
    assert before == [1, 2, 3]
    steps = {}
    for name in ("resumed", "uninterrupted"):
        with start(name) as process:
            out, _ = process.communicate()
        assert process.returncode == 0
        steps[name] = [int(line) for line in out.split()]
    assert steps["uninterrupted"] == [1, 2, 3, 4, 5]
    assert steps["resumed"][0] > 2
    resumed, uninterrupted = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)["trainee"]
        for name in steps
    )
    assert all(torch.equal(resumed[name], weight) for name, weight in uninterrupted.items())
