"""Rows are read at most twice, whatever is asked; and once where one pass tells all."""

import numpy as np
import pytest

import repgeom as rg

N, WIDTH = 3000, 24


class Counted:
    """A source that counts how often each row is read."""

    def __init__(self, path):
        self.reads = np.zeros(N, int)
        source = rg.open_source(path)
        read = source.read

        def counting(start, stop):
            self.reads[start:stop] += 1
            return read(start, stop)

        object.__setattr__(source, "read", counting)
        self.source = source


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.setattr("repgeom.data.arrays.CHUNK_VALUES", 400 * WIDTH)
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, WIDTH)) * np.arange(1, WIDTH + 1.0) ** -0.5
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", x[:, :10] + rng.standard_normal((N, 10)))
    np.save(tmp_path / "z.npy", x + 0.1 * rng.standard_normal(x.shape))
    return tmp_path


def test_a_plain_audit_reads_once(files):
    x = Counted(files / "x.npy")
    rg.audit(x.source)
    assert set(x.reads) == {1}


@pytest.mark.parametrize("n_classes", [2, 10, 1000])
@pytest.mark.parametrize("drop", [False, True])
def test_an_audit_with_everything_reads_at_most_twice(files, n_classes, drop):
    x, y, z = (Counted(files / name) for name in ("x.npy", "y.npy", "z.npy"))
    labels = np.random.default_rng(1).permutation(N) % n_classes
    rg.audit(
        x.source,
        reference=y.source,
        corrupted=z.source,
        labels=labels,
        groups=np.arange(N) // 3,
        normalize="l2",
        drop_nonfinite=drop,
    )
    for counted in (x, y, z):
        assert counted.reads.max() <= 2
    assert x.reads.max() == 1  # nothing here turns out to need more exact sums


def test_rows_that_turn_steep_late_are_read_twice_and_no_more(files):
    x = np.load(files / "x.npy")
    x[1000:, 0] *= 1e9
    np.save(files / "steep.npy", x)
    counted = Counted(files / "steep.npy")
    report = rg.audit(counted.source, labels=np.arange(N) % 5)
    assert report.spectrum.exact_tail
    assert set(counted.reads) == {2}


@pytest.mark.parametrize(
    ("call", "most"),
    [
        (lambda s: rg.health(s), 1),
        (lambda s: rg.class_effective_rank(s, np.random.default_rng(0).permutation(N) % 50), 1),
        (lambda s: rg.estimate(s), 2),
        (lambda s: rg.estimate(s, "effective_rank_sigma", groups=np.arange(N) // 3), 2),
        (lambda s: rg.influence(s), 2),
    ],
    ids=["health", "class_effective_rank", "estimate", "estimate with groups", "influence"],
)
def test_functions_of_a_file_read_it_at_most_twice(files, call, most):
    counted = Counted(files / "x.npy")
    call(counted.source)
    assert counted.reads.max() <= most
    assert counted.reads.min() >= 1


def test_a_comparison_reads_each_file_at_most_twice(files):
    x, z = Counted(files / "x.npy"), Counted(files / "z.npy")
    rg.compare(x.source, z.source, paired=True)
    assert x.reads.max() <= 2
    assert z.reads.max() <= 2
