"""Rows and columns that tables name: another order is refused, in every function that takes two of them."""

import re

import numpy as np
import pandas as pd
import pytest
import torch

import repgeom as rg
from repgeom.probes import fit_knn_probe, fit_linear_probe
from repgeom.robustness import feature_robustness

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
    "predictable rank": lambda x, y: rg.predictable_rank(x, x.loc[y.index]),
    "predictable rank, groups": lambda x, y: rg.predictable_rank(x, x, groups=y, folds=3),
    "Procrustes": lambda x, y: rg.procrustes_distance(x, x.loc[y.index]),
    "cosine": lambda x, y: rg.cosine_alignment(x, x.loc[y.index]),
    "alignment": lambda x, y: rg.alignment(x, x.loc[y.index]),
    "mutual kNN, groups": lambda x, y: rg.mutual_knn(x, x, groups=y, k=3),
    "estimate": lambda x, y: rg.estimate(x, groups=y),
    "stream": lambda x, y: rg.audit(iter([{"features": x, "labels": y}])),
    "stream, corrupted": lambda x, y: rg.audit(iter([{"features": x, "corrupted": x.loc[y.index]}])),
    "accumulator": lambda x, y: rg.AuditAccumulator().update(x, groups=y),
    "linear probe, correct": lambda x, y: fit_linear_probe(X.to_numpy(), Y.to_numpy()).accuracy(x, y),
    "kNN probe, correct": lambda x, y: fit_knn_probe(X.to_numpy(), Y.to_numpy()).accuracy(x, y),
}
# What errors call features elsewhere, and the call.
OTHER_NAMES = {
    "modality gap": ("a", lambda x, z: rg.modality_gap(x, z)),
    "compare": ("a", lambda x, z: rg.compare(x, z, paired=True)),
    "compare, groups": ("a", lambda x, z: rg.compare(x, x, paired=True, groups=z["a"].round())),
    "compare, groups of a": ("a", lambda x, z: rg.compare(x, x, groups=(z["a"].round(), None))),
    "compare, groups of b": ("b", lambda x, z: rg.compare(x, x, groups=(None, z["a"].round()))),
    "robustness": ("clean", lambda x, z: feature_robustness(x, z)),
    "robustness, conditions": ("clean", lambda x, z: feature_robustness(x, {("a", 1): x, ("a", 2): z})),
    "robustness, stream": ("clean", lambda x, z: feature_robustness(x, iter([("a", 1, z)]))),
    "robustness, labels": ("clean", lambda x, z: feature_robustness(x, x, z["a"].round())),
    "robustness, groups": ("clean", lambda x, z: feature_robustness(x, x, groups=(z["a"] * 20).round())),
    "ceiling": ("repeats[0]", lambda x, z: rg.rsa_noise_ceiling([x, x, z])),
    "ceiling, repeats alone": ("repeats[1]", lambda x, z: rg.rsa_noise_ceiling([x.to_numpy(), x, z])),
    "layers of one": ("a['x']", lambda x, z: rg.cka_map({"x": x, "z": z})),
    "layers of two": ("a['x']", lambda x, z: rg.cka_map({"x": x}, {"z": z})),
    "layers, repeats": ("a['x']", lambda x, z: rg.cka_map({"x": x}, {"z": x}, measure="rsa", repeats=[{"z": z}])),
    "tokens": ("tokens", lambda x, z: rg.token_geometry(x, z["a"].round())),
    "tokens by layer": ("tokens", lambda x, z: rg.token_geometry_by_layer({"one": x}, z["a"].round())),
}
COLUMNS = ["e", "c", "a", "b", "d"]
# What compares column j with column j: the name that errors have for the first, and the call.
SAME_SPACE = {
    "cosine": ("features", rg.cosine_alignment),
    "captured variance": ("features", rg.captured_variance),
    "angles": ("features", lambda c, r: rg.principal_angles(c, r, k=2)),
    "alignment": ("features", rg.alignment),
    "gap": ("a", rg.modality_gap),
    "gap, not paired": ("a", lambda c, r: rg.modality_gap(c, r, paired=False)),
    "robustness": ("clean", feature_robustness),
    "robustness, conditions": ("clean", lambda c, r: feature_robustness(c, [("a", 1, r)])),
    "audit, corrupted": ("features", lambda c, r: rg.audit(c, corrupted=r)),
    "audit, reference": ("features", lambda c, r: rg.audit(c, reference=r)),
    "stream": ("features", lambda c, r: rg.audit(iter([{"features": c, "corrupted": r}]))),
    "accumulator": ("features", lambda c, r: rg.AuditAccumulator().update(c, corrupted=r)),
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


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("call", OTHER_NAMES)
def test_errors_name_the_argument_of_the_call(call):
    called, function = OTHER_NAMES[call]
    with pytest.raises(ValueError, match=rf"has the rows of `{re.escape(called)}` in another order, by their index"):
        function(SHUFFLED, X)
    function(SHUFFLED, X.loc[SHUFFLED.index])  # put in order


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("call", SAME_SPACE)
def test_one_set_of_columns_in_two_orders_is_refused_where_columns_are_compared(call):
    called, function = SAME_SPACE[call]
    with pytest.raises(
        ValueError, match=rf"has the columns of `{called}` in another order: 'e' stands where .* has 'a'"
    ):
        function(X, X[COLUMNS])
    function(X, X[COLUMNS].to_numpy())
    function(X, X.set_axis(list("fghij"), axis=1))  # other names say nothing


@pytest.mark.parametrize("kind", ["polars", "arrow", "datasets", "csv", "with another column"])
def test_columns_of_every_kind_of_table_are_read_by_name(kind, tmp_path):
    tables = {"x": X, "z": X[COLUMNS] + 0.1}
    if kind == "polars":
        polars = pytest.importorskip("polars")
        tables = {name: polars.DataFrame({c: x[c].to_numpy() for c in x}) for name, x in tables.items()}
    elif kind == "arrow":
        arrow = pytest.importorskip("pyarrow")
        tables = {name: arrow.table({c: x[c].to_numpy() for c in x}) for name, x in tables.items()}
    elif kind == "datasets":
        datasets = pytest.importorskip("datasets")
        tables = {name: datasets.Dataset.from_dict({c: x[c].to_list() for c in x}) for name, x in tables.items()}
    elif kind == "with another column":
        tables["z"] = tables["z"].assign(name=[f"row {i}" for i in range(N)])
    else:
        for name, x in tables.items():
            x.to_csv(tmp_path / f"{name}.csv", index=False)
        tables = {name: tmp_path / f"{name}.csv" for name in tables}
    with pytest.raises(ValueError, match="`corrupted` has the columns of `features` in another order: 'e' stands"):
        rg.audit(tables["x"], corrupted=tables["z"])


def test_what_does_not_depend_on_columns_takes_them_in_any_order():
    assert rg.linear_cka(X, X[COLUMNS]) == pytest.approx(1)
    assert rg.rsa(X, X[COLUMNS], distance="euclidean") == pytest.approx(1)
