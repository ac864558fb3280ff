"""What the encoder is trained by.

- `contrastive`: supervised contrastive loss with in-batch negatives; Khosla et al., "Supervised
  contrastive learning", arXiv 2004.11362, eq. 2.  With two windows a label it is that of COLA
  and SimCLR but for the sum over both directions.
- `AngularMargin`: classification by angles with a margin; Deng et al., "ArcFace", arXiv
  1801.07698, eq. 3.  With other machines as classes it is outlier exposure: Koizumi et al. and
  Primus et al., DCASE 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from typing_extensions import override

TEMPERATURE = 0.1
MARGIN, SCALE = 0.3, 20.0
FAR = -1e4  # a logit that counts for nothing


def contrastive(embeddings: Tensor, labels: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """Return the mean loss of windows that have another of the same label in the batch.

    ``embeddings`` (B, D) of unit length, ``labels`` (B,) whole numbers.  Zero where no window
    has a fellow.
    """
    alone = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    fellows = (labels[:, None] == labels) & ~alone
    logits = (embeddings @ embeddings.T / temperature).masked_fill(alone, FAR)
    log_share = logits - logits.logsumexp(1, keepdim=True)
    count = fellows.sum(1)
    known = count > 0
    if not known.any():
        return embeddings.sum() * 0.0
    return -((log_share * fellows).sum(1)[known] / count[known]).mean()


class AngularMargin(nn.Module):
    """Embeddings of unit length (B, D) and classes (B,) → loss; the centres are learned."""

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.centres = nn.Parameter(torch.empty(classes, width))
        nn.init.xavier_uniform_(self.centres)

    def cosines(self, embeddings: Tensor) -> Tensor:
        """Return the cosines to the centres (B, classes)."""
        return embeddings @ nn.functional.normalize(self.centres, dim=1).T

    @override
    def forward(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        cosines = self.cosines(embeddings).clamp(-1 + 1e-6, 1 - 1e-6)
        own = nn.functional.one_hot(labels, cosines.shape[1]).bool()
        with_margin = torch.cos(torch.acos(cosines) + MARGIN)
        logits = SCALE * torch.where(own, with_margin, cosines)
        return nn.functional.cross_entropy(logits, labels)
