"""Tells during training whether the encoder hears better: on what it is never trained on.

Of each held-out instance one recording is the reference, another is normal, some are faulty;
all in backgrounds.  A window's score is its distance to the nearest window of the reference,
in units of the spread over all; the figure is the AUC, mean over instances, at each tapped layer.
"""

from __future__ import annotations

import numpy as np
import torch

from asd_monitor.dsp.frames import Vector
from asd_monitor.encoder_training.augmentation import uniform, with_background
from asd_monitor.encoder_training.batches import cut, loudness_db
from asd_monitor.encoder_training.network import Network, normalised, pooled
from asd_monitor.encoder_training.pool import Pool
from asd_monitor.encoder_training.sound_supply import FRONT_END
from asd_monitor.metrics import auc

WINDOW_FRAMES = FRONT_END.window_frames  # as the detector scores
REFERENCES, REFERENCE, FAULTY = 8, 4, 4  # windows of an instance; the last of each fault
SNR_DB = (0.0, 20.0)


class HeldOut:
    """Windows of held-out instances, always the same."""

    def __init__(self, pool: Pool, seed: int) -> None:
        rng = np.random.default_rng((seed, 5))
        generator = torch.Generator().manual_seed(seed)
        self._windows: list[torch.Tensor] = []
        self._anomalous: list[list[bool]] = []
        for instance in pool.instances:
            clips = [instance.reference[0]] * REFERENCES + [instance.reference[1]] * REFERENCE
            clips += [fault for fault in instance.faults for _ in range(FAULTY)]
            x = torch.from_numpy(
                np.stack([cut(clip, WINDOW_FRAMES, rng) for clip in clips])
            ).float()
            behind = pool.backgrounds[int(rng.integers(len(pool.backgrounds)))]
            z = torch.from_numpy(np.stack([cut(behind, WINDOW_FRAMES, rng) for _ in clips])).float()
            usual = torch.full((len(clips),), loudness_db(instance.reference[0]))
            snr_db = uniform((1,), *SNR_DB, generator).expand(len(clips))
            self._windows.append(with_background(x, z, snr_db, usual))
            faulty = FAULTY * len(instance.faults)
            self._anomalous.append([False] * REFERENCE + [True] * faulty)

    def areas(self, network: Network) -> list[float]:
        """Return the AUC at each tapped layer."""
        was_training = network.training
        network.eval()
        device = next(network.parameters()).device
        with torch.no_grad():
            found = [
                [pooled(frames).cpu().numpy() for frames in network(normalised(x.to(device)))]
                for x in self._windows
            ]
        network.train(was_training)
        return [self._area([maps[layer] for maps in found]) for layer in range(len(network.taps))]

    def _area(self, vectors: list[Vector]) -> float:
        scale = np.concatenate(vectors).std(0) + 1e-6
        areas = []
        for each, anomalous in zip(vectors, self._anomalous, strict=True):
            z = each / scale
            away = np.linalg.norm(z[REFERENCES:, None] - z[None, :REFERENCES], axis=2).min(1)
            areas.append(auc(anomalous, away))
        return float(np.mean(areas))
