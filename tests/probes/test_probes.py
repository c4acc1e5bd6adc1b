"""What both probes share: labels, refusals, devices."""

import re

import numpy as np
import pytest
import torch
from probe_cases import problem

import repgeom as rg
from repgeom.data.labels import codes_among

# --- labels ---------------------------------------------------------------------------------------------------------


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


# --- errors ---------------------------------------------------------------------------------------------------------

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


@pytest.mark.gpu
@both
def test_a_probe_lives_where_its_features_do(kind, rng, device):
    x, labels = problem(rng)
    here, there = fitted(kind, x, labels), fitted(kind, torch.tensor(x, device=device), labels)
    assert there.correct(x, labels).device.type == device
    assert (there.predict(x) == here.predict(torch.tensor(x, device=device))).all()


def test_fitted_probes_show_themselves_in_one_line(rng):
    x, labels = problem(rng)
    assert repr(rg.probes.fit_linear_probe(x, labels, C=1.0)).startswith("<LinearProbe of 3 classes on ")
    assert repr(rg.probes.fit_knn_probe(x, labels, k=3)).endswith("features, k = (3,)>")
