"""Rows at which arithmetic goes wrong: extremes of range and scale, ties, constants, too few rows. One home of them."""

import numpy as np

N, D = 24, 6


def _gaussian(n=N, d=D, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def _with(change, n=N, d=D):
    x = _gaussian(n, d)
    change(x)
    return x


def _row(factor):
    return _with(lambda x: x.__setitem__(3, x[3] * factor))


def _column(factor):
    return _with(lambda x: x.__setitem__((slice(None), 2), x[:, 2] * factor))


def _signs(n=N, d=D, seed=0):
    return np.sign(_gaussian(n, d, seed))


def numerical_sets():
    """{name: rows (n, d)}."""
    x, f32, f16 = _gaussian(), np.float32, np.float16
    largest, largest32, largest16 = np.finfo(float).max, np.finfo(f32).max, np.finfo(f16).max
    found = {f"times {scale:g}": x * scale for scale in (
        5e-324, 1e-320, 1e-310, 1e-300, 1e-200, 1e-160, 1e-100, 1e-30, 1e-10, 1e10, 1e30, 1e100, 1e154, 1e160, 1e200, 1e300, 1e307,
    )}  # fmt: skip
    found |= {
        f"float32 times {scale:g}": (x * scale).astype(f32) for scale in (1e-45, 1e-40, 1e-38, 1e-20, 1e18, 1e20, 1e37)
    }
    found |= {f"float16 times {scale:g}": (x * scale).astype(f16) for scale in (1e-7, 1e-5, 1e3, 1e4)}
    found |= {
        "signs of the largest float64": _signs() * largest,
        "signs of the largest float32": (_signs() * largest32).astype(f32),
        "signs of 3.4e38 float32": (_signs() * 3.4e38).astype(f32),
        "signs of the largest float16": (_signs() * largest16).astype(f16),
        "all the largest float64": np.full((N, D), largest),
        "all the largest float32": np.full((N, D), largest32),
        "one at the largest float64": _with(lambda x: x.__setitem__((0, 0), largest)),
        "the smallest float64, signed": _signs() * 5e-324,
        "the smallest float32, signed": (_signs() * 1.4e-45).astype(f32),
        "the smallest float16, signed": (_signs() * 6e-8).astype(f16),
        "from 1e-300 to 1e300 by columns": x * np.logspace(-300, 300, D),
        "from 1e-300 to 1e300 by rows": x * np.logspace(-300, 300, N)[:, None],
        "one row 1e12 times the rest": _row(1e12),
        "one row 1e150 times the rest": _row(1e150),
        "one row 1e300 times the rest": _row(1e300),
        "one row 1e-300 times the rest": _row(1e-300),
        "one column 1e12 times the rest": _column(1e12),
        "one column 1e300 times the rest": _column(1e300),
        "one column 1e-300 times the rest": _column(1e-300),
        "two rows 1e12 times the rest": _with(lambda x: x.__setitem__(slice(2), x[:2] * 1e12)),
        "float32, one row 1e12 times the rest": _row(1e12).astype(f32),
        "constant": np.full((N, D), 3.7),
        "constant rows of zeros": np.zeros((N, D)),
        "constant but for the last digit": 1 + np.finfo(float).eps * (x > 0),
        "constant but for one value": _with(lambda x: (x.__setitem__(slice(None), 1), x.__setitem__((0, 0), 1 + 1e-15))),
        "float32, constant but for the last digit": (1 + np.finfo(f32).eps * (x > 0)).astype(f32),
        "mean 1e6": x + 1e6,
        "mean 1e12": x + 1e12,
        "mean 1e15": x + 1e15,
        "mean 1e300": x + 1e300,
        "float32 mean 1e6": (x + 1e6).astype(f32),
        "float16 mean 1e3": (x + 1e3).astype(f16),
        "binary codes": (x > 0).astype(float),
        "signs": _signs(),
        "few different rows": np.repeat(_gaussian(4), N // 4, axis=0),
        "two different rows": np.repeat(_gaussian(2), N // 2, axis=0),
        "one row twice": _with(lambda x: x.__setitem__(1, x[0])),
        "one row repeated but for one": _with(lambda x: x.__setitem__(slice(1, None), x[1])),
        "half of the rows zero": _with(lambda x: x.__setitem__(slice(N // 2), 0)),
        "one row not zero": _with(lambda x: x.__setitem__(slice(1, None), 0)),
        "one-hot": np.eye(D)[np.arange(N) % D],
        "identity": np.eye(N),
        "whole numbers": np.random.default_rng(0).integers(0, 4, (N, D)),
        "counts of 8 bits": np.random.default_rng(0).integers(0, 256, (N, D)).astype(np.uint8),
        "booleans": x > 0,
        "a line": np.linspace(-1, 1, N)[:, None] * np.ones(D),
        "a line far away": 1e8 + np.linspace(-1, 1, N)[:, None] * np.ones(D),
        "rank 2": _gaussian(N, 2) @ _gaussian(2, D, seed=1),
        "one column moves": _with(lambda x: x.__setitem__((slice(None), slice(1, None)), 5)),
        "a column repeated": _with(lambda x: x.__setitem__((slice(None), 1), x[:, 0])),
        "unit rows": x / np.linalg.norm(x, axis=1, keepdims=True),
        "rows of one direction": np.abs(x[:, :1]) * np.ones(D),
        "geometric spectrum": x * np.logspace(0, -15, D),
        "two rows": _gaussian(2),
        "two equal rows": np.ones((2, D)),
        "two rows of one column": _gaussian(2, 1),
        "three rows": _gaussian(3),
        "four rows": _gaussian(4),
        "one column": _gaussian(N, 1),
        "one column of signs": _signs(N, 1),
        "one column, constant": np.ones((N, 1)),
        "more columns than rows": _gaussian(8, 40),
        "as many rows as columns": _gaussian(12, 12),
        "one more row than columns": _gaussian(13, 12),
        "heavy tails": np.random.default_rng(0).standard_cauchy((N, D)),
        "heavier tails": np.random.default_rng(0).standard_cauchy((N, D)) ** 9,
        "log-normal": np.exp(20 * x),
        "minus zero": -np.zeros((N, D)) + np.eye(N)[:, :D],
    }  # fmt: skip
    return found
