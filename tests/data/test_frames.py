"""Tables in memory of every library: the same columns are features as in files, and one meaning everywhere."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import repgeom as rg

pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
datasets = pytest.importorskip("datasets")

N, D = 80, 6
E = np.random.default_rng(0).standard_normal((N, D))
FEATURES = {f"f{i}": E[:, i] for i in range(D)}
VECTORS = {"emb": E.tolist(), "n": list(range(N)), "title": ["a"] * N}

KINDS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "polars, lazy": pl.LazyFrame,
    "arrow": pa.table,
    "datasets": datasets.Dataset.from_dict,
}
EVERY = pytest.mark.parametrize("kind", KINDS)


@EVERY
def test_a_table_of_features_is_an_array(kind):
    x = KINDS[kind](FEATURES)
    assert rg.effective_rank(x) == pytest.approx(rg.effective_rank(E), rel=1e-12)
    report = rg.audit(x)
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(E))
    assert report.columns.used == tuple(FEATURES)


@EVERY
def test_what_an_audit_leaves_out_it_says_and_a_function_refuses(kind):
    x = KINDS[kind](FEATURES | {"id": np.arange(N), "title": ["a"] * N})
    report = rg.audit(x)
    assert report.n_features == D
    assert report.columns.left_out == {"id": "it counts the rows", "title": "text"}
    assert report.to_dict()["columns"]["left_out"][0]["name"] in ("id", "title")
    with pytest.raises(TypeError, match=r"no features: (title \(text\), )?id \(it counts the rows\)"):
        rg.effective_rank(x)


@EVERY
def test_doubt_is_an_error_in_python_too(kind):
    x = KINDS[kind](FEATURES | {"n_tokens": np.arange(N) % 7})
    for function in (rg.audit, rg.effective_rank):
        with pytest.raises(
            ValueError, match=r"n_tokens \(first values 0, 1, 2\).*frame\.drop\(columns=\['n_tokens'\]\)"
        ):
            function(x)
    assert rg.audit(x, key=",".join(FEATURES)).n_features == D


@EVERY
def test_a_column_of_vectors(kind):
    report = rg.audit(KINDS[kind](VECTORS))
    assert report["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(E))
    assert report.columns.used == ("emb",)
    assert rg.audit(KINDS[kind](VECTORS), key="emb").n_features == D
    with pytest.raises(ValueError, match="no column 'x'"):
        rg.audit(KINDS[kind](VECTORS), key="x")
    with pytest.raises(ValueError, match=r"different lengths; row 3 holds"):
        rg.audit(KINDS[kind]({"emb": [row[: 4 + 2 * (i != 3)] for i, row in enumerate(E.tolist())]}))


def test_columns_of_data_sets():
    data = datasets.Dataset.from_dict(VECTORS)
    expected = rg.effective_rank(E)
    for column in (data["emb"], data.with_format("numpy")["emb"], data.with_format("torch")["emb"]):
        assert rg.effective_rank(column) == pytest.approx(expected, rel=1e-6)
        assert rg.audit(column)["effective_rank"].in_these_rows == pytest.approx(expected, rel=1e-6)
    # Rows that were selected or shuffled are those that are read.
    order = [3, 1, 2, *range(10, 40)]
    assert rg.effective_rank(data.select(order)["emb"]) == pytest.approx(rg.effective_rank(E[order]))
    with pytest.raises(
        TypeError, match=r"holds the splits train, test; pass one of them, such as `dataset\['train'\]`"
    ):
        rg.audit(datasets.DatasetDict(train=data, test=data))
    report = rg.audit(data.to_iterable_dataset(), key="emb")
    assert report["effective_rank"].in_these_rows == pytest.approx(expected)


def test_a_mapping_of_arrays_has_keys():
    arrays = {"a": E, "b": E[:, :3]}
    assert rg.audit(arrays, key="b").n_features == 3
    with pytest.raises(ValueError, match="has no 'c'; it has a, b"):
        rg.audit(arrays, key="c")
    with pytest.raises(TypeError, match="`features` is a ndarray"):
        rg.audit(E, key="a")


def test_series_of_polars_and_cells_of_tensors():
    assert rg.effective_rank(pl.DataFrame({"emb": E})["emb"]) == rg.effective_rank(E)
    frame = pd.DataFrame({"emb": [torch.tensor(row, dtype=torch.float32) for row in E]})
    assert rg.audit(frame)["effective_rank"].in_these_rows == pytest.approx(rg.effective_rank(E), rel=1e-5)


def test_two_columns_of_one_name_are_refused(tmp_path):
    """Either would be read in place of the other: 3 features of 6."""
    import pyarrow.feather
    import pyarrow.parquet

    arrow = pa.table([pa.array(E[:, i]) for i in range(D)], names=list("aabbcc"))
    pyarrow.parquet.write_table(arrow, tmp_path / "x.parquet")
    pyarrow.feather.write_feather(arrow, str(tmp_path / "x.feather"))
    (tmp_path / "x.jsonl").write_text('{"a": 1.5, "a": 2.5, "b": 1.5}\n' * N)
    (tmp_path / "x.json").write_text('{"a": [1.5, 2.5], "a": [2.5, 3.5]}')
    (tmp_path / "split.json").write_text('{"columns": ["a", "a"], "data": [[1.5, 2.5], [2.5, 3.5]]}')
    frames = [pd.DataFrame(E, columns=list("aabbcc")), pd.DataFrame(E[:, :2], columns=[0, "0"]), arrow]
    for features in [*frames, frames[0].assign(label=1), *sorted(tmp_path.iterdir())]:
        with pytest.raises(ValueError, match=r"2 columns are called '[a0]'"):
            rg.audit(features)


def test_empty_cells_and_sparse_columns():
    frame = pd.DataFrame(FEATURES)
    frame["f1"] = pd.arrays.SparseArray(np.where(E[:, 1] > 0, E[:, 1], 0.0))
    assert rg.effective_rank(frame) == rg.effective_rank(np.column_stack([frame[c].to_numpy() for c in frame]))
    frame = pl.DataFrame(FEATURES).with_columns(f1=pl.when(pl.int_range(N) == 3).then(None).otherwise(pl.col("f1")))
    with pytest.raises(ValueError, match="nan at row 3, column 1"):
        rg.effective_rank(frame)


def test_a_list_of_batches_means_one_set_everywhere():
    batches = [E[:30], torch.from_numpy(E[30:50]), E[50:]]
    expected = rg.effective_rank(E)
    assert rg.effective_rank(batches) == pytest.approx(expected, rel=1e-6)
    assert rg.audit(batches)["effective_rank"].in_these_rows == pytest.approx(expected, rel=1e-6)
    assert rg.estimate(batches, "effective_rank").in_these_rows == pytest.approx(expected, rel=1e-6)
    assert isinstance(rg.effective_rank([E[:40], E[40:]]), float)  # equally many rows are no stack
    with pytest.raises(ValueError, match=r"batches of different widths \(6, 5\)"):
        rg.effective_rank([E[:40], E[40:, :5]])


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((N, D, 1, 1), r"flatten\(1\)"),
        ((N, D, 7, 7), r"x\.mean\(\(2, 3\)\)"),
        ((N, 7, D), r"x\.mean\(1\)"),
        ((2, 3, 4, 5, 6), r"x\.reshape\(len\(x\), -1\)"),
    ],
)
def test_arrays_of_other_shapes_are_refused_with_advice_that_is_right(tmp_path, shape, advice):
    x = np.random.default_rng(0).standard_normal(shape)
    np.save(tmp_path / "x.npy", x)
    for features in (x, torch.from_numpy(x), tmp_path / "x.npy"):
        with pytest.raises(ValueError, match=advice):
            rg.audit(features)


def test_records_are_refused_with_advice_that_works(tmp_path):
    from numpy.lib.recfunctions import structured_to_unstructured

    x = np.zeros(N, dtype=[("a", "f4"), ("b", "f4")])
    x["a"], x["b"] = E[:, 0], E[:, 1]
    np.save(tmp_path / "x.npy", x)
    for features in (x, tmp_path / "x.npy"):
        with pytest.raises((TypeError, ValueError), match=r"fields a, b.*structured_to_unstructured"):
            rg.audit(features)
    assert rg.effective_rank(structured_to_unstructured(x[["a", "b"]])) > 1


def test_a_list_of_paths_is_opened_and_not_measured(tmp_path):
    for i in range(2):
        np.save(tmp_path / f"{i}.npy", E[i * 40 : i * 40 + 40])
    paths = [tmp_path / "1.npy", tmp_path / "0.npy"]
    with pytest.raises(TypeError, match=r"list of 2 texts.*open_source"):
        rg.audit(paths)
    source = rg.open_source(paths)
    np.testing.assert_array_equal(source.read(0, N).numpy(), np.concatenate([E[40:], E[:40]]))
    assert rg.audit(source).n_samples == N
