"""docs/aliases.md: each line of code there gives the number that the name stands for, by its own definition."""

import re
from pathlib import Path

import numpy as np
import pytest

import repgeom as rg

PAGE = Path(__file__).parent.parent.parent / "docs" / "aliases.md"
# A column of text may hold `|` only within code, which no line of the table does.
ROWS = {
    cells[0]: cells[2].strip("`")
    for cells in (
        [cell.strip() for cell in line.strip("|").split(" | ")] for line in PAGE.read_text().splitlines() if "`" in line
    )
    if len(cells) == 3
}


def slow(x, y, q):
    """{beginning of a name: its own definition}, with numpy alone."""
    n, d = x.shape
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    centred = x - x.mean(0)
    kernel = np.linalg.eigvalsh(u @ u.T / n).clip(0)
    values = np.linalg.eigvalsh(np.cov(x.T))
    cosines = u @ u.T
    e = n + n * (n - 1) / d
    sigma = np.linalg.svd(x, compute_uv=False)
    left = np.linalg.svd(centred, full_matrices=False)[0][:, :d]

    def entropy(p):
        p = p[p > 1e-14] / p.sum()
        return -np.sum(p * np.log(p))

    def renyi(p):
        return np.log(np.sum((p / p.sum()) ** q)) / (1 - q)

    gram_x, gram_y = centred @ centred.T, (y - y.mean(0)) @ (y - y.mean(0)).T
    logs = np.log(np.sort(values)[::-1])
    first, last = rg.power_law(x).first, rg.power_law(x).last
    rank = np.arange(first, last + 1)
    slope = -np.polyfit(np.log(rank), logs[first - 1 : last] / 2, 1, w=rank**-0.5)[0]
    return {
        "Rényi entropy": renyi(values),
        "von Neumann": entropy(values),
        "matrix entropy of cosines": renyi(kernel),
        "spectral entropy": entropy(values) / np.log(min(n - 1, d)),
        "Vendi score of order q": np.exp(renyi(kernel)),
        "Vendi score of the centred": np.exp(entropy(np.linalg.eigvalsh(gram_x).clip(0))),
        "NESum": values.sum() / values.max(),
        "numerical rank": np.sum(sigma**2) / sigma[0] ** 2,
        "IsoScore": (values.sum() ** 2 / np.sum(values**2) - 1) / (d - 1),
        "effective rank of Roy": np.exp(entropy(sigma)),
        "sum of squared cosines": np.sum(cosines**2),
        "mean squared cosine": np.mean(cosines[~np.eye(n, dtype=bool)] ** 2),
        "self-clustering": (np.sum(cosines**2) - e) / (n**2 - e),
        "coherence": n / d * np.max(np.sum(left**2, 1)),
        "condition number": values.max() / values.min(),
        "slope of a power law": slope,
        "CKA as an angle": np.arccos(
            np.sum(gram_x * gram_y) / np.sqrt(np.sum(gram_x**2) * np.sum(gram_y**2)),
        ),
    }


@pytest.mark.parametrize("name", ROWS)
def test_a_line_of_the_table_gives_the_number_of_its_name(name):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((150, 60)) * np.arange(1, 61) ** -0.4 + 0.2
    y, q = x[:, :9] + rng.standard_normal((150, 9)), 3
    n, d = x.shape
    scope = {"np": np, "rg": rg, "x": x, "y": y, "q": q, "n": n, "d": d, "r": d, "e": n + n * (n - 1) / d}
    expected = [value for begins, value in slow(x, y, q).items() if name.startswith(begins)]
    assert len(expected) == 1, f"give {name!r} its own definition here"
    assert eval(ROWS[name], scope) == pytest.approx(expected[0], rel=1e-8)


def test_every_definition_has_a_line_and_every_name_of_code_is_public():
    names = slow(*np.random.default_rng(1).standard_normal((2, 150, 60)), 3)
    assert len(ROWS) == len(names)
    for name in re.findall(r"`rg\.(\w+)", PAGE.read_text()):
        assert name in rg.__all__
