"""The decomposition: accuracy against a float64 SVD, invariances, streams, gradients."""

import numpy as np
import pytest
import torch
from conftest import oracle
from hypothesis import given, settings
from hypothesis import strategies as st

import repgeom as rg
from repgeom.data import arrays as gate
from repgeom.data.sources import as_source
from repgeom.reading import reader
from repgeom.reading.pieces import PairedRows
from repgeom.spectral.decompose import made_exact
from repgeom.spectral.sums import Sums
from repgeom.spectral.tally import SpectrumTally, Wanted

SPECTRA = {
    "flat": lambda i: np.ones_like(i),
    "power law 0.5": lambda i: i**-0.5,
    "power law 2": lambda i: i**-2.0,
    "geometric": lambda i: 0.9**i,
    "rank one": lambda i: np.where(i == 1, 1.0, 0.0),
    "rank 16 over 1e-3": lambda i: np.where(i <= 16, 1.0, 1e-3),
}
SHAPES = [(2, 5), (3, 3), (40, 100), (100, 100), (101, 100), (600, 64), (3000, 40), (500, 1)]
READINGS = {
    "effective_rank": rg.effective_rank,
    "effective_rank_sigma": lambda s: rg.effective_rank(s, of="singular_values"),
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
}


def planted(kind, shape, mean, dtype):
    n, d = shape
    sigma = SPECTRA[kind](np.arange(1.0, min(n - 1, d) + 1)) * n**0.5
    x = torch.tensor(rg.testing.features_with_spectrum(sigma, n, n_features=d))
    return (x + mean * x.std()).to(dtype)


def assert_readings(s, truth, tolerance):
    for name, read in READINGS.items():
        assert float(read(s)) == pytest.approx(truth[name], rel=tolerance), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("mean", [0, 1000])
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_agrees_with_a_float64_svd(shape, kind, mean, dtype):
    x = planted(kind, shape, mean, dtype)
    s = rg.spectrum(x)
    if float(s.singular_values[0]) == 0:  # half precision next to a large mean leaves one value in every row
        assert (x == x[0]).all()
        return
    assert_readings(s, oracle(x), 1e-6)


@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("mean", [0, 5, 1000])
def test_agrees_where_float32_products_are_used(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 17)
    x = planted(kind, (4096, 128), mean, torch.float32)
    assert_readings(rg.spectrum(x), oracle(x), 1e-6)


def test_flat_spectra_take_the_float32_product_and_low_rank_does_not(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 17)
    assert rg.spectrum(planted("flat", (4096, 128), 0, torch.float32)).method == "float32 product"
    assert rg.spectrum(planted("flat", (4096, 128), 0, torch.float64)).method == "float64 product"
    assert rg.spectrum(planted("rank one", (4096, 128), 0, torch.float32)).method == "qr"


STEEP = SPECTRA | {
    "power law 1": lambda i: 1 / i,
    "power law 1.5": lambda i: i**-1.5,
    "geometric 0.97": lambda i: 0.97**i,
    "rank 40 over 1e-3": lambda i: np.where(i <= 40, 1.0, 1e-3),
    "power law 1 over 1e-2": lambda i: 1 / i + 1e-2,
}


@pytest.mark.parametrize("kind", STEEP)
@pytest.mark.parametrize("mean", [0, 5, 1000])
def test_agrees_where_leading_directions_are_held_apart(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 1 << 16)
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 18)
    n, d = 6000, 160
    x = torch.tensor(rg.testing.features_with_spectrum(STEEP[kind](np.arange(1.0, d + 1)) * n**0.5, n))
    x = (x + mean * x.std()).float()
    s = rg.spectrum(x)
    assert_readings(s, oracle(x), 1e-6)
    if kind in ("power law 1", "rank 16 over 1e-3") and mean < 1000:
        assert s.method == "float32 product, leading directions apart"
    if kind == "power law 1 over 1e-2" and mean < 1000:
        assert s.method == "float32 product"


def one_hot(g):
    classes = torch.minimum(
        torch.randint(0, 4, (2_125_000,), generator=g), torch.randint(0, 4, (2_125_000,), generator=g)
    )
    rows = torch.nn.functional.one_hot(classes, 4).float() * torch.logspace(0, 0.3, 4)
    return rows + 1e-2 * torch.randn(len(rows), 4, generator=g)


