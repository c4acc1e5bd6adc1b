"""The demo's two encoders of digits."""

import math

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import repgeom as rg
from repgeom.demo import digit_features, digit_halves, encode, info_nce, pull_together, train_encoder


def test_digit_halves_share_out_every_scan_once():
    train, held_out, train_digits, digits = digit_halves()
    whole = load_digits()
    both = torch.cat([train, held_out]).numpy()
    labels = np.concatenate([train_digits, digits])
    expected = sorted((image.tobytes(), int(c)) for image, c in zip((whole.images / 16).astype(np.float32), whole.target, strict=True))  # fmt: skip
    assert sorted((image.tobytes(), int(c)) for image, c in zip(both, labels, strict=True)) == expected
    assert not torch.equal(train, digit_halves(1)[0])


def test_info_nce_and_pull_together_by_hand(rng):
    a, b = rng.standard_normal((2, 5, 3))
    cosines = (a @ b.T) / np.linalg.norm(a, axis=1)[:, None] / np.linalg.norm(b, axis=1)
    logits = cosines / 0.2
    loss = np.mean([math.log(np.exp(row).sum()) - row[i] for i, row in enumerate(logits)])
    assert float(info_nce(torch.tensor(a), torch.tensor(b))) == pytest.approx(loss)
    assert float(pull_together(torch.tensor(a), torch.tensor(b))) == pytest.approx(1 - np.diag(cosines).mean())


def test_one_encoder_spreads_out_and_the_other_collapses():
    features, digits = digit_features(steps=60)
    assert len(digits) == 899
    ranks = {name: rg.effective_rank(x) for name, x in features.items()}
    assert ranks["contrastive"] > 3 * ranks["alignment only"]


def test_an_encoder_depends_on_its_seed_alone():
    train, held_out, _, _ = digit_halves()
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    first = encode(train_encoder(train, info_nce, steps=2), held_out)
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    torch.rand(3)
    assert np.array_equal(encode(train_encoder(train, info_nce, steps=2), held_out), first)
    assert not np.array_equal(encode(train_encoder(train, info_nce, 1, steps=2), held_out), first)
