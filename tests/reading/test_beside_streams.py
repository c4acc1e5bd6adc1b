"""What stands beside the rows of a stream, in its batches or as arguments: the report is that of the arrays."""

import numpy as np
import pytest

import repgeom as rg

N = 900
PARTS = np.array_split(np.arange(N), 7)
EVERYTHING = ("labels", "groups", "reference", "corrupted")


def columns():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, 12)) * np.arange(1, 13.0) ** -0.7 + 2
    return {
        "features": x, "labels": np.arange(N) % 4, "groups": np.arange(N) // 3,
        "reference": x[:, :7] + rng.standard_normal((N, 7)), "corrupted": x + 0.2 * rng.standard_normal(x.shape),
    }  # fmt: skip


def batches(*names):
    """Dictionaries of the features and of these."""
    given = columns()
    return ({name: given[name][part] for name in ("features", *names)} for part in PARTS)


def assert_same(found, expected):
    assert (found.n_samples, found.level) == (expected.n_samples, expected.level)
    assert [v.name for v in found.values] == [v.name for v in expected.values]
    for v in expected.values:
        assert found[v.name].in_these_rows == (
            None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=1e-9, abs=1e-9)
        ), v.name
    if expected.drift is not None:
        np.testing.assert_allclose(found.drift.value.astype(float), expected.drift.value.astype(float), rtol=1e-9)


def of_arrays(*names):
    given = columns()
    return rg.audit(given["features"], **{name: given[name] for name in names})


@pytest.mark.parametrize("names", [(), *((name,) for name in EVERYTHING), EVERYTHING], ids=str)
def test_columns_of_batches_and_arguments_read_as_arrays(names):
    given = columns()
    expected = of_arrays(*names)
    assert_same(rg.audit(batches(*names)), expected)
    features = (given["features"][part] for part in PARTS)
    assert_same(rg.audit(features, **{name: given[name] for name in names}), expected)
    half = names[: len(names) // 2]
    assert_same(rg.audit(batches(*half), **{name: given[name] for name in names[len(half) :]}), expected)


def test_pairs_hold_labels_where_they_are_said_to():
    given = columns()
    pairs = [(given["features"][part], given["labels"][part]) for part in PARTS]
    assert_same(rg.audit(iter(pairs), labels="in_stream"), of_arrays("labels"))
    assert_same(rg.audit(iter(pairs)), of_arrays())
    with pytest.raises(ValueError, match=r"batch 0` has no labels; .* each batch is a pair \(features, labels\)"):
        rg.audit((given["features"][part] for part in PARTS), labels="in_stream")


def test_labels_and_a_reference_may_lie_in_files(tmp_path):
    given = columns()
    np.save(tmp_path / "labels.npy", given["labels"])
    np.save(tmp_path / "teacher.npy", given["reference"])
    report = rg.audit(batches(), labels=tmp_path / "labels.npy", reference=tmp_path / "teacher.npy")
    assert_same(report, of_arrays("labels", "reference"))


@pytest.mark.parametrize("kind", ["features", "reference", "corrupted"])
def test_rows_that_are_not_finite_are_left_out_with_what_stands_beside_them(kind):
    given = columns()
    given[kind][400, 2] = np.nan
    stream = [{name: values[part] for name, values in given.items()} for part in PARTS]
    report = rg.audit(iter(stream), drop_nonfinite=True)
    features = given.pop("features")
    assert_same(report, rg.audit(features, **given, drop_nonfinite=True))
    assert report.n_samples == N - 1
    with pytest.raises(ValueError, match="non-finite value"):
        rg.audit(iter(stream))


@pytest.mark.parametrize("name", EVERYTHING)
@pytest.mark.parametrize("change", [-1, 1])
def test_what_is_longer_or_shorter_than_the_stream_is_refused(name, change):
    values = columns()[name]
    values = values[:-1] if change < 0 else np.concatenate([values, values[:1]])
    with pytest.raises(ValueError, match=rf"`{name}` has {N + change} rows and the stream (at least )?{N}"):
        rg.audit(batches(), **{name: values})


@pytest.mark.parametrize("name", EVERYTHING)
def test_what_is_given_twice_is_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` is given twice: in the batches of the stream, and as an argument"):
        rg.audit(batches(name), **{name: columns()[name]})


def test_batches_that_do_not_belong_together_are_refused():
    given = columns()
    first, second = ({name: given[name][part] for name in ("features", "labels")} for part in PARTS[:2])
    with pytest.raises(ValueError, match="batch 1 of `features` holds rows and the first batch rows, labels: give the"):
        rg.audit(iter([first, {"features": second["features"]}]))
    with pytest.raises(ValueError, match="has 129 rows of features and 128 of `reference`"):
        rg.audit(iter([{"features": given["features"][:129], "reference": given["reference"][:128]}]))
    with pytest.raises(TypeError, match=r"give the features alone.* or a dict with 'features' and any of 'labels'"):
        rg.audit(iter([first | {"weights": np.ones(len(first["labels"]))}]))


def test_labels_and_groups_may_lie_in_memory_that_is_used_again():
    rng = np.random.default_rng(0)
    x, labels = rng.standard_normal((300, 5)), rng.integers(0, 3, 300)

    def batches():
        memory, names = np.empty((50, 5)), np.empty(50, int)
        for start in range(0, 300, 50):
            memory[:], names[:] = x[start : start + 50], labels[start : start + 50]
            yield {"features": memory, "labels": names, "groups": names}

    found, expected = rg.audit(batches()), rg.audit(x, labels=labels, groups=labels)
    for v in expected.values:
        value = found[v.name].in_these_rows
        assert value == (None if v.in_these_rows is None else pytest.approx(v.in_these_rows, rel=1e-9, abs=1e-9)), (
            v.name
        )


def test_a_reference_that_changes_its_width_is_named():
    x = np.random.default_rng(0).standard_normal((50, 5))
    batches = [{"features": x, "reference": x}, {"features": x, "reference": x[:, :3]}]
    with pytest.raises(ValueError, match="batch 1 of `features` has a `reference` of 3 features"):
        rg.audit(iter(batches))