def whole_numbers(g):
    d = 160
    sigma = torch.where(torch.arange(d) < 16, 1.0, 1.3e-4**0.5)
    turn = torch.linalg.qr(torch.randn(d, d, generator=g)).Q
    x = (torch.randn(53_125, d, generator=g) * sigma) @ turn
    return (x / x.std() * 40).round()


COARSE = {
    "one-hot": one_hot,
    "whole numbers": whole_numbers,
    "signs": lambda g: (
        (torch.randint(0, 2, (16_700, 512), generator=g) * 2 - 1) * torch.logspace(0, -1.5, 512) * 1.2345
    ),
    "far from zero": lambda g: whole_numbers(g) / 40 + 90,
}


@pytest.mark.parametrize("kind", COARSE)
def test_float32_products_hold_for_values_that_repeat(kind):
    """Their rounding does not average out: sums of squares in float32 were off by up to 5e-6."""
    x = COARSE[kind](torch.Generator().manual_seed(1))
    s = rg.spectrum(x)
    assert s.method.startswith(
        "float64 product" if kind == "one-hot" else "float32 product"
    )  # narrow rows take float64
    truth = rg.spectrum(x.double())
    for name, read in READINGS.items():
        assert float(read(s)) == pytest.approx(float(read(truth)), rel=1e-6), name


def test_half_products_of_values_whose_squares_underflow_say_so():
    x = (torch.randn(4096, 16, generator=torch.Generator().manual_seed(0)) * 1e-21).bfloat16()
    sums = Sums("half")
    sums.absorb(x)
    s, exact, _ = sums.read_spectrum(True)
    assert not exact
    assert not s.exact_tail


@pytest.mark.parametrize("mean", [0.0, 0.5, 100.0])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", ["flat", "power law 0.5", "power law 1", "power law 2"])
def test_half_products_are_exact_or_say_that_they_are_not(kind, dtype, mean):
    """The sums that a GPU makes on its matrix units; here the same products are added up by the CPU."""
    sigma = STEEP[kind](np.arange(1.0, 65)) * 140_000**0.5
    x = torch.tensor(rg.testing.features_with_spectrum(sigma, 140_000))
    x = (x + mean * x.std()).to(dtype)  # as many values as there must be for it to be tried
    sums = Sums("half")
    for rows in x.split(32_768):
        sums.absorb(rows)
    s, exact, _ = sums.read_spectrum(True)
    truth = oracle(x)
    assert (s.method, s.dtype) == ("half product", str(dtype).removeprefix("torch."))
    assert s.exact_tail == exact == (kind in ("flat", "power law 0.5") and mean < 100)
    if exact:
        assert_readings(s, truth, 1e-6)


def test_a_stack_of_large_matrices_goes_one_by_one_and_a_bad_value_is_placed(monkeypatch, rng):
    monkeypatch.setattr("repgeom.spectral.decompose.SMALL_VALUES", 100)
    x = torch.tensor(rng.standard_normal((2, 3, 40, 6)))
    x[1, 2] *= torch.tensor([1.0, 1, 1, 1, 1e-9, 0])
    s = rg.spectrum(x)
    assert s.singular_values.shape == (2, 3, 6)
    assert s.mean.shape == (2, 3, 6)
    assert s.method == "qr"  # the most exact that any of them needed
    loop = [[rg.effective_rank(z, of="singular_values").item() for z in y] for y in x]
    assert rg.effective_rank(s, of="singular_values").numpy() == pytest.approx(np.array(loop), rel=1e-12)
    x[1, 0, 7, 2] = torch.nan
    with pytest.raises(ValueError, match=r"nan at row 7, column 2 of batch \(1, 0\)"):
        rg.spectrum(x)


@pytest.mark.parametrize("precision", ["high", "medium"])
def test_lower_matmul_precision_set_by_the_user_is_not_used(precision, rng):
    x = torch.tensor(rng.standard_normal((20_000, 512)), dtype=torch.float32)
    truth = rg.effective_rank(x.double())
    torch.set_float32_matmul_precision(precision)
    try:
        assert rg.effective_rank(x).item() == pytest.approx(truth.item(), rel=1e-6)
    finally:
        torch.set_float32_matmul_precision("highest")


