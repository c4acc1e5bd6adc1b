"""How a text table is written: delimiter, decimal sign, header. Read, or refused with the option that settles it."""

from __future__ import annotations

import itertools

import numpy as np
import pandas
import pytest
from stored_files import whole

from repgeom.data.files import open_source, read_labels

E = np.random.default_rng(0).standard_normal((200, 6))
NAMES = [f"f{i}" for i in range(6)]


@pytest.mark.parametrize(
    ("delimiter", "decimal", "header", "extension"),
    [
        (delimiter, decimal, header, extension)
        for delimiter, decimal, header, extension in itertools.product(
            [",", ";", "\t", "|", " "], [".", ","], [NAMES, False], [".csv", ".tsv"]
        )
        if delimiter != decimal
    ],
)
@pytest.mark.parametrize("digits", [1, 6])
def test_delimiter_and_decimal_sign_are_seen(tmp_path, delimiter, decimal, header, extension, digits):
    x = E.round(digits)
    path = tmp_path / f"x{extension}"
    pandas.DataFrame(x).to_csv(path, sep=delimiter, decimal=decimal, header=header, index=False)
    source = open_source(path)
    np.testing.assert_allclose(whole(source), x, rtol=1e-12)
    usual = {".csv": ",", ".tsv": "\t"}[extension]
    assert bool(source.notes) == (delimiter != usual)


def test_a_delimiter_may_be_given(tmp_path):
    pandas.DataFrame(E).to_csv(tmp_path / "x.csv", sep="~", header=False, index=False)
    np.testing.assert_allclose(whole(open_source(tmp_path / "x.csv", delimiter="~")), E, rtol=1e-12)
    pandas.DataFrame(E).to_csv(tmp_path / "y.csv", sep="\t", header=False, index=False)
    assert open_source(tmp_path / "y.csv", delimiter="tab").n_features == 6
    np.save(tmp_path / "x.npy", E)
    with pytest.raises(ValueError, match="belong to text tables"):
        open_source(tmp_path / "x.npy", delimiter=";")


@pytest.mark.parametrize(
    "names",
    [range(6), range(1, 7), range(1990, 1996), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0], ["1", "2", "x", "4", "5", "6"], NAMES],
)
def test_a_header_of_numbers_is_a_header(tmp_path, names):
    pandas.DataFrame(E, columns=list(names)).to_csv(tmp_path / "x.csv", index=False)
    source = open_source(tmp_path / "x.csv")
    np.testing.assert_allclose(whole(source), E, rtol=1e-12)
    assert source.columns.used == tuple(map(str, names))


@pytest.mark.parametrize(
    ("first", "x"),
    [
        ([1990, 1995, 2000, 2005, 2010, 2015], E),  # years, or a row of whole numbers
        ([3, 1, 7, 12, 5, 40], E),
        ([5, 6, 7, 8, 9, 10], np.round(E * 9).astype(int)),
        (["cat", 0.25, 0.5, 0.75, 0.125, 0.3], E),
        ([0.5, 1.0, 1.5, 2.0, 2.5, 3.0], E),  # wavelengths, times
        ([440, 880.5, 1000, 1200, 1500, 2000], E),
        ([0.1, 0.12, 0.3, 0.45, 0.6, 0.61, 0.7, 1.1], np.hstack([E, E[:, :2]])),
    ],
)
def test_a_first_line_that_may_be_either_is_asked(tmp_path, first, x):
    path = tmp_path / "x.csv"
    rest = pandas.DataFrame(x).astype(object)
    if first[0] == "cat":
        rest[0] = "dog"
    text = ",".join(map(str, first)) + "\n" + rest.to_csv(header=False, index=False)
    path.write_text(text)
    with pytest.raises(ValueError, match=r"x\.csv: its first line \(.*Say which: `--header` or `--no-header`"):
        open_source(path)
    assert open_source(path, header=True).n_samples == 200
    assert open_source(path, header=False).n_samples == 201


@pytest.mark.parametrize("x", [E, E.round(0), np.abs(E).round(0).astype(int), E > 0])
def test_without_a_header_every_line_is_a_row(tmp_path, x):
    pandas.DataFrame(x).astype(float).to_csv(tmp_path / "x.csv", header=False, index=False)
    assert open_source(tmp_path / "x.csv").n_samples == 200


