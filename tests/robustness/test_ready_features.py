"""The robustness table of features that are ready: every way to name conditions, and what is refused."""

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from encoders import same

import repgeom as rg
from repgeom.robustness import feature_robustness

X = np.random.default_rng(0).standard_normal((30, 4))
WEAK, STRONG, OTHER = X + 0.1 * X[::-1], X + 0.4 * X[::-1], X * [1, 1, 1, 0.2]
CONDITIONS = [("typos", 0.05, WEAK), ("typos", 0.2, STRONG), ("case", 1, OTHER)]
LABELS = np.array(["spam", "ham"])[np.arange(30) % 2]
WAYS = {
    "list": lambda: CONDITIONS,
    "tuple": lambda: tuple(CONDITIONS),
    "lists in a list": lambda: [list(condition) for condition in CONDITIONS],
    "generator": lambda: (condition for condition in CONDITIONS),
    "other number types": lambda: [(name, np.float32(s) if s == 1 else s, torch.from_numpy(x)) for name, s, x in CONDITIONS],
    "mapping, names alone where the severity is 1": lambda: {
        "case" if name == "case" else (name, s): x for name, s, x in CONDITIONS
    },
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_every_way_to_name_conditions_gives_one_table(way):
    table = feature_robustness(X, way(), LABELS, k=3)
    same(table, feature_robustness(X, {(name, s): x for name, s, x in CONDITIONS}, LABELS, k=3).set_index(table.index))
    conditions = list(dict.fromkeys(zip(table.corruption, table.severity, strict=True)))
    assert conditions == [("clean", 0), ("typos", 0.05), ("typos", 0.2), ("case", 1)]
    alone = feature_robustness(X, STRONG, LABELS, k=3)
    rows = table[table.severity == 0.2].drop(columns=["corruption", "severity"]).reset_index(drop=True)
    expected = alone[alone.corruption == "corrupted"].drop(columns=["corruption", "severity"]).reset_index(drop=True)
    same(rows, expected)


def test_a_table_of_text_has_the_columns_and_measures_of_a_table_of_images():
    images = torch.rand(30, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    of_images = rg.robustness.corruption_robustness(
        lambda x: x[:, :, ::4, ::4].flatten(1), images, LABELS, corruptions="contrast", severities=3, k=3
    )
    of_text = feature_robustness(X, [("typos", 3, WEAK)], LABELS, k=3)
    assert list(of_text.columns) == list(of_images.columns)
    assert of_text.measure.tolist() == of_images.measure.tolist()


def test_features_written_as_rows_are_features_and_no_list_of_conditions():
    rows = [[float(v) for v in row[:3]] for row in WEAK]  # three numbers each, as a condition has three entries
    same(feature_robustness(X[:, :3], rows, k=3), feature_robustness(X[:, :3], WEAK[:, :3], k=3))


def test_a_generators_matrices_are_not_held():
    kept = []

    def conditions():
        for severity in range(1, 6):
            gc.collect()
            assert sum(alive() is not None for alive in kept) <= 1
            x = X + severity * WEAK
            kept.append(weakref.ref(x))
            yield "typos", severity, x

    feature_robustness(X, conditions(), k=3)
    assert len(kept) == 5


REFUSED = {
    "twice": (CONDITIONS + CONDITIONS[:1], "typos, severity 0.05, twice"),
    "twice in a mapping": ({"case": WEAK, ("case", 1): WEAK}, "case, severity 1, twice"),
    "nothing": ([], "`corrupted` is empty"),
    "an empty mapping": ({}, "`corrupted` is empty"),
    "an empty generator": (iter([]), "`corrupted` is empty"),
    "clean": ([("clean", 1, WEAK)], r"the key \('clean', 1\); keys are a name other than 'clean'"),
    "severity 0": ([("typos", 0, WEAK)], r"the key \('typos', 0\).* severity above 0"),
    "negative": ([("typos", -1.0, WEAK)], "severity above 0"),
    "NaN severity": ([("typos", float("nan"), WEAK)], "severity above 0"),
    "severity as text": ([("typos", "mild", WEAK)], r"\('typos', 'mild'\)"),
    "two entries": ([("typos", WEAK)], r"\(name, severity, features\) for each condition, got 2 entries \(str, ndarray\)"),
    "a name that is no text, later": ([*CONDITIONS, (7, 1, WEAK)], r"got 3 entries \(int, int, ndarray\)"),
    "a generator of matrices": (iter([WEAK]), "for each condition, got ndarray"),
    "NaN": ([CONDITIONS[0], ("typos", 2, WEAK * np.nan)], "at typos, severity 2: `corrupted`"),
    "another width": ([("case", 1, WEAK[:, :3])], "at case, severity 1: "),
    "fewer rows": ([("case", 1, WEAK[:9])], "at case, severity 1: "),
}  # fmt: skip


@pytest.mark.parametrize(("corrupted", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_condition_is_named(corrupted, message):
    with pytest.raises(ValueError, match=message):
        feature_robustness(X, corrupted, k=3)


def test_scores_and_the_drawing_take_names_of_ones_own():
    table = feature_robustness(X, CONDITIONS, LABELS, k=3)
    values = table[table.measure == "knn_accuracy"].set_index(["corruption", "severity"])["value"]
    both = (values["typos"].mean() + values["case", 1]) / 2
    mean = rg.robustness.mean_corruption_accuracy
    assert mean(table, measure="knn_accuracy", corruptions=["typos", "case", "typos"]) == pytest.approx(both)
    assert mean(table, measure="knn_accuracy", corruptions=["case"]) == pytest.approx(values["case", 1])
    with pytest.raises(ValueError, match=r"name others by `corruptions=`. It has typos, case"):
        mean(table, measure="knn_accuracy")
    for wrong, message in ((["typos", "noise"], r"\['noise'\]; the table has typos, case"), ([], "names nothing")):
        with pytest.raises(ValueError, match=message):
            mean(table, measure="knn_accuracy", corruptions=wrong)
    assert set(rg.robustness.severity_auc(table, measure="knn_accuracy")) == {"typos", "case"}
    labels = [t.get_text() for t in rg.plot_robustness(table).get_yticklabels()]
    assert labels == ["typos", "case"]


def accuracies(errors, severities=(1, 2)):
    """A table of {corruption: error at the first severity}, 0.1 more at each further one."""
    rows = [("clean", 0.0, "accuracy", 1 - errors["clean"])]
    rows += [
        (c, s, "accuracy", 0.9 - e - 0.1 * i)
        for c, e in errors.items()
        if c != "clean"
        for i, s in enumerate(severities)
    ]
    return pd.DataFrame(rows, columns=["corruption", "severity", "measure", "value"])  # fmt: skip


def test_corruption_errors_of_names_of_ones_own():
    mine, theirs = (
        accuracies({"clean": 0.0, "typos": 0.1, "case": 0.3}),
        accuracies({"clean": 0.1, "typos": 0.3, "case": 0.7}),
    )
    error = rg.robustness.mean_corruption_error
    found = error(mine, theirs, corruptions=["typos", "case"])
    typos, case = 0.25 / 0.45, 0.45 / 0.85  # means over two severities, 0.1 above the first one's accuracy of 0.9 − e
    assert found.per_corruption == {
        "typos": pytest.approx((typos, 0.25 / 0.35)),
        "case": pytest.approx((case, 0.45 / 0.75)),
    }
    assert (found.mce, found.n_corruptions) == (pytest.approx((typos + case) / 2), 2)
    listed = error(mine, {"clean": 0.1, "typos": [0.4, 0.5], "case": 0.85}, corruptions=["typos", "case"])
    assert listed.per_corruption == {c: pytest.approx(pair) for c, pair in found.per_corruption.items()}
    with pytest.raises(
        ValueError, match=r"severities \[1.0, 2.0\] of typos, the reference \[1.0, 3.0\]; both need the same"
    ):
        error(mine, accuracies({"clean": 0.1, "typos": 0.3}, (1, 3)), corruptions=["typos"])
    with pytest.raises(ValueError, match="the table has no accuracy of noise; it has case, clean, typos"):
        error(mine, theirs, corruptions=["noise"])
    with pytest.raises(ValueError, match="`corruptions` is empty"):
        error(mine, theirs, corruptions=[])