def test_autocast_is_not_felt(rng):
    x = torch.tensor(rng.standard_normal((20_000, 512)), dtype=torch.float32)
    truth = rg.effective_rank(x.double()).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert rg.effective_rank(x).item() == pytest.approx(truth, rel=1e-6)
        assert rg.effective_rank(x.clone().requires_grad_()).item() == pytest.approx(truth, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e18, 1e30])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_scale_does_not_matter_even_where_squares_leave_the_range(scale, dtype, rng, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    x = rng.standard_normal((500, 20)).astype(dtype)
    scaled = x * dtype(scale)
    assert rg.effective_rank(scaled) == pytest.approx(oracle(x)["effective_rank"], rel=1e-6)
    assert rg.effective_rank(scaled, of="singular_values") == pytest.approx(oracle(x)["effective_rank_sigma"], rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_float64_beyond_its_square_root(scale, rng):
    x = rng.standard_normal((300, 20))
    assert rg.effective_rank(x * scale) == pytest.approx(rg.effective_rank(x), rel=1e-6)
    assert rg.effective_rank(x[:15] * scale) == pytest.approx(rg.effective_rank(x[:15]), rel=1e-6)


def test_values_beyond_float64_are_refused_with_a_way_out():
    with pytest.raises(ValueError, match=r"`features` holds values too large.*divide"):
        rg.effective_rank(np.array([[1e308, -1e308], [-1e308, 1e308], [1e308, 1e308]]))


# --- invariances, each beside a change that must be seen ---------------------------------------------------------


def readings(x, **how):
    s = rg.spectrum(x, **how)
    return np.array([float(read(s)) for read in READINGS.values()])


def test_invariances(rng):
    x = rng.standard_normal((300, 12)) * np.arange(1, 13)
    rotation = np.linalg.qr(rng.standard_normal((12, 12)))[0]
    before = readings(x)
    for name, y in {
        "rotation": x @ rotation,
        "translation": x + 1e3 * rng.standard_normal(12),
        "scale": 1e-7 * x,
        "row order": x[rng.permutation(300)],
        "rows twice": np.concatenate([x, x]),
    }.items():
        assert readings(y) == pytest.approx(before, rel=1e-9), name
    assert abs(readings(x * np.arange(1, 13)) / before - 1).min() > 0.01
    assert abs(readings(x + 100, center=False) / before - 1).min() > 0.01


def test_l2_normalisation_forgets_row_lengths_and_happens_before_centring(rng):
    x = rng.standard_normal((200, 8)) + 1
    lengths = rng.uniform(0.1, 10, (200, 1))
    assert readings(x * lengths, normalize="l2") == pytest.approx(readings(x, normalize="l2"), rel=1e-9)
    units = x / np.linalg.norm(x, axis=1, keepdims=True)
    assert readings(x, normalize="l2") == pytest.approx(readings(units), rel=1e-12)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.sampled_from(["float64", "qr"]), st.randoms())
def test_any_split_and_any_merge_order_give_the_wholes_answer(sizes, method, random):
    n = sum(sizes) + 1
    x = np.random.default_rng(n).standard_normal((n, 6)) * [1, 2, 3, 4, 5, 6] + 100
    parts = [rg.SpectrumAccumulator(method=method).update(rows) for rows in np.split(x, np.cumsum(sizes))]
    random.shuffle(parts)
    while len(parts) > 1:
        parts.append(parts.pop(0).merge(parts.pop(random.randrange(len(parts)))))
    whole, merged = rg.spectrum(x), parts[0].spectrum()
    assert merged.n_samples == n
    assert merged.mean == pytest.approx(whole.mean, rel=1e-12)
    # Two rows of six have one direction: what is left of the others is rounding of the large mean.
    assert merged.singular_values == pytest.approx(whole.singular_values, rel=1e-9, abs=1e-6)
    assert rg.effective_rank(merged) == pytest.approx(rg.effective_rank(whole), rel=1e-9)


def test_an_outlier_alone_in_the_first_batch_does_no_harm(rng):
    x = rng.standard_normal((2000, 10))
    x[0] = 1e6
    acc = rg.SpectrumAccumulator()
    for rows in (x[:1], x[1:700], x[700:]):
        acc.update(rows)
    assert rg.effective_rank(acc.spectrum()) == pytest.approx(oracle(x)["effective_rank"], rel=1e-9)


def test_uncentred_spectrum_of_a_stream(rng):
    x = rng.standard_normal((400, 7)) + 3
    acc = rg.SpectrumAccumulator().update(x[:100]).update(x[100:])
    assert acc.spectrum(center=False).singular_values == pytest.approx(np.linalg.svd(x, compute_uv=False), rel=1e-10)
    qr = rg.SpectrumAccumulator(method="qr").update(x)
    assert qr.spectrum(center=False).singular_values == pytest.approx(np.linalg.svd(x, compute_uv=False), rel=1e-12)


def test_a_product_refuses_the_tail_and_qr_answers():
    x = rg.testing.features_with_spectrum([1.0, 1e-2, 1e-7, 1e-7], 50)
    s = rg.SpectrumAccumulator().update(x).spectrum()
    assert rg.effective_rank(s) == pytest.approx(oracle(x)["effective_rank"], rel=1e-9)
    for read in (rg.numerical_rank, rg.condition_number, READINGS["effective_rank_sigma"]):
        with pytest.raises(ValueError, match=r'float64 product.*SpectrumAccumulator\(method="qr"\)'):
            read(s)
    exact = rg.SpectrumAccumulator(method="qr").update(x).spectrum()
    assert_readings(exact, oracle(x), 1e-6)


def test_dead_columns_do_not_make_a_product_refuse(rng):
    x = np.concatenate([rng.standard_normal((100, 5)), np.zeros((100, 3))], 1)
    s = rg.SpectrumAccumulator().update(x).spectrum()
    assert s.exact_tail
    assert rg.numerical_rank(s) == 5


def test_accumulator_errors(rng):
    acc = rg.SpectrumAccumulator().update(rng.standard_normal((4, 3)))
    with pytest.raises(ValueError, match=r"shape \(4, 2\), but earlier batches had 3 features: all"):
        acc.update(np.ones((4, 2)))
    with pytest.raises(ValueError, match="`batch` has 1 non-finite value; the first is nan at row 1, column 2"):
        acc.update([[1.0, 1.0, 1.0], [1.0, 1.0, np.nan]])
    with pytest.raises(ValueError, match="method='qr'"):
        acc.merge(rg.SpectrumAccumulator(method="qr"))
    with pytest.raises(ValueError, match="rows of 2 features and this one of 3"):
        acc.merge(rg.SpectrumAccumulator().update(np.ones((4, 2))))
    with pytest.raises(ValueError, match="at least 2 rows; this accumulator has seen 1"):
        rg.SpectrumAccumulator().update([[1.0, 2.0]]).spectrum()
    with pytest.raises(ValueError, match="got 'svd'"):
        rg.SpectrumAccumulator(method="svd")
    with pytest.raises(ValueError, match="count twice"):
        acc.merge(acc)
    with pytest.raises(TypeError, match="got int"):
        acc.merge(3)
    assert acc.n_samples == 4


# --- stacks, kinds, gradients ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(2, 3, 40, 6), (2, 3, 5, 9)])
def test_a_stack_equals_a_loop(shape, rng):
    x = rng.standard_normal(shape)
    x[0, 1, :, 3:] = 0  # one member with dead columns
    stack = rg.effective_rank(x, of="singular_values")
    assert isinstance(stack, np.ndarray)
    loop = [[rg.effective_rank(x[i, j], of="singular_values") for j in range(3)] for i in range(2)]
    assert stack == pytest.approx(np.array(loop), rel=1e-9)
    acc = rg.SpectrumAccumulator().update(x[..., :3, :]).update(x[..., 3:, :])
    assert rg.effective_rank(acc.spectrum()) == pytest.approx(rg.effective_rank(x), rel=1e-9)


def test_torch_in_torch_out_else_python(rng):
    x = rng.standard_normal((20, 4))
    assert type(rg.effective_rank(x)) is float
    assert type(rg.n_components(x)) is int
    value = rg.effective_rank(torch.tensor(x, dtype=torch.float32))
    assert isinstance(value, torch.Tensor)
    assert value.dtype == torch.float64
    assert isinstance(rg.spectrum(torch.tensor(x)).singular_values, torch.Tensor)
    assert isinstance(rg.spectrum(x).singular_values, np.ndarray)
    assert type(rg.effective_rank(rg.spectrum(x))) is float


LOSSES = {
    "effective_rank": rg.effective_rank,
    "of sigma": lambda x: rg.effective_rank(x, of="singular_values"),
    "l2": lambda x: rg.effective_rank(x, normalize="l2"),
    "uncentred": lambda x: rg.effective_rank(x, center=False),
    "rankme": rg.rankme,
    "participation_ratio": rg.participation_ratio,
    "stable_rank": rg.stable_rank,
    "hill 0.5": lambda x: rg.hill_number(x, order=0.5),
    "hill 3": lambda x: rg.hill_number(x, order=3),
    "svd": lambda x: rg.centered_svd(x).S,
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(9, 4), (4, 9), (2, 5, 5)], ids=str)
def test_gradients(name, shape):
    x = torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(LOSSES[name], x)


