"""States of a small language model, trained on the text that Python's own help shows."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

Rows = NDArray[np.float32]

WIDTH, LAYERS, HEADS = 128, 2, 4
WORDS = 1024  # the commonest, 95 % of all; one more stands for the rest
CONTEXT = 64
BATCH = 32
WORDS_A_ROW = 5  # of the text at most, so that few rows need little of it
SEEDS = (0, 1)


def words_of_help() -> Tensor:
    """Words, signs and spaces of Python's help topics, numbered."""
    from pydoc_data.topics import topics

    text = "\n\n".join(topics[name] for name in sorted(topics))
    words = re.findall(r"\w+|[^\w\s]|\s+", text)
    numbers = {word: i for i, (word, _) in enumerate(Counter(words).most_common(WORDS))}
    return torch.tensor([numbers.get(word, WORDS) for word in words])


class LanguageModel(nn.Module):
    """A transformer that reads from left to right."""

    def __init__(self) -> None:
        super().__init__()
        self.words = nn.Embedding(WORDS + 1, WIDTH)
        self.places = nn.Embedding(CONTEXT, WIDTH)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, 0.0, F.gelu, batch_first=True, norm_first=True)
            for _ in range(LAYERS)
        )
        self.norm = nn.LayerNorm(WIDTH)
        self.next = nn.Linear(WIDTH, WORDS + 1)
        for embedding in (self.words, self.places):
            nn.init.normal_(embedding.weight, std=0.02)

    def states(self, words: Tensor) -> list[Tensor]:
        """After each layer, the last one as the prediction reads it: (n, length, 128) each."""
        length = words.shape[1]
        later = torch.ones(length, length, dtype=torch.bool).triu(1)
        state = self.words(words) + self.places(torch.arange(length))
        found = []
        for layer in self.layers:
            state = layer(state, src_mask=later)
            found.append(state)
        return [*found[:-1], self.norm(state)]


def trained(words: Tensor, seed: int, steps: int) -> LanguageModel:
    """Train to predict the next word, at a rate that rises and falls again along a cosine."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LanguageModel()
        optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps)
        for _ in range(steps):
            starts = torch.randint(len(words) - CONTEXT, (BATCH, 1))
            windows = words[starts + torch.arange(CONTEXT + 1)]
            logits = model.next(model.states(windows[:, :-1])[-1])
            loss = F.cross_entropy(logits.flatten(0, 1), windows[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return model


def n_states(words: Tensor) -> int:
    """How many words have a state: windows move by half their length, and their first half only serves as context."""
    half = CONTEXT // 2
    return (len(words) // half - 1) * half


@torch.inference_mode()
def states_of(model: LanguageModel, words: Tensor) -> list[Tensor]:
    """Every layer's states of every word that 32 or more words stand before: (n words, 128) each."""
    half = CONTEXT // 2
    windows = words.unfold(0, CONTEXT, half)
    pieces = [[state[:, half:].flatten(0, 1) for state in model.states(some)] for some in windows.split(64)]
    return [torch.cat(layer) for layer in zip(*pieces, strict=True)]


def text_rows(n: int, steps: int) -> dict[str, Rows]:
    """States at n positions chosen at random, the same for every model and layer."""
    words = words_of_help()[: n * WORDS_A_ROW]
    random = np.random.default_rng(21)
    chosen = np.sort(random.choice(n_states(words), n, replace=False))
    rows: dict[str, Rows] = {}
    for seed in SEEDS:
        for number, layer in enumerate(states_of(trained(words, seed, steps).eval(), words), 1):
            rows[f"text, layer {number}, seed {seed}"] = layer.numpy()[chosen]
    return rows
