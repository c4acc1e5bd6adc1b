"""What may take long shows how far it is, where it is asked to: each item is counted, and nothing is shown unasked."""

import numpy as np
import pytest
import tqdm

import repgeom as rg


def rows(seed=0, n=120, d=6):
    return np.random.default_rng(seed).standard_normal((n, d)) + np.arange(d)


LABELS = np.arange(120) % 3
CALLS = {
    "neighbours": [
        lambda progress: rg.hubness(rows(), progress=progress),
        lambda progress: rg.cosine_dot_overlap(rows(), progress=progress),
        lambda progress: rg.near_duplicates(rows(), progress=progress),
        lambda progress: rg.distance_concentration(rows(), progress=progress),
        lambda progress: rg.intrinsic_dimension(rows(), progress=progress),
    ],
    "layers": [lambda progress: rg.cka_map({"a": rows(), "b": rows(1)}, progress=progress)],
    "cuts": [lambda progress: rg.truncation_curve(rows(), dims=[2, 4], progress=progress)],
    "repairs": [lambda progress: rg.repair.compare_repairs(rows(), LABELS, k=3, progress=progress)],
    "retrieval": [lambda progress: rg.modality_gap(rows(), rows(1), progress=progress)],
}


@pytest.fixture
def bars(monkeypatch):
    """Word, whether it is off (None leaves that to the terminal), items, and how many of them were taken."""
    found, of_rows = [], tqdm.tqdm

    def shown(*items_and_word, **options):
        # Without items it is the bar of rows that are read.
        return counted(*items_and_word, **options) if items_and_word else of_rows(**options)

    def counted(items, what, disable, **_):
        found.append([what, disable, len(items), 0])
        for item in items:
            found[-1][-1] += 1
            yield item

    monkeypatch.setattr(tqdm, "tqdm", shown)
    return found


@pytest.mark.parametrize("what", CALLS)
def test_a_bar_counts_to_its_end_where_it_is_asked_for(what, bars):
    for call in CALLS[what]:
        bars.clear()
        call(True)
        assert bars
        assert all((word, off) == (what, None) and n == taken > 0 for word, off, n, taken in bars)
        bars.clear()
        call(False)
        assert all(off is True for _, off, _, _ in bars)


def test_a_map_of_layers_is_counted_layer_by_layer(bars):
    rg.cka_map({"a": rows(), "b": rows(1)}, {"c": rows(2), "d": rows(3), "e": rows(4)}, progress=True)
    assert bars == [["layers", None, 2, 2]]