@pytest.mark.parametrize("of", ["variances", "singular_values"])
def test_gradient_is_finite_on_collapsed_features(of):
    x = torch.zeros(10, 6)
    x[:, 0] = torch.arange(10.0)
    x.requires_grad_()
    rg.effective_rank(x, of=of).backward()
    assert torch.isfinite(x.grad).all()


def test_ascending_the_effective_rank_spreads_features():
    x = torch.randn(64, 8, generator=torch.Generator().manual_seed(0)) * torch.tensor(
        [10.0, 1, 1, 1, 0.1, 0.1, 0.1, 0.1]
    )
    start = rg.effective_rank(x).item()
    x.requires_grad_()
    optimizer = torch.optim.Adam([x], lr=0.1)
    for _ in range(60):
        optimizer.zero_grad()
        (-rg.effective_rank(x)).backward()
        optimizer.step()
    assert rg.effective_rank(x).item() > start + 1


@pytest.mark.parametrize("shape", [(30, 5), (5, 30), (3, 12, 4)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64], ids=str)
def test_centred_svd_rebuilds_the_features(shape, dtype):
    x = (torch.randn(shape, generator=torch.Generator().manual_seed(0)) + 5).to(dtype)
    svd = rg.centered_svd(x)
    assert svd.U.dtype == (torch.float32 if dtype == torch.float16 else dtype)
    rebuilt = svd.U * svd.S[..., None, :] @ svd.Vh + svd.mean[..., None, :]
    torch.testing.assert_close(rebuilt, x.to(svd.U.dtype), rtol=1e-6, atol=1e-5)
    assert rg.centered_svd(x, center=False).mean.abs().max() == 0


