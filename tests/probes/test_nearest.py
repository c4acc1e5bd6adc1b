"""The nearest-neighbour probe: votes counted by hand."""

import numpy as np
import pytest
import torch
from probe_cases import ABS, Largest, problem

import repgeom as rg


def slow_votes(bank, labels, queries, k, temperature, leave_out=None):
    """Each of the k nearest votes 1 or exp(cosine / T); of equal votes the class that is met first wins."""
    bank, queries = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (bank, queries))
    winners = []
    for i, query in enumerate(queries):
        near = [j for j in np.argsort(-bank @ query) if leave_out is None or j != leave_out[i]][:k]
        votes = {}
        for j in near:
            weight = 1 if temperature is None else np.exp(bank[j] @ query / temperature)
            votes[labels[j]] = votes.get(labels[j], 0) + weight
        winners.append(max(votes, key=votes.get))
    return winners


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("temperature", [None, 0.07, 1])
@pytest.mark.parametrize("leave_out", [False, True])
@pytest.mark.parametrize("blocks", [(1 << 22, 1 << 16), (30, 7), (1, 1)], ids=str)
def test_votes_are_those_counted_by_hand(blocks, leave_out, temperature, dtype, rng, monkeypatch):
    monkeypatch.setattr("repgeom.probes.nearest._SIMILARITIES", blocks[0])
    monkeypatch.setattr("repgeom.probes.nearest._BANK_ROWS", blocks[1])
    x, labels = problem(rng, 40, 4, 3)
    queries, own = rng.permutation(x)[:25] + 0.01, rng.integers(0, 40, 25) if leave_out else None
    text = np.array(["cat", "dog", "ant"])[labels]
    x, queries = (torch.tensor(z).to(dtype) for z in (x, queries))
    probe = rg.probes.fit_knn_probe(x, text, k=[9, 1, 2, 4, 39], temperature=temperature)
    found = probe.predict(queries, leave_out=own)
    x, queries = x.double().numpy(), queries.double().numpy()
    for row, k in zip(found, probe.k, strict=True):
        assert row.tolist() == slow_votes(x, text, queries, k, temperature, own), k


def test_similarities_are_held_in_blocks(rng, monkeypatch):
    x, labels = problem(rng, 300, 2)
    probe = rg.probes.fit_knn_probe(x[:200], labels[:200], k=[3, 5])
    monkeypatch.setattr("repgeom.probes.nearest._SIMILARITIES", 500)
    monkeypatch.setattr("repgeom.probes.nearest._BANK_ROWS", 50)
    with Largest() as largest:
        probe.accuracy(x, labels)
    assert largest.values <= 600  # the queries themselves; all similarities at once are 60,000


def test_accuracy_is_the_share_of_right_votes_for_each_k(rng):
    x, labels = problem(rng)
    probe = rg.probes.fit_knn_probe(x, labels, k=[1, 20])
    expected = {k: (row == labels).mean() for k, row in zip((1, 20), probe.predict(x), strict=True)}
    assert probe.accuracy(x, labels) == pytest.approx(expected, abs=ABS)
    assert probe.accuracy(x, labels)[1] == 1
    own = probe.accuracy(x, labels, leave_out=np.arange(200))
    assert own == {k: rg.knn_accuracy(x, labels, k=k) for k in (1, 20)}
    assert own[1] < 1


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [1e-3, 1e-30, 1e-50])
def test_a_low_temperature_leaves_the_vote_to_the_nearest_and_a_high_one_to_the_most(temperature, dtype, rng):
    x, labels = problem(rng, 61, n_classes=2)
    x, new = x.astype(dtype), rng.standard_normal((40, 6)).astype(dtype)
    nearest, most = (rg.probes.fit_knn_probe(x, labels, k=k).predict(new)[0].tolist() for k in (1, 61))
    cold, hot = (
        rg.probes.fit_knn_probe(x, labels, k=61, temperature=t).predict(new)[0].tolist() for t in (temperature, 1e9)
    )
    assert (cold, hot) == (nearest, most)
    assert nearest != most


@pytest.mark.parametrize("scale", [1e-50, 1e-30, 1e30, 1e50])
def test_a_cosine_does_not_depend_on_the_scale_of_a_query(scale, rng):
    x, labels = problem(rng)
    knn = rg.probes.fit_knn_probe(x.astype(np.float32), labels, k=1)
    linear = rg.probes.fit_linear_probe(x.astype(np.float32), labels, C=1, normalize="l2")
    for probe in (knn, linear):
        assert (probe.predict(x * scale) == probe.predict(x)).all()
