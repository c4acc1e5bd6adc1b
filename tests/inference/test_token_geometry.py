"""Token geometry against loops over texts and tokens, closed forms of curvature, planted long tokens."""

import numpy as np
import pytest
import torch
from conftest import oracle

import repgeom as rg


def slow_token_geometry(x, texts):
    """(within rank, matrix entropy, curvature) of each text in sorted order of their names."""
    found = []
    for name in sorted(set(texts)):
        z = x[np.asarray(texts) == name]
        entropy = np.linalg.eigvalsh(z @ z.T / np.trace(z @ z.T))
        entropy = -sum(p * np.log(p) for p in entropy if p > 1e-14)
        angles = []
        for a, b, c in zip(z, z[1:], z[2:], strict=False):
            cosine = (b - a) @ (c - b) / np.linalg.norm(b - a) / np.linalg.norm(c - b)
            angles.append(np.arccos(np.clip(cosine, -1, 1)))
        found.append((oracle(z)["effective_rank"], entropy, np.mean(angles)))
    return np.array(found)


def sentences(n_texts=30, d=16, seed=0, shortest=3, longest=9):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(shortest, longest, n_texts)
    texts = np.repeat([f"t{i:03}" for i in range(n_texts)], sizes)
    means = np.repeat(2 * rng.standard_normal((n_texts, d)), sizes, 0)
    return means + rng.standard_normal((len(texts), d)) + 1, texts


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-9), (np.float32, 1e-5)])
@pytest.mark.parametrize("d", [1, 4, 16])
def test_every_text_equals_its_slow_definition(dtype, tolerance, d):
    x, texts = sentences(d=d)
    found = rg.token_geometry(x.astype(dtype), texts)
    expected = slow_token_geometry(x.astype(dtype).astype(float), texts)
    per_text = found.per_text
    tolerance = max(tolerance, 1e-7 if d == 1 else 0)  # the slow form's arccos loses half of the digits near 0 and π
    assert per_text[["within_rank", "matrix_entropy", "curvature"]].to_numpy() == pytest.approx(expected, abs=tolerance)
    assert found.within_rank.value == pytest.approx(expected[:, 0].mean(), abs=tolerance)
    assert found.curvature.se == pytest.approx(expected[:, 2].std(ddof=1) / 30**0.5, abs=tolerance)
    means = np.array([x.astype(dtype)[texts == name].mean(0, dtype=float) for name in per_text.text])
    assert found.between_rank.value == pytest.approx(rg.estimate(means).value, rel=1e-6)
    assert found.between_share == pytest.approx(rg.between_class_variance(x.astype(dtype), texts), rel=1e-6)
    assert (found.n_texts, found.n_tokens) == (30, len(x))


def test_curvature_of_known_paths():
    """No order: 2π/3 of independent states, π/2 of a random walk, 0 of a line; in few dimensions a circle turns evenly."""
    rng = np.random.default_rng(0)
    states = rng.standard_normal((40, 30, 4000))
    assert rg.token_geometry(states).curvature.value == pytest.approx(2 * np.pi / 3, abs=0.01)
    assert rg.token_geometry(states.cumsum(1)).curvature.value == pytest.approx(np.pi / 2, abs=0.01)
    line = np.arange(10.0)[None, :, None] * np.ones((2, 1, 3)) + [[[1e6]], [[-1e6]]]
    assert rg.token_geometry(line).curvature.value == pytest.approx(0, abs=1e-7)
    angle = np.arange(12) * 0.1
    circle = np.stack([np.c_[np.cos(angle), np.sin(angle)]] * 2)
    assert rg.token_geometry(circle).curvature.value == pytest.approx(0.1, rel=1e-9)


def test_repeated_tokens_are_left_out_and_counted():
    x = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 1.0], [2.0, 1.0], [0.0, 1.0], [0.0, 1.0], [0.0, 1.0]])
    found = rg.token_geometry(x, list("aaaaabbb"))
    assert found.n_still == 3
    assert found.per_text.curvature[0] == pytest.approx(np.pi / 2)
    assert np.isnan(found.per_text.curvature[1])
    assert found.per_text.within_rank[1] == 0
    zeros = rg.token_geometry(np.zeros((6, 2)), list("aaabbb"))
    assert zeros.per_text.matrix_entropy.isna().all()
    assert np.isnan(zeros.between_rank.value)
    assert np.isnan(zeros.between_share)


def test_a_stack_with_a_mask_is_its_tokens_without_padding():
    x, texts = sentences()
    lengths = [int((texts == name).sum()) for name in np.unique(texts)]
    stack, mask = np.full((30, max(lengths), 16), np.nan), np.zeros((30, max(lengths)), int)
    for i, name in enumerate(np.unique(texts)):
        # Padding on the left of every other text.
        places = slice(0, lengths[i]) if i % 2 else slice(max(lengths) - lengths[i], None)
        stack[i, places], mask[i, places] = x[texts == name], 1
    for made in (np.asarray, torch.tensor):
        found = rg.token_geometry(made(stack), mask=made(mask))
        expected = rg.token_geometry(x, texts)
        for name in ("within_rank", "between_rank", "matrix_entropy", "curvature"):
            assert getattr(found, name).value == pytest.approx(getattr(expected, name).value, rel=1e-9)
    assert found.per_text.text.tolist() == list(range(30))


