"""The mean shift of a measure by few rows, against simulated rows."""

import numpy as np
import pytest

from repgeom.inference.second_order import SHIFT_KNOWN, mean_shift
from repgeom.measures.measure import functional


@pytest.mark.parametrize("measure", SHIFT_KNOWN)
@pytest.mark.parametrize(("d", "power"), [(8, 0.0), (8, 0.5), (20, 1.0)])
def test_it_is_what_gaussian_rows_show(measure, d, power):
    random = np.random.default_rng(0)
    n, draws = 100 * d, 400
    variances = np.arange(1, d + 1.0) ** -power
    log = functional(measure).log
    found = []
    for _ in range(draws):
        rows = random.standard_normal((n, d)) * variances**0.5
        found.append(log(np.linalg.eigvalsh(np.cov(rows, rowvar=False))[::-1], np.ones(d)))
    shift = (np.mean(found) - log(variances, np.ones(d))) * n
    # Four standard errors, and the next term of the series.
    allowed = 4 * np.std(found) * n / draws**0.5 + 0.05 * abs(shift)
    assert mean_shift(measure, variances) == pytest.approx(shift, abs=allowed)


def test_equal_variances_are_the_limit_of_nearly_equal_ones():
    nearly = np.linspace(1 + 1e-4, 1, 10)
    for measure in SHIFT_KNOWN:
        assert mean_shift(measure, np.ones(10)) == pytest.approx(mean_shift(measure, nearly), rel=1e-2)
