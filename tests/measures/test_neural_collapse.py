"""Neural collapse: against the definitions with whole matrices, planted simplices, and an audit's sums."""

import numpy as np
import pandas as pd
import pytest
import torch

import repgeom as rg


def slow(x, labels, weights=None, bias=0.0):
    """As Papyan, Han and Donoho compute it, with NC1 divided by the number of classes."""
    x, labels = np.asarray(x, float), np.asarray(labels)
    classes = sorted(set(labels.tolist()))
    n_classes = len(classes)
    means = np.array([x[labels == c].mean(0) for c in classes])
    m = means - means.mean(0)
    within = sum(
        np.outer(row - means[classes.index(c)], row - means[classes.index(c)])
        for row, c in zip(x, labels.tolist(), strict=True)
    )
    within = within / len(x)
    between = m.T @ m / n_classes
    found = {
        "nc1": np.trace(within @ np.linalg.pinv(between, rcond=1e-10, hermitian=True)) / n_classes,
        "nc1_quotient": np.trace(within) / np.trace(between),
    }

    def simplex(z):
        lengths = np.linalg.norm(z, axis=1)
        cosines = [z[i] @ z[j] / lengths[i] / lengths[j] for i in range(n_classes) for j in range(n_classes) if i != j]
        return np.std(lengths) / np.mean(lengths), np.mean(np.abs(np.array(cosines) + 1 / (n_classes - 1)))

    found["nc2_lengths"], found["nc2_angles"] = simplex(m)
    nearest = np.array([np.argmin([np.linalg.norm(row - mean) for mean in means]) for row in x])
    found["nearest_centre_accuracy"] = np.mean([classes[i] == c for i, c in zip(nearest, labels.tolist(), strict=True)])
    if weights is not None:
        found["nc2_lengths_of_weights"], found["nc2_angles_of_weights"] = simplex(weights - weights.mean(0))
        found["nc3"] = np.linalg.norm(weights / np.linalg.norm(weights) - m / np.linalg.norm(m)) ** 2
        found["nc4"] = np.mean((x @ weights.T + bias).argmax(1) == nearest)
    return found


def _defined(labels):
    sizes = np.unique(labels, return_counts=True)[1]
    return len(sizes) > 1 and sizes.min() > 1


def slow_neural_collapse_within(x, labels):
    return slow(x, labels)["nc1"] if _defined(labels) else None


def slow_neural_collapse_angles(x, labels):
    return slow(x, labels)["nc2_angles"] if _defined(labels) else None


def classes(n=90, d=7, n_classes=4, seed=0):
    """Classes of different sizes, off the origin."""
    g = np.random.default_rng(seed)
    labels = np.r_[
        np.arange(n_classes).repeat(2), g.choice(n_classes, n - 2 * n_classes, p=np.arange(1, n_classes + 1) / 10)
    ]
    return g.standard_normal((n, d)) + 2 * g.standard_normal((n_classes, d))[labels] + 4, labels


def simplex(n_classes):
    """Corners of a simplex about 0 (C, C), of length 1."""
    corners = np.eye(n_classes) - 1 / n_classes
    return corners / np.linalg.norm(corners, axis=1, keepdims=True)


@pytest.mark.filterwarnings("ignore:the nearest class mean is right")  # of weights that fit nothing
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(90, 7, 4), (24, 40, 4), (60, 2, 4)], ids=["tall", "wide", "more classes than features"]
)
@pytest.mark.parametrize("text", [False, True])
def test_agrees_with_whole_matrices(dtype, shape, text, monkeypatch):
    x, labels = classes(*shape)
    x = torch.tensor(x).to(getattr(torch, dtype))
    g = np.random.default_rng(1)
    weights, bias = g.standard_normal((4, shape[1])), g.standard_normal(4)
    expected = slow(x.double(), labels, weights, bias)
    given = np.array(["a", "b", "c", "d"])[labels] if text else labels
    found = rg.neural_collapse(x, given, weights=weights, bias=bias)
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, rel=1e-9, abs=1e-12), name
    assert found.classes.tolist() == sorted(set(given.tolist()))
    without = rg.neural_collapse(x, given)
    assert (without.nc1, without.nc3, without.nc4) == (found.nc1, None, None)


