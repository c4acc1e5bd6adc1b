"""Every record of a measure: complete, equal to a slow definition, in its range, unmoved by what it says it ignores.

A measure's slow definition is the function `slow_NAME` in a test of this folder, of (features), (features, labels) or
(features, reference) as its group asks. One without it turns the first test here red.
"""

import dataclasses
import functools
import importlib
import json
from pathlib import Path

import numpy as np
import pytest

import repgeom as rg
from repgeom.auditing.evidence import EVIDENCE
from repgeom.measures import measure as registry
from repgeom.measures.measure import (
    GROUPS,
    INVARIANCES,
    LABELS,
    REFERENCE,
    Measure,
    Size,
    called_alone,
    catalogue,
    measures,
)
from repgeom.presenting.report_text import table
from repgeom.presenting.screen import Screen

MODULES = [path.stem for path in Path(__file__).parent.glob("test_*.py") if path.stem != "test_registry"]
every_measure = pytest.mark.parametrize("m", measures(), ids=lambda m: m.name)


def slow_definition(m):
    for module in map(importlib.import_module, MODULES):
        if hasattr(module, f"slow_{m.name}"):
            return getattr(module, f"slow_{m.name}")
    raise AssertionError(
        f"write `slow_{m.name}`, the plainest code there is for it, beside its tests in tests/measures"
    )