def test_rows_that_all_rise_are_no_names(tmp_path):
    pandas.DataFrame(np.cumsum(np.abs(E), axis=1)).to_csv(tmp_path / "x.csv", header=False, index=False)
    assert open_source(tmp_path / "x.csv").n_samples == 200


@pytest.mark.parametrize("names", [[3, 1, 7, 12, 5, 40], [0.5, 0.25, 3, 2, 1, 7], [10, 20, 30, 40, 50, 60]])
def test_an_empty_corner_above_an_index_is_a_line_of_names(tmp_path, names):
    pandas.DataFrame(E, columns=names).to_csv(tmp_path / "x.csv")
    np.testing.assert_allclose(whole(open_source(tmp_path / "x.csv")), E, rtol=1e-12)


def test_names_that_numpy_wrote_are_names(tmp_path):
    np.savetxt(tmp_path / "x.csv", E, delimiter=",", header=",".join(NAMES))
    source = open_source(tmp_path / "x.csv")
    assert source.columns.used == tuple(NAMES)
    np.testing.assert_allclose(whole(source), E, rtol=1e-12)


def test_spaces_after_commas_belong_to_no_name(tmp_path):
    text = pandas.DataFrame(E, columns=NAMES).assign(label=1).to_csv(index=False)
    (tmp_path / "x.csv").write_text(text.replace(",", ", "))
    source = open_source(tmp_path / "x.csv")
    assert source.columns.used == tuple(NAMES)
    np.testing.assert_allclose(whole(source), E, rtol=1e-12)


@pytest.mark.parametrize(("given", "other"), [(";", ","), ("|", ","), (",", ";")])
def test_a_delimiter_that_does_not_cut_is_refused(tmp_path, given, other):
    """Else all cells of a line are one vector, with ids and labels in it."""
    pandas.DataFrame(E, columns=NAMES).assign(label=1).to_csv(tmp_path / "x.csv", sep=other, index=False)
    with pytest.raises(ValueError, match=rf"delimiter '\{given}' does not stand .* Give `--delimiter '{other}'`"):
        open_source(tmp_path / "x.csv", delimiter=given)
    pandas.DataFrame({"emb": E[:, 0]}).to_csv(tmp_path / "y.csv", index=False)
    assert open_source(tmp_path / "y.csv", delimiter=given).n_features == 1


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_commas_between_thousands_are_not_taken_for_fractions(tmp_path, delimiter):
    rows = (E * 1e5).round().astype(int)
    text = "\n".join(delimiter.join(f"{value:,}" for value in row) for row in rows)
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(ValueError, match="may be thousands or fractions"):
        open_source(tmp_path / "x.csv")


def test_an_index_without_names_is_left_out_where_it_counts_and_asked_where_it_does_not(tmp_path):
    frame = pandas.DataFrame(E)
    frame.to_csv(tmp_path / "x.csv", header=False)
    np.testing.assert_allclose(whole(open_source(tmp_path / "x.csv")), E, rtol=1e-12)
    frame.sample(frac=1, random_state=0).to_csv(tmp_path / "y.csv", header=False)
    assert open_source(tmp_path / "y.csv").columns.left_out == {"0": "it counts the rows"}
    frame.index = 3 * frame.index
    frame.to_csv(tmp_path / "y.csv", header=False)
    with pytest.raises(ValueError, match=r"may be a feature or not: 0 \(first values"):
        open_source(tmp_path / "y.csv")
    # As NumPy writes them, ids are floats.
    np.savetxt(tmp_path / "z.csv", np.column_stack([np.arange(200), E]), delimiter=",")
    np.testing.assert_allclose(whole(open_source(tmp_path / "z.csv")), E, rtol=1e-12)


def test_a_column_of_labels_in_a_text_table(tmp_path):
    path = tmp_path / "x.csv"
    pandas.DataFrame({"label": [3, 1, 2]}).to_csv(path)
    assert read_labels(path).tolist() == [3, 1, 2]
    path.write_text("3;1,5\n4;2,5\n5;3,5\n")
    assert read_labels(path, key="0", header=False).tolist() == [3, 4, 5]


def test_two_lines_of_names_are_refused(tmp_path):
    columns = pandas.MultiIndex.from_product([["a", "b"], range(3)])
    pandas.DataFrame(E, columns=columns).to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(ValueError, match="first two lines both hold names"):
        open_source(tmp_path / "x.csv")