@pytest.mark.parametrize("rows", [1, 7])
def test_pieces_of_any_size_say_the_same(rows, monkeypatch):
    x, labels = classes()
    whole = rg.neural_collapse(x, labels)
    monkeypatch.setattr("repgeom.data.sources.chunk_rows", lambda *_: rows)
    parts = rg.neural_collapse(x, labels)
    for name in ("nc1", "nc1_quotient", "nc2_angles", "nearest_centre_accuracy"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name), rel=1e-12)


@pytest.mark.parametrize("shape", [(90, 7, 4), (24, 40, 4)], ids=["sums", "rows held"])
@pytest.mark.parametrize("normalize", [None, "l2"])
def test_an_audit_reads_it_from_its_sums(shape, normalize):
    x, labels = classes(*shape)
    found = rg.neural_collapse(x, labels, normalize=normalize)
    report = rg.audit(x, labels=labels, normalize=normalize)
    assert report["neural_collapse_within"].value == pytest.approx(found.nc1, rel=1e-9)
    assert report["neural_collapse_angles"].value == pytest.approx(found.nc2_angles, rel=1e-9)
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert found.nc1 == pytest.approx(slow(units if normalize else x, labels)["nc1"], rel=1e-9)


@pytest.mark.parametrize("spread", [1e-1, 1e-4])
def test_a_planted_collapse(spread):
    g = np.random.default_rng(0)
    labels = np.arange(10).repeat(200)
    corners = simplex(10)
    x = corners[labels] + spread * g.standard_normal((2000, 10)) + 7
    found = rg.neural_collapse(x, labels, weights=3 * corners, bias=-21 * corners.sum(1))
    # S_B is the identity over 9 within the simplex, S_W the spread's square: 9 directions of 9 times it, over 10 classes.
    assert found.nc1 == pytest.approx(9 * 9 * spread**2 / 10, rel=0.1)
    assert found.nc1_quotient == pytest.approx(10 * spread**2, rel=0.05)
    assert found.nc2_angles < 0.2 * spread
    assert found.nc2_lengths < 0.2 * spread
    assert found.nc3 < spread**2
    assert (found.nc4, found.nearest_centre_accuracy) == (1, 1)
    assert found.nc2_angles_of_weights == pytest.approx(0, abs=1e-12)


def test_the_verdict_says_whether_means_lie_as_a_simplex():
    g = np.random.default_rng(0)
    labels = np.arange(10).repeat(60)
    line = np.linspace(-1, 1, 10)[:, None] * np.ones(24) + 0.2 * g.standard_normal((10, 24))
    for corners, words in (
        (simplex(10) @ np.eye(10, 24), "lie as a simplex (NC2 0.0"),
        (line, "do not lie as a simplex (NC2 "),
    ):
        x = corners[labels] + 0.02 * np.linalg.norm(corners) * g.standard_normal((600, 24)) / 5
        findings = {f.name: f for f in rg.audit(x, labels=labels).findings}
        assert words in findings["between_share"].reason


def test_what_moves_it():
    x, labels = classes()
    rotation = np.linalg.qr(np.random.default_rng(2).standard_normal((7, 7)))[0]
    order = np.random.default_rng(3).permutation(90)
    value = rg.neural_collapse(x, labels)
    for other, of in (
        (x @ rotation, labels),
        (x + 1e3, labels),
        (1e-4 * x, labels),
        (x[order], labels[order]),
        (x, 9 - labels),
    ):
        found = rg.neural_collapse(other, of)
        for name in ("nc1", "nc1_quotient", "nc2_lengths", "nc2_angles", "nearest_centre_accuracy"):
            assert getattr(found, name) == pytest.approx(getattr(value, name), rel=1e-7), name
    assert rg.neural_collapse(x, labels[order]).nc1 > 5 * value.nc1


X, LABELS = classes()
REFUSED = {
    "one class": (X, np.zeros(90, int), {}, r"`labels` holds one class"),
    "a class of one row": (X, np.r_[9, LABELS[1:]], {}, r"has 1 classes of one row, 9 first"),
    "ids": (np.r_[X, X], np.arange(180), {}, r"look like ids of samples"),
    "equal means": (np.array([[0.0], [2.0], [0.0], [2.0]]), [0, 0, 1, 1], {}, r"has the same mean in every class"),
    "other labels": (X, LABELS[:80], {}, r"`labels` has 80 entries and `features` 90 rows"),
    "NaN": (np.where(X[4, 2] == X, np.nan, X), LABELS, {}, r"1 non-finite value; the first is nan at row 4, column 2"),
    "weights turned": (X, LABELS, {"weights": np.ones((7, 4))}, r"`weights` has shape \(7, 4\); 4 classes of 7 features need \(4, 7\)"),
    "no weights": (X, LABELS, {"weights": np.zeros((4, 7))}, r"`weights` are all zero"),
    "bias alone": (X, LABELS, {"bias": np.ones(4)}, r"`bias` stands beside `weights`"),
    "bias of three": (X, LABELS, {"weights": np.ones((4, 7)), "bias": np.ones(3)}, r"`bias` must hold 4 finite numbers"),
}  # fmt: skip