def features(n=200, d=24, d_reference=24, seed=0):
    """Features off the origin that share a part with a reference, and classes that lie apart."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, n)
    x = (rng.standard_normal((n, d)) + 2 * np.eye(d)[labels]) * np.arange(1, d + 1) ** -0.5 + 0.5
    y = x @ rng.standard_normal((d, d_reference)) + 3 * rng.standard_normal((n, d_reference)) - 0.3
    return x, y, labels


SHAPES = {"tall": (200, 24, 24), "wide": (30, 60, 60), "narrow": (90, 5, 5), "another width": (80, 24, 31)}


@functools.cache
def audited(shape):
    x, y, labels = features(*SHAPES[shape])
    return x, y, labels, rg.audit(x, reference=y, labels=labels)


# What the page "Which measure when" is made of.
GUIDE = ("question", "cannot_tell", "rows_needed", "convention")
every_record = pytest.mark.parametrize("m", [*measures(), *called_alone()], ids=lambda m: m.name)


@every_record
def test_a_record_is_complete(m):
    for field in ("name", "label", "formula", "source", *GUIDE):
        assert getattr(m, field), field
    assert m.name == m.name.lower().replace(" ", "_")
    assert m.group in GROUPS
    assert m.better in ("", "higher", "lower")
    assert set(m.needs) <= set(EVIDENCE), "the audit knows no such evidence"
    assert set(m.invariances) <= set(INVARIANCES)
    assert m.function.__doc__ or m.function.__name__.startswith("_")


@every_record
def test_a_record_tells_a_person_when_to_use_it(m):
    assert m.question.endswith("?")
    assert m.question[0].isupper()
    for field in GUIDE:
        text = getattr(m, field)
        assert len(text.split()) <= 24, f"{field} is for a cell of a table: {text}"
        assert not text.endswith("."), field


def test_names_and_labels_are_distinct():
    records = [*measures(), *called_alone()]
    for field in ("name", "label"):
        assert len({getattr(m, field) for m in records}) == len(records)


def test_an_audit_has_no_row_of_a_measure_that_is_called_alone(monkeypatch):
    monkeypatch.setattr(registry, "_measures", dict(registry._measures))
    registry.register(dataclasses.replace(THIRD, needs=(), baseline=None))
    assert THIRD.name in {m.name for m in called_alone()}
    assert THIRD.name not in {v.name for v in rg.audit(features()[0]).values}
    assert "`third_largest_share`" in catalogue()


def test_the_table_keeps_its_order():
    names = [m.name for m in measures()]
    known = ["effective_rank", "effective_rank_sigma", "rankme", "participation_ratio", "stable_rank", "n_components_90",
             "n_components_99", "numerical_rank", "condition_number", "power_law_exponent", "power_law_r_squared",
             "mean_cosine", "uniformity", "feature_std", "norm_mean", "norm_cv", "class_rank_median",
             "between_class_variance", "knn_accuracy", "reference_effective_rank", "rank_retained", "captured_variance",
             "mean_principal_angle", "linear_cka", "procrustes_distance", "mutual_knn", "cosine_alignment"]  # fmt: skip
    assert [name for name in names if name in known] == known


@every_measure
@pytest.mark.parametrize("shape", SHAPES)
def test_a_measure_equals_its_slow_definition(m, shape):
    x, y, labels, report = audited(shape)
    beside = {LABELS: (labels,), REFERENCE: (y,)}.get(m.group, ())
    expected = slow_definition(m)(x, *beside)
    if expected is None:
        assert report[m.name].in_these_rows is None
        assert report[m.name].note == m.missing
    else:
        assert report[m.name].in_these_rows == pytest.approx(expected, rel=1e-9, abs=1e-12)


def _extremes():
    x, y, labels = features()
    yield "many", x, y, labels
    yield "few", x[:4], y[:4, :9], [0, 0, 1, 1]
    yield "two rows", x[:2], y[:2], [0, 1]
    yield "one line", np.outer(x[:, 0], np.ones(24)), y, labels
    yield "one column", x[:, :1], y, labels
    yield "isotropic", np.random.default_rng(1).standard_normal((500, 6)), np.eye(500, 6), np.zeros(500, int)
    yield "itself", x, x, labels
    yield "turned round", x, -x, labels
    yield "opposite rows", np.r_[x, -x], np.r_[y, -y], np.r_[labels, labels]
    yield "equal rows but one", np.r_[np.zeros((50, 3)), np.ones((1, 3))], np.r_[y[:51]], np.arange(51)


@pytest.mark.parametrize(("x", "y", "labels"), [e[1:] for e in _extremes()], ids=[e[0] for e in _extremes()])
def test_every_value_and_baseline_lies_in_its_range(x, y, labels):
    for v in rg.audit(x, reference=y, labels=labels).values:
        low, high = v.range
        for number in (v.in_these_rows, v.baseline):
            assert number is None or low * (1 - 1e-9) - 1e-9 <= number <= high * (1 + 1e-9) + 1e-9, v.name
        assert v.value is not None or v.note, f"{v.name} is missing without a reason"


@functools.cache
def isotropic_values():
    """Means over draws of every measure of features without structure, beside the baselines."""
    found = []
    for seed in range(4):
        x, y = np.random.default_rng(seed).standard_normal((2, 1200, 40))
        found.append(rg.audit(x, reference=y, labels=np.arange(1200) % 5))
    names = [v.name for v in found[0].values]
    return {name: (np.mean([r[name].in_these_rows for r in found]), found[0][name].baseline) for name in names}


@every_measure
def test_a_baseline_is_what_features_without_structure_read(m):
    value, baseline = isotropic_values()[m.name]
    if baseline is None:
        assert m.baseline is None
    else:
        assert value == pytest.approx(baseline, rel=0.03, abs=0.02)


@functools.cache
def changed_values():
    """Every measure of the features, and of the features after each change."""
    rng = np.random.default_rng(3)
    x, y, labels = features()
    rotation, order = np.linalg.qr(rng.standard_normal((24, 24)))[0], rng.permutation(len(x))
    changed = {
        "nothing": (x, y, labels),
        "rotation": (x @ rotation, y @ rotation, labels),
        "translation": (x + 3, y - 5, labels),
        "scale": (1e-3 * x, 1e3 * y, labels),
        "order": (x[order], y[order], labels[order]),
        "stretching": (x * 1.3 ** np.arange(24), y, labels),
    }
    reports = {how: rg.audit(a, reference=b, labels=c) for how, (a, b, c) in changed.items()}
    return {m.name: {how: r[m.name].in_these_rows for how, r in reports.items()} for m in measures()}


@every_measure
@pytest.mark.parametrize("how", INVARIANCES)
def test_a_measure_is_moved_by_what_it_does_not_ignore_alone(m, how):
    values = changed_values()[m.name]
    if how in m.invariances:
        assert values[how] == pytest.approx(values["nothing"], rel=1e-8, abs=1e-10)
    else:
        assert abs(values[how] - values["nothing"]) > 1e-4


@every_measure
def test_stretching_moves_a_measure_that_sees_it(m):
    """A negative control: no measure is a constant."""
    unmoved = {"numerical_rank", "reference_effective_rank"}  # full rank stays full; the reference was not stretched
    values = changed_values()[m.name]
    assert (values["stretching"] == pytest.approx(values["nothing"], rel=1e-4)) == (m.name in unmoved)


# --- what reads the registry -------------------------------------------------------------------------------------


def third_largest_share(spectrum):
    """Share of the third direction."""
    return float(spectrum.variance_ratio[2])


def slow_third_largest_share(x):
    return np.sort(np.linalg.eigvalsh(np.cov(x.T)))[-3] / np.trace(np.cov(x.T))


THIRD = Measure(
    "third_largest_share", "third share", GROUPS[0], third_largest_share, ("spectrum",),
    formula="λ₃ / Σλ", source="this test", unit="share", range=lambda size: (0, 1 / 3),
)  # fmt: skip


def test_a_record_is_all_that_an_audit_needs(monkeypatch):
    monkeypatch.setattr(registry, "_measures", dict(registry._measures))
    registry.register(THIRD)
    x = features()[0]
    report = rg.audit(x)
    value = report["third_largest_share"]
    assert value.value == pytest.approx(slow_third_largest_share(x), rel=1e-9)
    assert value.baseline == pytest.approx(rg.isotropic_baseline(x).variance_ratio[2])
    assert (value.range, value.unit) == ((0, 1 / 3), "share")
    assert json.loads(report.to_json())["measures"]["third_largest_share"]["value"] == value.value
    assert report.to_frame().loc["third_largest_share", "value"] == value.value
    assert "third share" in str(report)
    assert "λ₃ / Σλ" in table([report], Screen(200))
    assert "λ₃ / Σλ" in report.to_html()
    assert "`third_largest_share`" in catalogue()
    assert rg.types.Report.from_json(report.to_json()).to_json() == report.to_json()


def test_records_that_cannot_be_are_refused(monkeypatch):
    monkeypatch.setattr(registry, "_measures", dict(registry._measures))
    with pytest.raises(ValueError, match=r"there is a measure 'rankme' in repgeom.measures.rank already"):
        registry.register(dataclasses.replace(THIRD, name="rankme"))
    with pytest.raises(ValueError, match=r"group of measure 'third_largest_share' must be one of .*got 'Spectra'"):
        dataclasses.replace(THIRD, group="Spectra")
    with pytest.raises(ValueError, match="reads sample, so its baseline must be a function of a `Size` or None"):
        dataclasses.replace(THIRD, needs=("sample",))


def test_a_measure_that_is_not_defined_is_missing_with_its_reason(monkeypatch):
    monkeypatch.setattr(registry, "_measures", dict(registry._measures))

    def refuses(spectrum):
        raise ValueError("needs another spectrum.")

    registry.register(dataclasses.replace(THIRD, function=refuses))
    value = rg.audit(features()[0])["third_largest_share"]
    assert (value.value, value.baseline, value.note) == (None, None, "needs another spectrum.")


def test_a_baseline_of_a_size():
    size = Size(100, 7, 50, 10)
    assert size.most == 7
    assert Size(1, 7, 1, 1).most == 1
    for m in measures():
        low, high = m.range(size)
        assert low <= high


FUNCTIONS = {
    "effective_rank": rg.effective_rank,
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "n_components_90": rg.n_components,
}


@pytest.mark.parametrize(("name", "function"), FUNCTIONS.items(), ids=FUNCTIONS)
def test_a_function_is_as_good_as_its_name(name, function):
    x, y, _ = features(120, 6, 6)
    assert rg.estimate(x, function) == rg.estimate(x, name)
    assert rg.compare(x, y, function) == rg.compare(x, y, name)
    assert (rg.influence(x, function) == rg.influence(x, name)).all()
    curve, again = (rg.sample_size_curve(x, m, sizes=[60, 120], draws=2) for m in (function, name))
    assert curve.equals(again)
    assert rg.plot_sample_size_curve(curve).get_ylabel() == f"{registry.named(name).label} (dimensions)"


@pytest.mark.parametrize("function", [rg.rankme, rg.numerical_rank, rg.linear_cka, np.mean, lambda x: x])
def test_functions_that_cannot_be_estimated_are_refused_with_those_that_can(function):
    x = features(40, 6, 6)[0]
    wanted = (
        r"`measure` must be one of effective_rank, effective_rank_sigma, participation_ratio, stable_rank.* or "
        rf"n_components_NN .*; got {function.__name__}\."
    )
    for call in (rg.estimate, rg.influence, rg.sample_size_curve, lambda x, m: rg.compare(x, x, m)):
        with pytest.raises(ValueError, match=wanted):
            call(x, function)


def test_every_name_with_a_functional_can_be_estimated_and_is_in_an_audit():
    x = features(150, 6, 6)[0]
    report = rg.audit(x)
    known = registry.names_of_estimable()
    assert all(report[name].estimate is not None for name in known)
    for name in [*known, "n_components_75", "n_components_05"]:
        e = rg.estimate(x, name)
        assert e.in_these_rows == pytest.approx(registry.named(name).value(rg.spectrum(x)), rel=1e-9)
    assert registry.named("n_components_75").arguments == {"variance": 0.75}
    assert registry.named("n_components_00") is registry.named("n_components_7") is None


def test_the_catalogue_prints_every_record(capsys):
    import runpy

    runpy.run_path(str(Path(registry.__file__).parent / "__main__.py"), run_name="__main__")
    printed = capsys.readouterr().out
    for m in [*measures(), *called_alone()]:
        assert f"`{m.name}`" in printed
        assert m.formula.replace("|", r"\|") in printed


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ("intrinsic_dimension", "`repgeom.intrinsic_dimension` gives intrinsic dimension. "),
        (rg.knn_accuracy, "`repgeom.knn_accuracy` gives kNN accuracy. "),
        ("norm_cv", "`repgeom.norms` gives norm variation. "),
        ("efective_rank", "Did you mean 'effective_rank'? "),
        ("rank_retained", ""),  # of two representations, and no function's own name
        ("nothing alike", ""),
    ],
)
def test_what_cannot_be_estimated_is_told_where_it_is_read(asked, words):
    with pytest.raises(ValueError, match="`measure` must be one of ") as error:
        rg.estimate(features()[0], asked)
    after = str(error.value).split("got ", 1)[1]
    assert after.split(". ", 1)[1].startswith(words + "Numerical rank")