def test_texts_need_not_lie_together_but_keep_their_order():
    x, texts = sentences()
    rng = np.random.default_rng(1)
    order = np.argsort(
        rng.permutation(30)[np.unique(texts, return_inverse=True)[1]] + 0.01 * rng.random(), kind="stable"
    )
    woven = np.argsort(np.concatenate([np.arange((texts == name).sum()) for name in np.unique(texts)]), kind="stable")
    for moved in (order, woven):
        found = rg.token_geometry(x[moved], texts[moved])
        assert found.per_text.equals(rg.token_geometry(x, texts).per_text)


def test_tokens_of_high_norm_are_named_by_text_and_position():
    x, texts = sentences()
    first = int(np.flatnonzero(texts == "t011")[0])
    x[first + 2] *= 60
    x[5] *= 100
    found = rg.token_geometry(x, texts).high_norm
    assert found.row.tolist() == sorted([5, first + 2], key=lambda row: -np.linalg.norm(x[row]))
    told = found.set_index("row").loc[first + 2]
    assert (told.text, told.position) == ("t011", 2)
    assert told.norm == pytest.approx(np.linalg.norm(x[first + 2]))
    assert told.times_median == pytest.approx(told.norm / np.median(np.linalg.norm(x, axis=1)))
    assert len(rg.token_geometry(*sentences()).high_norm) == 0


def test_isotropic_tokens_read_the_isotropic_value():
    x = np.random.default_rng(0).standard_normal((60, 24, 32))
    found = rg.token_geometry(x)
    assert found.within_rank.value == pytest.approx(found.within_isotropic, rel=0.02)
    assert "60 texts" in repr(found)


def test_few_texts_have_no_interval_and_short_texts_no_curvature():
    found = rg.token_geometry(np.random.default_rng(0).standard_normal((19, 2, 5)))
    assert found.within_rank.low is None
    assert "19 texts have a value, fewer than 20" in found.within_rank.warnings[0]
    assert np.isnan(found.curvature.value)
    one_each = rg.token_geometry(np.random.default_rng(0).standard_normal((25, 1, 5)))
    assert np.isnan(one_each.within_rank.value)
    assert one_each.matrix_entropy.value == pytest.approx(0, abs=1e-12)


def test_layers_are_rows():
    x, texts = sentences()
    layers = {"embeddings": x, "block.0": x @ np.diag(np.arange(16.0))}
    frame = rg.token_geometry_by_layer(layers, texts)
    assert list(frame.index) == ["embeddings", "block.0"]
    for name, tokens in layers.items():
        alone = rg.token_geometry(tokens, texts)
        row = frame.loc[name]
        assert (row.matrix_entropy, row.matrix_entropy_low) == (alone.matrix_entropy.value, alone.matrix_entropy.low)
        assert row.n_high_norm == len(alone.high_norm)
    with pytest.raises(ValueError, match="`layers` must be a dict"):
        rg.token_geometry_by_layer({})
    with pytest.raises(ValueError, match="layer 'bad': `tokens` has 1 non-finite"):
        rg.token_geometry_by_layer({"bad": np.where(x == x[3, 3], np.nan, x)}, texts)


X, TEXTS = sentences()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rg.token_geometry(X), r"`tokens` must be a stack .* got shape \(\d+, 16\) without `texts`"),
        (lambda: rg.token_geometry(X[None], TEXTS), "with `texts`"),
        (lambda: rg.token_geometry(X, TEXTS[:-1]), "`texts` has"),
        (lambda: rg.token_geometry(X, ["one"] * len(X)), "are of 1 text"),
        (lambda: rg.token_geometry(np.ones((2, 3, 4)), mask=np.ones((2, 4))), r"`mask` must have shape \(2, 3\)"),
        (lambda: rg.token_geometry(X, TEXTS, mask=np.ones(len(X))), "`mask` goes with a stack"),
        (lambda: rg.token_geometry(X, TEXTS, confidence=2), "`confidence`"),
        (lambda: rg.token_geometry(X * np.inf, TEXTS), "non-finite"),
    ],
)  # fmt: skip
def test_what_is_no_set_of_texts_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int64, np.int8])
@pytest.mark.parametrize("made", [np.asarray, torch.as_tensor, np.ndarray.tolist])
def test_a_mask_holds_bools_or_0_and_1_and_nothing_else(dtype, made):
    tokens, there = (
        np.random.default_rng(0).standard_normal((5, 6, 3)),
        np.arange(6) < np.array([[6], [4], [3], [5], [2]]),
    )
    expected = rg.token_geometry(tokens, mask=there).per_text
    assert rg.token_geometry(tokens, mask=made(there.astype(dtype))).per_text.equals(expected)
    for wrong in (np.where(there, 0, -60), np.where(there, 2, 0), np.where(there, 1, 0.5), np.where(there, 1, np.nan)):
        if dtype in (np.int64, np.int8) and wrong.dtype == float:
            continue
        with pytest.raises(ValueError, match=r"`mask` holds (-60|2|0\.5|nan); it must be bools, or 1 .* `mask == 0`"):
            rg.token_geometry(tokens, mask=made(wrong.astype(dtype)))


def test_texts_without_a_token_are_told():
    tokens, there = np.random.default_rng(0).standard_normal((5, 6, 3)), np.ones((5, 6), bool)
    there[[1, 3]] = False
    with pytest.warns(UserWarning, match="2 texts have no position left by `mask`, text 1 first, and count nowhere"):
        found = rg.token_geometry(tokens, mask=there)
    assert found.per_text.text.tolist() == [0, 2, 4]
    there[3] = True
    with pytest.warns(UserWarning, match="1 text has no position left by `mask`, text 1 first"):
        rg.token_geometry_by_layer({"a": tokens}, mask=there)