@pytest.mark.parametrize(("x", "labels", "options", "message"), REFUSED.values(), ids=REFUSED)
def test_what_has_no_collapse_is_refused(x, labels, options, message):
    with pytest.raises(ValueError, match=message):
        rg.neural_collapse(x, labels, **options)


@pytest.mark.parametrize("labels", [np.zeros(90, int), np.r_[9, LABELS[1:]]], ids=["one class", "a class of one row"])
def test_an_audit_says_why_it_has_none(labels):
    value = rg.audit(X, labels=labels)["neural_collapse_within"]
    assert (value.value, value.note) == (
        None,
        "needs two classes or more, each of two rows or more, with means that differ",
    )


def _collapsed(labels, seed=0):
    """Rows close to the corners of a simplex, and the weights that tell them apart, by class in sorted order."""
    names, codes = np.unique(labels, return_inverse=True)
    corners = 5 * (np.eye(len(names)) - 1 / len(names))
    return corners[codes] + 0.1 * np.random.default_rng(seed).standard_normal((len(codes), len(names))), corners, names


@pytest.mark.parametrize("names", [list("abcd"), [f"{i}" for i in range(11)], list(range(5))])
@pytest.mark.parametrize("what", ["weights", "bias"])
def test_an_index_of_classes_in_another_order_is_refused(names, what):
    x, weights, classes = _collapsed(np.repeat(names, 6))
    frame, bias = pd.DataFrame(weights, index=classes), pd.Series(np.zeros(len(classes)), index=classes)
    other = classes[::-1]
    wrong = {"weights": frame, "bias": bias} | (
        {"weights": frame.loc[other]} if what == "weights" else {"bias": bias.loc[other]}
    )
    with pytest.raises(ValueError, match=f"`{what}` has the classes in another order, by its index: row 0 is"):
        rg.neural_collapse(x, np.repeat(names, 6), **wrong)
    assert rg.neural_collapse(x, np.repeat(names, 6), weights=frame, bias=bias).nc4 == 1
    # The way out that the error names.
    wrong[what] = wrong[what].rename(index=str).loc[np.unique(np.repeat(names, 6)).astype(str)]
    assert rg.neural_collapse(x, np.repeat(names, 6), **wrong).nc4 == 1
    named = frame.set_axis([f"unit {i}" for i in range(len(names))])  # other names say nothing
    assert rg.neural_collapse(x, np.repeat(names, 6), weights=named).nc4 == 1


def test_columns_of_weights_in_another_order_are_refused():
    x, weights, classes = _collapsed(np.repeat(list("abcd"), 6))
    rows, w = pd.DataFrame(x, columns=list("pqrs")), pd.DataFrame(weights, classes, columns=list("pqrs"))
    with pytest.raises(ValueError, match="`weights` has the columns of `features` in another order"):
        rg.neural_collapse(rows, np.repeat(list("abcd"), 6), weights=w[list("srqp")])
    assert rg.neural_collapse(rows, np.repeat(list("abcd"), 6), weights=w).nc4 == 1


@pytest.mark.parametrize("n_classes", [2, 3, 11, 30])
def test_weights_in_another_order_than_the_labels_are_told(n_classes):
    labels = np.repeat([str(i) for i in range(n_classes)], 6)
    x, weights, classes = _collapsed(labels)
    order = np.argsort(classes.astype(int)) if n_classes > 10 else np.roll(np.arange(n_classes), 1)
    with pytest.warns(
        UserWarning, match="the nearest class mean is right for 100% .* in the order of the sorted labels"
    ):
        assert rg.neural_collapse(x, labels, weights=weights[order]).nc4 < 0.5
    rg.neural_collapse(x, labels, weights=weights)  # silent: warnings are errors
    noise = np.random.default_rng(1).standard_normal(x.shape)
    rg.neural_collapse(noise, labels, weights=weights[order])  # nothing is told apart, so nothing is said
