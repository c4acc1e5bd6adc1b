"""What an audit reads of nearest rows: the public functions' numbers, of some of its rows, or a reason."""

import numpy as np
import pytest

import repgeom as rg
from repgeom.measures.drawn_rows import AUDITED_ROWS


def cloud(n=300, d=3, wide=8, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)) @ rng.standard_normal((d, wide)) + 0.5


def test_both_are_what_the_functions_read():
    x = cloud()
    report, dimension = rg.audit(x), rg.intrinsic_dimension(x)
    found = report["intrinsic_dimension"]
    assert (found.value, found.low, found.high) == pytest.approx((dimension.value, dimension.low, dimension.high))
    assert found.estimate.se == pytest.approx(dimension.se)
    assert report["hubness"].value == pytest.approx(rg.hubness(x).skewness)
    assert report["hubness"].note.startswith("no interval: none is known for a moment of counts that share neighbours")
    assert rg.audit(x, k=3)["hubness"].value == pytest.approx(rg.hubness(x, k=3).skewness)


@pytest.mark.parametrize(("d", "k"), [(4, 10), (256, 3), (200, 1)])
def test_the_note_on_hubness_says_what_isotropic_rows_read(d, k):
    """At most about 1/√k: a skewness of 600 counts errs by about 0.1."""
    x = np.random.default_rng(0).standard_normal((600, d))
    found = rg.audit(x, k=k)["hubness"]
    assert "isotropic rows read at most about 1/√k" in found.note
    assert found.value < k**-0.5 + 0.2
    if d > 100:
        assert found.value == pytest.approx(k**-0.5, abs=0.2)


def test_rounded_values_of_one_column_are_not_called_many_dimensions():
    note = rg.audit(np.arange(60.0)[:, None])["intrinsic_dimension"].note
    assert note.startswith("no interval: more dimensions than columns (1)")


def test_of_many_rows_some_are_read_and_the_report_says_how_many():
    x = cloud(AUDITED_ROWS + 400)
    report = rg.audit(x)
    for name in ("intrinsic_dimension", "hubness"):
        assert report[name].note.endswith(f"from {AUDITED_ROWS:,} rows")
    assert report["intrinsic_dimension"].estimate.n == AUDITED_ROWS
    assert report["intrinsic_dimension"].value == pytest.approx(3, rel=0.15)
    # Other rows are drawn with another seed.
    assert rg.audit(x, seed=1)["hubness"].value != report["hubness"].value


def test_rows_of_a_group_are_no_neighbours():
    x = np.repeat(cloud(150), 2, axis=0) + 0.1 * np.random.default_rng(1).standard_normal((300, 8))
    groups = np.repeat(np.arange(150), 2)
    report = rg.audit(x, groups=groups)
    expected = rg.intrinsic_dimension(x, groups=groups)
    assert report["intrinsic_dimension"].value == pytest.approx(expected.value)
    assert report["intrinsic_dimension"].low == pytest.approx(expected.low)
    assert report["hubness"].value == pytest.approx(rg.hubness(x, groups=groups).skewness)
    assert report["hubness"].value != pytest.approx(rg.audit(x)["hubness"].value)


def test_many_dimensions_have_no_interval_since_they_read_too_low():
    report = rg.audit(np.random.default_rng(0).standard_normal((400, 100)))
    found = report["intrinsic_dimension"]
    assert 20 < found.value < 60
    assert found.low is None
    assert found.note == "no interval: above 20 dimensions it reads far too low: take it for 'many'"


def test_rows_that_repeat_leave_no_interval():
    x = np.r_[cloud(200), cloud(200)[:20]]
    found = rg.audit(x)["intrinsic_dimension"]
    assert found.value == pytest.approx(rg.intrinsic_dimension(cloud(200)).value)
    assert found.low is None
    assert "rows repeat" in found.note


@pytest.mark.parametrize(
    ("x", "dimension", "hubness"),
    [
        (np.arange(1.0, 5)[:, None] ** 2, True, False),  # of one column all rows point one way
        (np.eye(5), False, True),  # equally far from each other
        ([[0.0, 1.0], [1.0, 0.0]], False, True),
    ],
    ids=["one column", "simplex", "two rows"],
)  # fmt: skip
def test_what_is_not_defined_is_missing_with_its_reason(x, dimension, hubness):
    report = rg.audit(x)
    for name, defined in (("intrinsic_dimension", dimension), ("hubness", hubness)):
        assert (report[name].value is not None) == defined
        assert defined or report[name].note.startswith(("fewer than three", "all rows point one way"))
