"""The linear probe: scikit-learn's optimum, closed forms, the choice of C, and its directions."""

import warnings

import numpy as np
import pandas as pd
import pytest
import scipy.optimize
import torch
from probe_cases import ABS, Largest, problem
from scipy.special import expit, logsumexp
from sklearn.linear_model import LogisticRegression

import repgeom as rg
from repgeom.probes.linear import _held_out
from repgeom.probes.logistic import LogisticPath

REL = 1e-6  # the promise about the objective

TROUBLES = {
    "plain": lambda x: x,
    "common mean, constant columns": lambda x: np.where(np.arange(x.shape[1]) % 3, x, 0) + 1e3,
    "badly scaled": lambda x: x * np.logspace(-2, 2, x.shape[1]),
}


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


# --- the linear probe: its optimum ----------------------------------------------------------------------------------


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


# --- the linear probe: the choice of C ------------------------------------------------------------------------------


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
    # In units of the features' mean variance.
    assert [p.C * x.var(0).mean() for p in one.path] == pytest.approx(np.logspace(-5, 4, 20), rel=1e-5)
    assert torch.equal(one.weight, again.weight)
    assert one.path == again.path
    assert [p.loss for p in one.path] != [p.loss for p in other.path]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_too_few_iterations_are_told(dtype, rng):
    x, labels = problem(rng, n_classes=5)
    with pytest.warns(UserWarning, match="not converged after 3 iterations for C = 1; raise `max_iter`") as caught:
        rg.probes.fit_linear_probe(x.astype(dtype), labels, C=1, max_iter=3)
    assert [w.filename for w in caught] == [__file__]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        probe = rg.probes.fit_linear_probe(x.astype(dtype), labels, C=[1e-9, 1, 100], max_iter=3)
    told = [str(w.message) for w in caught if "not converged" in str(w.message)]
    assert [f"for C = {probe.C:g};" in text for text in told] == [True]  # of the chosen one alone
    assert [p.converged for p in probe.path] == [True, False, False]
    assert max(p.n_iter for p in probe.path) == 3


# --- the linear probe: rows, directions -----------------------------------------------------------------------------


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


@pytest.mark.parametrize("labels", [np.arange(12_000) % 10_001, np.arange(20_000).astype(str)])
def test_ids_of_samples_are_refused_at_once(labels):
    with pytest.raises(ValueError, match=r"classes for .* rows, fewer than 3 rows each\. These look like ids"):
        rg.probes.fit_linear_probe(np.zeros((len(labels), 2)), labels)
