"""Effective rank as a training loss: one term keeps an objective that only pulls from collapsing.

python -m repgeom_examples.rank_as_a_loss
"""

from __future__ import annotations

import torch
from torch import Tensor

import repgeom as rg


def pull_and_spread(a: Tensor, b: Tensor) -> Tensor:
    """Pulls two views together and rewards each batch for the dimensions it uses."""
    # The logarithm: from 2 to 4 dimensions counts as much as from 20 to 40.
    return rg.demo.pull_together(a, b) - 0.1 * rg.effective_rank(torch.cat([a, b])).log()


def main(steps: int = 300) -> None:
    """Prints the rank and the accuracy of two encoders, trained for so many steps without and with the term."""
    train, held_out, _, digits = rg.demo.digit_halves()
    for loss in (rg.demo.pull_together, pull_and_spread):
        features = rg.demo.encode(rg.demo.train_encoder(train, loss, steps=steps), held_out)
        rank, accuracy = rg.effective_rank(features), rg.knn_accuracy(features, digits)
        print(f"{loss.__name__:16s} effective rank {rank:5.2f} of 64, kNN accuracy {accuracy:.3f}")


if __name__ == "__main__":
    main()