# --- Spectrum ----------------------------------------------------------------------------------------------------


def test_fields_of_a_spectrum(rng):
    x = rng.standard_normal((50, 4)).astype(np.float32) + 2
    s = rg.spectrum(x)
    assert (s.n_samples, s.n_features, s.dtype, s.centered, s.normalize) == (50, 4, "float32", True, None)
    assert s.mean == pytest.approx(x.mean(0), rel=1e-5)
    assert s.variances == pytest.approx(np.linalg.eigvalsh(np.cov(x.T))[::-1], rel=1e-5)
    assert s.variance_ratio.sum() == pytest.approx(1)
    with pytest.raises(AttributeError):
        s.n_samples = 3


def test_known_values():
    s = rg.Spectrum.from_singular_values([1.0, 3.0, 2.0], n_samples=10)
    assert list(s.singular_values) == [3, 2, 1]
    assert s.variances == pytest.approx([1, 4 / 9, 1 / 9])
    assert rg.Spectrum.from_variances(s.variances, n_samples=10).singular_values == pytest.approx(s.singular_values)
    stack = rg.Spectrum.from_variances(torch.tensor([[1.0, 1.0], [1.0, 0.0]]))
    assert rg.effective_rank(stack).tolist() == pytest.approx([2, 1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.Spectrum.from_singular_values([1.0, -2.0]), r"not negative; the first bad one is -2.0 at \(1,\)"),
        (lambda: rg.Spectrum.from_singular_values([np.nan, 1.0]), r"nan at \(0,\)"),
        (lambda: rg.Spectrum.from_singular_values([]), r"got shape \(0,\)"),
        (
            lambda: rg.Spectrum.from_singular_values([1.0, 1.0, 1.0], n_samples=2),
            r"3 singular values, more than .* = 2",
        ),
        (lambda: rg.Spectrum.from_variances([1.0, -4.0]), "smallest variance is -4.0"),
    ],
)
def test_known_values_that_cannot_be(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("wide", [False, True])
def test_nonfinite_values_are_counted_and_placed(wide):
    x = np.zeros((20, 50 if wide else 4), dtype=np.float32)
    x[7, 2] = np.inf
    x[9, 1] = np.nan
    message = r"`features` has 2 non-finite values; the first is inf at row 7, column 2 \(shape \(20, \d+\), float32\)"
    with pytest.raises(ValueError, match=message):
        rg.spectrum(x)


def test_nonfinite_place_counts_rows_over_chunks(monkeypatch):
    monkeypatch.setattr(gate, "CHUNK_VALUES", 8)
    x = np.zeros((20, 4))
    x[13, 3] = np.nan
    with pytest.raises(ValueError, match="nan at row 13, column 3"):
        rg.spectrum(x)
    with pytest.raises(ValueError, match=r"nan at row 3, column 2 of batch \(1,\)"):
        rg.spectrum(np.stack([np.zeros((5, 4)), np.where(np.arange(20).reshape(5, 4) == 14, np.nan, 0)]))


def test_a_source_climbs_to_qr_and_counts_each_row_once(rng):
    x = rng.standard_normal((200, 3)) @ rng.standard_normal((3, 10))
    rows = PairedRows(as_source(x))
    tally = reader.read(rows, SpectrumTally({"spectrum": Wanted(None, (True, False))}, n=200))
    made_exact(rows, tally, "features")
    centred, raw = (tally.read("spectrum", center=center).spectrum for center in (True, False))
    assert tally.sums["spectrum"].n_samples == 200
    assert centred.method == raw.method == "qr"
    assert rg.numerical_rank(centred) == 3


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU at hand")
@pytest.mark.parametrize("kind", SPECTRA)
@pytest.mark.parametrize("shape", [(600, 64), (40, 100), (3, 600, 64)], ids=str)
def test_gpu_agrees_with_cpu(kind, shape):
    x = planted(kind, shape[-2:], 5, torch.float32).expand(shape)
    torch.backends.cuda.matmul.allow_tf32 = True
    try:
        found = rg.effective_rank(x.cuda(), of="singular_values")
    finally:
        torch.backends.cuda.matmul.allow_tf32 = False
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), rg.effective_rank(x, of="singular_values"), rtol=1e-6, atol=0)


