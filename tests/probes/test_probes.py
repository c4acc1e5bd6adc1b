"""Probes: scikit-learn's optimum and closed forms for the linear one, votes counted by hand for the neighbours."""

import re

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import torch
from scipy.special import expit, logsumexp
from sklearn.linear_model import LogisticRegression
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import repgeom as rg
from repgeom.data.labels import codes_among
from repgeom.probes.linear import _held_out
from repgeom.probes.logistic import LogisticPath

EPS = np.finfo(float).eps
ABS = 512 * EPS  # a few hundred roundings of numbers near 1
REL = 1e-6  # the promise about the objective

TROUBLES = {
    "plain": lambda x: x,
    "common mean, constant columns": lambda x: np.where(np.arange(x.shape[1]) % 3, x, 0) + 1e3,
    "badly scaled": lambda x: x * np.logspace(-2, 2, x.shape[1]),
}


def problem(rng, n=200, d=6, n_classes=3, apart=1.0):
    labels = np.arange(n) % n_classes
    return rng.standard_normal((n, d)) + apart * rng.standard_normal((n_classes, d))[labels], labels


def objective(weight, bias, x, labels, C):
    """½ ‖W‖² + C Σ loss in float64; scikit-learn's one vector of two classes is the difference of two."""
    weight, bias, x = (np.asarray(z, dtype=float) for z in (weight, bias, x))
    logits = x @ weight.T + bias
    loss = (logsumexp(logits, axis=1) - logits[np.arange(len(x)), labels]).sum()
    return 0.5 * np.square(np.diff(weight, axis=0) if len(weight) == 2 else weight).sum() + C * loss


def of(probe, x, labels):
    return objective(probe.weight, probe.bias, x, labels, probe.C)


def optimum(x, labels, C):
    """scikit-learn's, on centred rows: with a free bias the same problem, and one that its solvers can solve."""
    x = np.asarray(x, dtype=float) - np.asarray(x, dtype=float).mean(0)
    model = LogisticRegression(C=C, solver="newton-cg", tol=1e-10, max_iter=10_000).fit(x, labels)
    weight, bias = model.coef_, model.intercept_
    if len(weight) == 1:
        weight, bias = np.vstack([-weight, weight]) / 2, np.r_[-bias, bias] / 2
    return objective(weight, bias, x, labels, C)


def same(probe, other, x, labels, gap=1e-7):
    """½ ‖W − W*‖² is at most what W lacks to the minimum, so `gap` of the objective bounds how far weights may differ."""
    value = of(other, x, labels)
    assert of(probe, x, labels) == pytest.approx(value, rel=gap)
    assert torch.dist(probe.weight, other.weight) <= 2 * (2 * gap * value) ** 0.5


