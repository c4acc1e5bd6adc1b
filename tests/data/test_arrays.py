"""The gate: which kinds come in, and what is said of those that do not."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch

import repgeom as rg

X = np.random.default_rng(0).standard_normal((30, 4))
TRUTH = rg.effective_rank(X)


class Array:
    def __array__(self, dtype=None, copy=None):
        return X


class DLPack:
    def __dlpack__(self, **how):
        return torch.tensor(X).__dlpack__(**how)

    def __dlpack_device__(self):
        return torch.tensor(X).__dlpack_device__()


def read_only():
    x = X.copy()
    x.flags.writeable = False
    return x


@pytest.mark.parametrize(
    "x",
    [
        X,
        X.tolist(),
        tuple(map(tuple, X)),
        torch.tensor(X),
        torch.tensor(X, requires_grad=True),
        pd.DataFrame(X),
        pd.DataFrame(X).convert_dtypes(),
        Array(),
        DLPack(),
        X[::-1],
        np.asfortranarray(X),
        X.astype(">f8"),
        X.astype(np.longdouble),
        read_only(),
        torch.tensor(X.T.copy()).T,
    ],
    ids=lambda x: type(x).__name__,
)
def test_every_kind_reads_the_same(x):
    value = rg.effective_rank(x)
    assert float(value.detach() if isinstance(value, torch.Tensor) else value) == pytest.approx(TRUTH, rel=1e-12)


@pytest.mark.parametrize("dtype", [np.int8, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64, bool])
def test_whole_numbers_are_read_exactly(dtype):
    x = (np.abs(X) * 3 - (dtype is bool)).clip(0).astype(int).astype(dtype)
    assert rg.effective_rank(x) == pytest.approx(rg.effective_rank(x.astype(float)), rel=1e-12)
    if dtype is not np.uint16:
        assert rg.effective_rank(torch.tensor(x.astype(np.int64))) == pytest.approx(rg.effective_rank(x), rel=1e-12)


def test_input_is_left_as_it_was():
    x = X.astype(np.float32)
    before = x.copy()
    rg.audit(x, normalize="l2")
    rg.effective_rank(x, normalize="l2")
    assert (x == before).all()


@pytest.mark.parametrize(
    ("x", "kind", "message"),
    [
        (np.arange(5.0), ValueError, r"got shape \(5,\).*from_singular_values.*from_variances"),
        (3.0, ValueError, r"got shape \(\)"),
        (None, TypeError, "is a NoneType"),
        (rg.Spectrum.from_variances([1.0, 2.0]).__class__, TypeError, "is a type"),
        (np.zeros((1, 7)), ValueError, r"has 1 row \(shape \(1, 7\)\) and needs at least 2.*transpose"),
        (np.zeros((0, 7)), ValueError, "has 0 rows"),
        (np.zeros((7, 0)), ValueError, r"empty: shape \(7, 0\)"),
        (np.zeros((0, 7, 3)), ValueError, r"empty: shape \(0, 7, 3\)"),
        (X + 1j, TypeError, "complex"),
        (np.array([["a", "b"], ["c", "d"]]), TypeError, r"<U1 values \(shape \(2, 2\)\)"),
        (np.array([[1, None], [2, 3]]), TypeError, "object values"),
        ([[1.0, 2.0], [3.0]], ValueError, "differ in length"),
        ("features.npy", TypeError, "text .*features.npy.*repgeom.audit"),
        (scipy.sparse.eye(4).tocsr(), TypeError, "sparse matrix .*toarray"),
        (torch.eye(4).to_sparse(), TypeError, "sparse tensor .*to_dense"),
        (np.ma.masked_array(X, X > 1), TypeError, "masked array"),
        (
            pd.DataFrame({"id": ["a", "b"], "f0": [1.0, 2.0]}),
            TypeError,
            r"no features: id \(text\).*drop\(columns=\['id'\]\)",
        ),
    ],
)
def test_what_cannot_be_features_is_refused_with_its_reason(x, kind, message):
    with pytest.raises(kind, match=message):
        rg.effective_rank(x)


def test_missing_values_of_a_data_frame_are_counted_not_dropped():
    frame = pd.DataFrame({"a": pd.array([1, None, 3], dtype="Int64"), "b": [1.0, 2.0, 3.0]})
    with pytest.raises(ValueError, match="1 non-finite value; the first is nan at row 1, column 0"):
        rg.effective_rank(frame)


@pytest.mark.filterwarnings("ignore:.*quantized tensor creation functions.*:UserWarning")
@pytest.mark.parametrize("dtype", [torch.qint8, torch.quint8, torch.qint32])
def test_quantized_tensors_are_read_as_the_numbers_they_stand_for(dtype):
    x = torch.rand(20, 3, generator=torch.Generator().manual_seed(0))
    quantized = torch.quantize_per_tensor(x, 0.01, 0, dtype)
    assert rg.effective_rank(quantized) == rg.effective_rank(quantized.dequantize())
