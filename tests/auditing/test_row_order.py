"""A reference, corrupted rows and labels in another order than the features are found, and the order is named where it is known."""

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.known_orders import known_orders

N = 600


def classes(n=N, width=24, seed=0):
    """Rows of six clusters, and which each is of."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, n)
    return 2 * rng.standard_normal((6, width))[labels] + rng.standard_normal((n, width)), labels


def taught(x, width=32, seed=1):
    """Another model's features of the same samples."""
    rng = np.random.default_rng(seed)
    return x @ rng.standard_normal((x.shape[1], width)) + 0.5 * rng.standard_normal((len(x), width))


def in_turn(n, w):
    return np.concatenate([np.arange(rank, n, w) for rank in range(w)])


def padded(n, w):
    """As DistributedSampler gives them: every process as many, the first samples once more; cut to n."""
    every = np.resize(np.arange(n), -(-n // w) * w)
    return np.concatenate([every[rank::w] for rank in range(w)])[:n]


def in_batches(n, w, batch):
    own = [np.arange(rank, n, w) for rank in range(w)]
    return np.concatenate([mine[at : at + batch] for at in range(0, -(-n // w), batch) for mine in own])


def by_name(n, rows):
    shards = [np.arange(at, min(n, at + rows)) for at in range(0, n, rows)]
    return np.concatenate([shards[i] for i in sorted(range(len(shards)), key=str)])


IN_TURN = "concatenated from {} processes that took rows in turn"
# Orders as they are made, row by row, and how they are named.
ORDERS = {
    "2 processes": (in_turn(N, 2), IN_TURN.format(2)),
    "7 processes, uneven": (in_turn(N, 7), IN_TURN.format(7)),
    "7 processes, padded": (padded(N, 7), IN_TURN.format(7)),
    "64 processes": (in_turn(N, 64), IN_TURN.format(64)),
    # The other way round: as if the features had been taken in turn.
    "dealt": (np.argsort(in_turn(N, 5)), "the features' rows were " + IN_TURN.format(5)),
    "batches": (in_batches(N, 4, 32), "gathered in batches of 32 from 4 processes"),
    "shards": (by_name(N, 50), "joined from 12 shards of 50 rows in the order of their names (10 before 2)"),
    "short last shard": (by_name(N, 47), "joined from 13 shards of"),
    "reversed": (np.arange(N)[::-1], "reversed"),
    "swapped": (np.roll(np.arange(N), N // 2), "put together with the last 1 of 2 equal parts first"),
    "three parts": (np.roll(np.arange(N), N // 3), "of 3 equal parts first"),
    "shifted": (np.roll(np.arange(N), -1), "shifted by 1"),
}
every_order = pytest.mark.parametrize(("order", "name"), ORDERS.values(), ids=ORDERS)


def finding(report, name):
    return next(f for f in report.findings if f.name == name)


@every_order
def test_every_known_order_is_found_and_named(order, name):
    x, labels = classes()
    other = taught(x)
    moved = x + 0.3 * np.random.default_rng(2).standard_normal(x.shape)
    report = rg.audit(x, reference=other[order], corrupted=moved[order], labels=labels[order])
    for rule, whose in (
        ("reference_order", "reference's rows"),
        ("corrupted_order", "corrupted rows"),
        ("label_order", "labels"),
    ):
        found = finding(report, rule)
        assert found.level == "fail", rule
        if name.startswith("joined from 13"):
            assert "shards" in found.reason or "parts" in found.reason, found.reason
        else:
            assert name in found.reason, (rule, found.reason)
            assert f"the {whose} were" in found.reason or name.startswith(("reversed", "the features'", "of 3"))
    assert report.level == "fail"


def test_the_features_may_be_what_is_in_another_order():
    x, labels = classes()
    order = in_turn(N, 4)
    report = rg.audit(x[order], reference=taught(x), labels=labels)
    for rule in ("reference_order", "label_order"):
        assert f"the features' rows were {IN_TURN.format(4)}" in finding(report, rule).reason


@pytest.mark.parametrize("n", [97, 600, 1001])
def test_a_known_order_says_where_each_sample_is(n):
    for order in known_orders(n):
        there = order.place_of(np.arange(n))
        held = there[there >= 0]
        assert held.max() < n, order.name
        if "padded" not in order.name and "batches" not in order.name and len(held) == n:
            assert len(np.unique(held)) == n, order.name


SIDES = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "rotated": lambda x: x @ rotation(x.shape[1]),
}


def rotation(d):
    return np.linalg.qr(np.random.default_rng(5).standard_normal((d, d)))[0]


@pytest.mark.parametrize("side", SIDES.values(), ids=SIDES)
@pytest.mark.parametrize("normalize", [None, "l2"])
def test_the_same_rows_in_any_other_order_are_known_for_what_they_are(side, normalize):
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal((400, 64)), classes()[0]):
        shuffled = side(x[rng.permutation(len(x))])
        report = rg.audit(shuffled, reference=side(x) if side is SIDES["float32"] else x, normalize=normalize)
        found = finding(report, "reference_order")
        assert found.level == "fail"
        assert "both hold the same rows, by their spectra and lengths" in found.reason
        assert "linear CKA, mutual kNN, cosine alignment and Procrustes distance say nothing" in found.reason
        assert "alike" not in [f.name for f in report.findings]


def test_rows_in_order_of_class_that_are_shifted_by_one_are_still_other_rows():
    x, labels = classes()
    x = x[np.argsort(labels, kind="stable")]
    report = rg.audit(np.roll(x, 1, 0), reference=x)
    assert report["linear_cka"].value > 0.3
    assert finding(report, "reference_order").level == "fail"


def test_whitened_models_have_one_spectrum_and_are_not_the_same_rows():
    rng = np.random.default_rng(0)
    x, y = (np.linalg.svd(z - z.mean(0), full_matrices=False)[0] for z in rng.standard_normal((2, 500, 16)))
    report = rg.audit(x, reference=y)
    assert finding(report, "reference_order").level == "ok"
    assert "hold the same rows" not in str(report)


def test_strangers_are_asked_about_with_the_evidence():
    x, labels = classes()
    shuffled = np.random.default_rng(3).permutation(N)
    found = finding(rg.audit(x, reference=taught(x)[shuffled]), "alike")
    assert found.level == "fail"
    for words in ("in random orders)", "(by chance 0.017)", "unrelated models, or rows in another order?"):
        assert words in found.reason
    noise = np.random.default_rng(4).standard_normal((N, 24))
    assert "the reference is as good as isotropic noise" in finding(rg.audit(x, reference=noise), "alike").reason
    assert "the features are as good as isotropic noise" in finding(rg.audit(noise, reference=x), "alike").reason
    told = finding(rg.audit(x, labels=labels[shuffled]), "agreement")
    assert told.level == "warn"
    assert told.reason.endswith("although the rows have a structure of their own; labels in another order?")
    blind = finding(rg.audit(noise, labels=labels), "agreement")
    assert "another order" not in blind.reason


def test_corrupted_rows_of_one_model_at_chance_fail_whatever_their_length():
    x, _ = classes()
    shuffled = np.random.default_rng(3).permutation(N)
    for shrunk in (1.0, 0.1):
        report = rg.audit(x, corrupted=shrunk * x[shuffled] + x.mean(0))
        found = finding(report, "corrupted_order")
        assert (found.level, report.level) == ("fail", "fail")
        assert "every measure of drift rests on the order" in found.reason


def test_a_right_order_is_left_alone():
    x, labels = classes()
    rng = np.random.default_rng(6)
    strong = x + 2.5 * rng.standard_normal(x.shape)
    report = rg.audit(x, reference=taught(x), corrupted=strong, labels=labels)
    for rule in ("reference_order", "corrupted_order", "label_order"):
        assert (finding(report, rule).level, finding(report, rule).value) == ("ok", 0)
    # A trend along the file, which every order that is near this one shares.
    trend = np.linspace(-1, 1, N)[:, None] * np.ones(24) + rng.standard_normal((N, 24))
    other = np.linspace(-1, 1, N)[:, None] * np.ones(8) + 3 * rng.standard_normal((N, 8))
    assert finding(rg.audit(trend, reference=other), "reference_order").level == "ok"
    # One rogue column hides what the neighbours share.
    rogue = x + 200 * rng.standard_normal((N, 1)) * np.eye(24)[0]
    report = rg.audit(x, reference=rogue[:, 1:] @ rotation(23), labels=labels)
    assert report.level == "ok"


def test_streams_accumulators_and_samples_of_many_rows_know_the_order_too():
    x, _ = classes(9000)
    other = taught(x)[in_turn(9000, 8)]
    batches = ({"features": x[i : i + 1000], "reference": other[i : i + 1000]} for i in range(0, 9000, 1000))
    accumulator = rg.AuditAccumulator().update(x, reference=other)
    for report in (rg.audit(batches, max_pair_rows=1024), accumulator.report()):
        assert IN_TURN.format(8) in finding(report, "reference_order").reason