class Largest(TorchDispatchMode):
    """Counts the values of the largest tensor that any operation returns."""

    values = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        sizes = [t.untyped_storage().nbytes() // t.element_size() for t in tree_leaves(out) if torch.is_tensor(t)]
        self.values = max([self.values, *sizes])
        return out


# --- the linear probe: its optimum -------------------------------------------------------------------------------


@pytest.mark.parametrize("C", [1, 1e4])
@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("shape", [(200, 6), (30, 60)], ids=["tall", "wide"])
@pytest.mark.parametrize("trouble", [*TROUBLES, "nearly separable"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_objective_is_scikit_learns(dtype, trouble, shape, n_classes, C, rng):
    x, labels = problem(rng, *shape, n_classes, apart=1 if trouble in TROUBLES else 10)
    x = TROUBLES.get(trouble, TROUBLES["plain"])(x).astype(dtype)
    probe = rg.probes.fit_linear_probe(x, labels, C=C)
    best = optimum(x, labels, C)
    assert of(probe, x, labels) == pytest.approx(best, rel=REL)
    # What a float32 solver reports of it carries the rounding of log p.
    assert probe.path[0].objective == pytest.approx(best, rel=REL if dtype == "float64" else 20 * REL)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_called_converged_is_at_the_optimum(seed):
    x, labels = problem(np.random.default_rng(seed), n_classes=2, apart=10)
    probe = rg.probes.fit_linear_probe(x.astype(np.float32), labels, C=1e4)
    assert probe.path[0].converged
    assert of(probe, x.astype(np.float32), labels) == pytest.approx(optimum(x.astype(np.float32), labels, 1e4), rel=REL)


@pytest.mark.parametrize("C", [1e-3, 1, 1e3])
def test_two_points_in_closed_form(C):
    probe = rg.probes.fit_linear_probe([[-1.0], [1.0]], ["left", "right"], C=C, tol=1e-14)
    w = scipy.optimize.brentq(lambda w: w - 2 * C * expit(-w), 0, 2 * C)
    assert torch.diff(probe.weight[:, 0]).item() == pytest.approx(w, rel=REL)
    assert probe.bias.tolist() == pytest.approx([0, 0], abs=ABS)
    assert probe.path[0].objective == pytest.approx(w**2 / 2 + 2 * C * np.log1p(np.exp(-w)), rel=1e-9)


def test_features_that_say_nothing_give_the_shares_of_the_classes():
    labels = np.repeat(["a", "b", "c"], [10, 60, 30])
    probe, shares = rg.probes.fit_linear_probe(np.full((100, 4), 0.1), labels, C=2.0), np.array([0.1, 0.6, 0.3])
    assert probe.weight.abs().max() < 1e-12
    assert probe.logits(np.ones((1, 4))).softmax(1)[0].tolist() == pytest.approx(shares, abs=1e-4)
    assert probe.path[0].objective == pytest.approx(-200 * (shares @ np.log(shares)), rel=1e-8)
    assert probe.row_space.shape == (4, 0)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_probabilities_and_answers_are_scikit_learns(n_classes, rng):
    x, labels = problem(rng, n_classes=n_classes)
    new, truth = problem(rng, 50, n_classes=n_classes)
    text = np.array([f"class {c}" for c in labels])
    model = LogisticRegression(C=0.5, tol=1e-12, max_iter=10_000).fit(x, text)
    probe = rg.probes.fit_linear_probe(x, text, C=0.5)
    assert probe.logits(new).softmax(1).numpy() == pytest.approx(model.predict_proba(new), abs=1e-3)
    assert probe.classes.tolist() == sorted(set(text))
    assert probe.predict(new).tolist() == model.predict(new).tolist()
    truth = np.array([f"class {c}" for c in truth])
    assert probe.correct(new, truth).tolist() == (model.predict(new) == truth).tolist()
    assert probe.accuracy(new, truth) == pytest.approx(model.score(new, truth), abs=ABS)


def test_what_leaves_the_weights_and_what_does_not(rng):
    x, labels = problem(rng)
    order, q = rng.permutation(200), np.linalg.qr(rng.standard_normal((6, 6)))[0]
    before = rg.probes.fit_linear_probe(x, labels, C=1, tol=1e-13).weight.numpy()
    for how, (rows, names, C, back) in {
        "a common mean": (x + 1e6, labels, 1, lambda w: w),
        "order": (x[order], labels[order], 1, lambda w: w),
        "every row twice at half the C": (np.vstack([x, x]), [*labels, *labels], 0.5, lambda w: w),
        "rotation": (x @ q, labels, 1, lambda w: w @ q.T),
        "other names": (x, 2 - labels, 1, lambda w: w[::-1]),
        "tiny scale": (x * 2.0**-40, labels, 2.0**80, lambda w: w * 2.0**-40),
        "huge scale": (x * 2.0**300, labels, 2.0**-600, lambda w: w * 2.0**300),
    }.items():
        found = back(rg.probes.fit_linear_probe(rows, names, C=C, tol=1e-13).weight.numpy())
        assert found == pytest.approx(before, abs=1e-5), how
    assert np.abs(rg.probes.fit_linear_probe(x * 2, labels, C=1).weight.numpy() * 2 - before).max() > 1e-2


def test_a_batch_of_strengths_is_each_alone(rng):
    x, labels = problem(rng, 90, 8, 4)
    strengths = (1e-4, 0.01, 1.0, 100.0)
    rows, codes = torch.tensor(x), torch.tensor(labels)
    batch = LogisticPath(rows, codes, 4, strengths, 1e-12, 500).solve()
    for i, C in enumerate(strengths):
        alone = rg.probes.fit_linear_probe(x, labels, C=C, tol=1e-12)
        assert batch.objective[i] == pytest.approx(alone.path[0].objective, rel=1e-10)
        assert torch.dist(batch.weight[i], alone.weight) <= 2 * (2e-10 * batch.objective[i]) ** 0.5


def test_the_start_does_not_change_the_optimum(rng):
    x, labels = problem(rng, 240, 8, 4)
    rows, codes = torch.tensor(x), torch.tensor(labels)
    zero, far = (LogisticPath(rows, codes, 4, [1.0], 1e-10, 500) for _ in range(2))
    far.solve(torch.tensor(rng.standard_normal(far.parameters.shape)))
    assert far.objective == pytest.approx(zero.solve().objective, rel=1e-9)


def test_logits_are_held_in_pieces_that_change_nothing(rng, monkeypatch):
    x, labels = problem(rng, 150, 2, 5)
    strengths = np.logspace(-3, -1, 8)
    whole = rg.probes.fit_linear_probe(x, labels, C=strengths)
    monkeypatch.setattr("repgeom.probes.logistic._LOGITS", 300)
    with Largest() as largest:
        pieces = rg.probes.fit_linear_probe(x, labels, C=strengths)
    assert largest.values <= 300  # as many as the rows; all logits at once are 6,000
    assert [p.accuracy for p in pieces.path] == [p.accuracy for p in whole.path]
    same(pieces, whole, x, labels)


# --- the linear probe: the choice of C ---------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.99])
def test_the_split_takes_its_share_of_each_class_and_never_all_of_it(share):
    sizes = np.array([1, 2, 5, 150])
    codes = np.repeat(np.arange(4), sizes)
    held = np.bincount(codes[_held_out(codes, share, seed=0).numpy()], minlength=4)
    assert (held < sizes).all()
    assert (np.abs(held - share * sizes) <= 1).all()


def test_the_path_is_what_each_strength_alone_gives_on_the_held_out_rows(rng):
    x, labels = problem(rng, 120, 30, 3, apart=0.4)
    probe = rg.probes.fit_linear_probe(x, labels, C=[100, 1e-4, 1, 0.01], validation=0.3, seed=5)
    held = _held_out(labels, 0.3, 5).numpy()
    assert [p.C for p in probe.path] == [1e-4, 0.01, 1, 100]
    for point in probe.path:
        alone = rg.probes.fit_linear_probe(x[~held], labels[~held], C=point.C)
        loss = -alone.logits(x[held]).log_softmax(1).numpy()[np.arange(held.sum()), labels[held]].mean()
        assert point.accuracy == pytest.approx(alone.accuracy(x[held], labels[held]), abs=ABS)
        assert point.loss == pytest.approx(loss, rel=1e-3)
        assert point.objective == pytest.approx(of(alone, x[~held], labels[~held]), rel=1e-8)
    assert len({p.accuracy for p in probe.path}) > 1
    assert probe.C == max(probe.path, key=lambda p: (p.accuracy, -p.loss)).C
    same(probe, rg.probes.fit_linear_probe(x, labels, C=probe.C), x, labels)


def test_of_equal_accuracies_the_least_loss_is_chosen(rng):
    x, labels = problem(rng, apart=20)
    probe = rg.probes.fit_linear_probe(x, labels, C=[1e-4, 1e-2, 1])
    assert {p.accuracy for p in probe.path} == {1}
    assert probe.C == min(probe.path, key=lambda p: p.loss).C == 1


def test_one_strength_needs_no_split(rng):
    x, labels = problem(rng, 3)
    probe = rg.probes.fit_linear_probe(x, labels, C=[1.0])
    assert (len(probe.path), probe.C, probe.predict(x).tolist()) == (1, 1, labels.tolist())
    assert np.isnan([probe.path[0].accuracy, probe.path[0].loss]).all()


def test_default_strengths_and_the_seed(rng):
    x, labels = problem(rng, 60, 4)
    one, again, other = (rg.probes.fit_linear_probe(x, labels, seed=seed) for seed in (0, 0, 1))
    assert [p.C for p in one.path] == pytest.approx(np.logspace(-5, 4, 20), rel=1e-5)
    assert torch.equal(one.weight, again.weight)
    assert one.path == again.path
    assert [p.loss for p in one.path] != [p.loss for p in other.path]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_too_few_iterations_are_told(dtype, rng):
    x, labels = problem(rng, n_classes=5)
    with pytest.warns(UserWarning, match="not converged after 3 iterations for C = 1; raise `max_iter`") as caught:
        rg.probes.fit_linear_probe(x.astype(dtype), labels, C=1, max_iter=3)
    assert [w.filename for w in caught] == [__file__]
    with pytest.warns(UserWarning, match="not converged") as caught:
        probe = rg.probes.fit_linear_probe(x.astype(dtype), labels, C=[1e-9, 1, 100], max_iter=3)
    assert [f"for C = {probe.C:g};" in str(w.message) for w in caught] == [True]  # of the chosen one alone
    assert [p.converged for p in probe.path] == [True, False, False]
    assert max(p.n_iter for p in probe.path) == 3


# --- the linear probe: rows, directions --------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", [None, "l2"])
def test_array_kinds_give_the_same_probe_and_stay_as_they_were(normalize, rng):
    x, labels = problem(rng, 60, 4)
    x = torch.tensor(x * 8).round()
    original, before = x.clone(), rg.probes.fit_linear_probe(x, labels, C=1, normalize=normalize)
    kinds = [x.half(), x.bfloat16(), x.float().requires_grad_(), x.int(), x.mT.contiguous().mT, x.repeat(2, 2)[:60, :4]]
    kinds += [x, x.numpy(), np.flip(np.flip(x.numpy()).copy()), np.asfortranarray(x), x.tolist()]
    for kind in [*kinds, pd.DataFrame(x.numpy())]:
        probe = rg.probes.fit_linear_probe(kind, labels, C=1, normalize=normalize)
        assert probe.weight.numpy() == pytest.approx(before.weight.numpy(), abs=2e-3)
        assert probe.predict(kind).tolist() == before.predict(x).tolist()
    assert torch.equal(x, original)
    assert rg.probes.fit_linear_probe(x.half(), labels, C=1).weight.dtype == torch.float32
    assert (before.weight.dtype, before.weight.requires_grad) == (torch.float64, False)


def test_l2_is_a_probe_of_unit_rows(rng):
    x, labels = problem(rng)
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    probe, of_units = (
        rg.probes.fit_linear_probe(x, labels, C=1, normalize="l2"),
        rg.probes.fit_linear_probe(units, labels, C=1),
    )
    assert probe.weight.numpy() == pytest.approx(of_units.weight.numpy(), abs=1e-9)
    assert probe.logits(x * rng.uniform(0.1, 9, (200, 1))).numpy() == pytest.approx(of_units.logits(units), abs=1e-9)
    assert np.abs(probe.logits(x).numpy() - of_units.logits(x).numpy()).max() > 0.1


@pytest.mark.parametrize(
    ("d", "n_classes", "scales"), [(6, 2, 1), (6, 4, 1), (3, 7, 1), (30, 5, 1), (2, 3, [1e7, 1])], ids=str
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_row_space_is_where_differences_of_logits_change(d, n_classes, dtype, scales, rng):
    x, labels = problem(rng, d=d, n_classes=n_classes)
    x *= scales
    probe = rg.probes.fit_linear_probe(x.astype(dtype), labels, C=1)
    q, weight = probe.row_space.numpy(), probe.weight.double().numpy()
    assert q.shape == (d, min(d, n_classes - 1))
    assert q.T @ q == pytest.approx(np.eye(q.shape[1]), abs=ABS)
    step = rng.standard_normal((50, d)) * scales
    moved = (step - step @ q @ q.T) @ (weight - weight[0]).T
    assert np.abs(moved).max() <= 1e-5
    assert np.abs(step @ q @ q.T @ (weight - weight[0]).T).max() > 0.1


# --- neighbours --------------------------------------------------------------------------------------------------


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


# --- labels ------------------------------------------------------------------------------------------------------


def fitted(kind, x, labels):
    return rg.probes.fit_linear_probe(x, labels, C=1) if kind == "linear" else rg.probes.fit_knn_probe(x, labels, k=3)


both = pytest.mark.parametrize("kind", ["linear", "neighbours"])


@both
def test_labels_that_were_never_seen_are_wrong(kind, rng):
    x, labels = problem(rng, apart=9)
    probe = fitted(kind, x, np.array(["a", "b", "c"])[labels])
    right = probe.correct(x, np.array(["a", "new", "c"])[labels])
    assert np.ravel(right).tolist() == (labels != 1).tolist()
    known = r"among the classes that the probe was fitted on \('a', 'b', 'c' \.\.\.\)"
    with pytest.raises(ValueError, match=r"none of `labels` \('x', 'y', 'z' \.\.\.\) is " + known):
        probe.accuracy(x, np.array(["x", "y", "z"])[labels])
    with pytest.raises(ValueError, match=r"none of `labels` \(0, 1, 2 \.\.\.\) is among"):
        probe.accuracy(x, labels)


@both
def test_label_kinds_agree(kind, rng):
    x, labels = problem(rng)
    probe = fitted(kind, x, labels)
    expected = probe.correct(x, labels).tolist()
    for other in (labels.tolist(), labels.astype(float), labels.astype(np.uint8), torch.tensor(labels).bfloat16()):
        assert probe.correct(x, other).tolist() == expected
        assert fitted(kind, x, other).correct(x, labels).tolist() == expected
    assert probe.predict(x).dtype == labels.dtype


@pytest.mark.parametrize(
    ("labels", "classes", "places"),
    [([3, 1, 2, 3], [1, 3], [1, 0, -1, 1]), ([3.0, 1], [1, 3], [1, 0]), (["b", "z", "a"], ["a", "b"], [1, -1, 0])],
)
def test_places_among_known_classes(labels, classes, places):
    assert codes_among(labels, len(places), np.array(classes)).tolist() == places


# --- errors ------------------------------------------------------------------------------------------------------

OUT_OF_RANGE = {
    "C": ([0, -1.0, np.nan, np.inf, [], "1", [1, np.nan]], "`C` must be one or more numbers above 0, got "),
    "validation": ([0, 1, -0.1, 1.5, np.nan, "0.1", None], "`validation` must lie between 0 and 1, got "),
    "normalize": (["l1", 2], "`normalize` must be None or .*, got "),
    "k": ([0, 201, -1, [0], [1, 201], 2.5, [2.5], "3"], "`k` must be a whole number from 1 to 200 here, got "),
    "temperature": ([0, -1, np.nan, np.inf, "0.07"], "`temperature` must be a positive number or None, got "),
}


@pytest.mark.parametrize(
    ("name", "value", "message"), [(n, v, m) for n, (values, m) in OUT_OF_RANGE.items() for v in values], ids=str
)
def test_a_setting_out_of_range_is_named(name, value, message, rng):
    fit = rg.probes.fit_knn_probe if name in ("k", "temperature") else rg.probes.fit_linear_probe
    shown = "" if name == "k" else re.escape(repr(value))  # of several k, the one that is out of range
    with pytest.raises(ValueError, match=message + shown):
        fit(*problem(rng), **{name: value})


@pytest.mark.parametrize("number", [np.float32(2), np.int64(2), np.array([2, 2]), (2,), range(2, 3)], ids=repr)
def test_numbers_of_any_kind_are_numbers(number, rng):
    x, labels = problem(rng)
    assert rg.probes.fit_linear_probe(x, labels, C=number).C == 2
    if not isinstance(number, np.floating):
        assert {*rg.probes.fit_knn_probe(x, labels, k=number).k} == {2}


def test_a_share_that_holds_out_no_row_is_named(rng):
    with pytest.raises(ValueError, match=r"`validation=0\.1` leaves no row to choose C on with these 12 rows"):
        rg.probes.fit_linear_probe(*problem(rng, 12))


@pytest.mark.parametrize(
    "leave_out", [np.arange(199), np.arange(201), np.arange(200)[:, None], 0, np.arange(200) + 1, np.full(200, 0.5)]
)
def test_rows_to_leave_out_must_be_one_row_of_the_bank_for_each_query(leave_out, rng):
    x, labels = problem(rng)
    with pytest.raises(ValueError, match="`leave_out`"):
        rg.probes.fit_knn_probe(x, labels).predict(x, leave_out=leave_out)


def test_leaving_out_leaves_one_neighbour_fewer(rng):
    x, labels = problem(rng)
    probe = rg.probes.fit_knn_probe(x, labels, k=200)
    assert probe.predict(x).shape == (1, 200)
    with pytest.raises(ValueError, match="`k` must be a whole number from 1 to 199 here, got 200"):
        probe.predict(x, leave_out=np.arange(200))


@both
def test_bad_rows_and_labels_are_named(kind, rng):
    x, labels = problem(rng)
    probe, bad = fitted(kind, x, labels), x.copy()
    bad[7, 2] = np.nan
    for call in (lambda: fitted(kind, bad, labels), lambda: probe.predict(bad), lambda: probe.accuracy(bad, labels)):
        with pytest.raises(ValueError, match="`features` has 1 non-finite value; the first is nan at row 7, column 2"):
            call()
    for call in (lambda: fitted(kind, x, labels[1:]), lambda: probe.correct(x, labels[1:])):
        with pytest.raises(ValueError, match="`labels` has 199 entries and `features` 200 rows"):
            call()
    with pytest.raises(ValueError, match=r"`features` has 5 columns, the .* 6"):
        probe.predict(x[:, 1:])
    with pytest.raises(ValueError, match=r"`features` must be \(n_samples, n_features\), got shape \(1, 200, 6\)"):
        fitted(kind, x[None], labels)


@pytest.mark.parametrize("only", ["a", 3])
def test_one_class_is_named(only, rng):
    with pytest.raises(ValueError, match=rf"`labels` has one class only \({only!r}\); a probe needs at least two"):
        rg.probes.fit_linear_probe(problem(rng)[0], [only] * 200)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@both
def test_a_probe_lives_where_its_features_do(kind, rng):
    x, labels = problem(rng)
    here, there = fitted(kind, x, labels), fitted(kind, torch.tensor(x).cuda(), labels)
    assert there.correct(x, labels).is_cuda
    assert (there.predict(x) == here.predict(torch.tensor(x).cuda())).all()


def test_fitted_probes_show_themselves_in_one_line(rng):
    x, labels = problem(rng)
    assert repr(rg.probes.fit_linear_probe(x, labels, C=[0.1, 1.0])).startswith("<LinearProbe of 3 classes on ")
    assert repr(rg.probes.fit_knn_probe(x, labels, k=3)).endswith("features, k = (3,)>")
