"""Where readings go: a function, a file of comma-separated values, a plot."""

import numpy as np
import pandas as pd
import pytest
from torch import nn
from training import batches, encoder, train

from repgeom.monitors import Monitor, csv_log


def test_log_gets_each_reading_once_with_intervals_where_known():
    got = []
    model = nn.Identity()
    monitor = Monitor(model, every=2, interval=True, log=lambda *values: got.append(values))
    for batch in batches(4, size=200):
        with monitor.step():
            model(batch)
    assert [step for step, _ in got] == [0, 2]
    last = monitor.history[monitor.history["step"] == 2].set_index("measure")
    rank = "geometry/output/effective_rank"
    assert got[1][1] == {
        rank: last["value"]["effective_rank"],
        f"{rank}/low": last["low"]["effective_rank"],
        f"{rank}/high": last["high"]["effective_rank"],
        "geometry/output/participation_ratio": last["value"]["participation_ratio"],
        "geometry/output/participation_ratio/low": last["low"]["participation_ratio"],
        "geometry/output/participation_ratio/high": last["high"]["participation_ratio"],
        "geometry/output/mean_cosine": last["value"]["mean_cosine"],
    }
    assert {type(value) for value in got[1][1].values()} == {float}


def test_csv_log_appends(tmp_path):
    path = tmp_path / "geometry.csv"
    model = encoder()
    for _ in range(2):  # a training that was taken up again
        train(model, Monitor(model, layers=["head", "output"], every=2, log=csv_log(path)), batches(3))
    frame = pd.read_csv(path)
    assert frame.columns.tolist() == ["step", "name", "value"]
    assert frame["step"].tolist() == ([0] * 6 + [2] * 6) * 2
    assert frame["name"][0] == "geometry/head/effective_rank"
    assert frame["value"].between(-1, 8).all()


def test_csv_log_says_at_once_that_it_cannot_write(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        csv_log(tmp_path / "none" / "geometry.csv")


@pytest.mark.parametrize("layers", [["output"], ["blocks.*", "head"], ["**"]])
def test_plot_has_a_line_per_layer(layers):
    model = encoder()
    monitor = Monitor(model, layers=layers, every=1, interval=True)
    train(model, monitor, batches(4, size=128))
    ax = monitor.plot()
    names = monitor.history["layer"].unique().tolist()
    assert [line.get_label() for line in ax.lines] == names
    for line, name in zip(ax.lines, names, strict=True):
        one = monitor.history[(monitor.history["layer"] == name) & (monitor.history["measure"] == "effective_rank")]
        np.testing.assert_array_equal(line.get_xdata(), one["step"])
        np.testing.assert_array_equal(line.get_ydata(), one["value"])
    for bars, name in zip(ax.collections, names, strict=True):
        one = monitor.history[(monitor.history["layer"] == name) & (monitor.history["measure"] == "effective_rank")]
        known = one.dropna(subset=["low"])
        expected = [[[s, low], [s, high]] for s, low, high in known[["step", "low", "high"]].values.tolist()]
        assert [segment.tolist() for segment in bars.get_segments()] == expected
    assert monitor.plot("mean_cosine", ax) is ax
    assert ax.get_ylabel() == "mean cosine"


def test_plot_draws_names_as_they_are_and_refuses_what_was_not_read():
    model = nn.ModuleDict({"a$b$": nn.Identity()})
    monitor = Monitor(model, layers="a$b$", every=1)
    with pytest.raises(ValueError, match="no reading of 'effective_rank' yet; there are none at all"):
        monitor.plot()
    with monitor.step():
        model["a$b$"](batches(1)[0])
    ax = monitor.plot()
    ax.figure.canvas.draw()
    assert not ax.get_legend().get_texts()[0].get_parse_math()
    with pytest.raises(ValueError, match="no reading of 'stable_rank' yet; there are effective_rank, part"):
        monitor.plot("stable_rank")
