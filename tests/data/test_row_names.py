"""Rows that pandas names: what stands beside features in another order is refused, in every function that takes both."""

import numpy as np
import pandas as pd
import pytest
import torch

import repgeom as rg
from repgeom.probes import fit_knn_probe, fit_linear_probe

N = 60
X = pd.DataFrame(np.random.default_rng(0).standard_normal((N, 5)), columns=list("abcde"))
Y = pd.Series(np.arange(N) % 3)
SHUFFLED = X.sample(frac=1, random_state=0)

CALLS = {
    "audit, labels": lambda x, y: rg.audit(x, labels=y),
    "audit, groups": lambda x, y: rg.audit(x, groups=y),
    "audit of a key": lambda x, y: rg.audit(x, key="a,b,c", labels=y),
    "kNN accuracy": rg.knn_accuracy,
    "kNN probe": fit_knn_probe,
    "linear probe": fit_linear_probe,
    "classes": rg.class_effective_rank,
    "between classes": rg.between_class_variance,
    "audit, reference": lambda x, y: rg.audit(x, reference=x.loc[y.index]),
    "audit, corrupted": lambda x, y: rg.audit(x, corrupted=x.loc[y.index]),
    "CKA": lambda x, y: rg.linear_cka(x, x.loc[y.index]),
    "mutual kNN": lambda x, y: rg.mutual_knn(x, x.loc[y.index]),
    "Procrustes": lambda x, y: rg.procrustes_distance(x, x.loc[y.index]),
    "cosine": lambda x, y: rg.cosine_alignment(x, x.loc[y.index]),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("call", CALLS)
def test_one_index_in_two_orders_is_refused(call):
    with pytest.raises(ValueError, match=r"another order, by their index: row \d+ is .*loc\[features\.index\]"):
        CALLS[call](SHUFFLED, Y)
    CALLS[call](SHUFFLED, Y.loc[SHUFFLED.index])  # put in order


@pytest.mark.parametrize(
    "labels",
    [
        Y.to_numpy(),  # no index
        torch.arange(N) % 3,
        pd.Series(Y.to_numpy(), index=np.arange(N) + 7),  # other names of rows, such as a new count
        pd.Series(Y.to_numpy(), index=np.zeros(N, int)),  # names that are not of one row each
        pd.Series(Y.to_numpy(), index=[f"row {i}" for i in range(N)]),
    ],
)
def test_an_index_that_says_nothing_is_not_asked(labels):
    assert rg.knn_accuracy(SHUFFLED, labels, k=3) == rg.knn_accuracy(SHUFFLED.to_numpy(), Y.to_numpy(), k=3)