@pytest.mark.parametrize("mean", [0, 5, 1000])
@pytest.mark.parametrize("kind", SPECTRA)
def test_fewer_rows_than_features_agree_where_float32_products_are_used(kind, mean, monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    monkeypatch.setattr("repgeom.spectral.few_rows.CHUNK_VALUES", 1 << 13)
    x = planted(kind, (120, 500), mean, torch.float32)
    for center in (True, False):
        s = rg.spectrum(x, center=center)
        truth = oracle(x, center)
        if center or mean == 0:
            assert_readings(s, truth, 1e-6)
        for name in ("effective_rank", "participation_ratio"):
            assert float(getattr(rg, name)(s)) == pytest.approx(truth[name], rel=1e-6)
    flat = rg.spectrum(planted("flat", (120, 500), mean, torch.float32))
    assert flat.method == ("float32 product" if mean < 1000 else "float64 product")


def test_few_rows_that_float32_cannot_hold_take_float64(monkeypatch):
    monkeypatch.setattr("repgeom.spectral.methods.FEW_VALUES", 1 << 14)
    x = planted("flat", (120, 500), 0, torch.float32)
    assert rg.spectrum(x * 1e-19).method == "float64 product"
    x[7, 3] = torch.nan
    with pytest.raises(ValueError, match="nan at row 7, column 3"):
        rg.spectrum(x)
