"""Vectors in the cells of tables, in the forms that people write them in: read, or refused, and never passed over."""

from __future__ import annotations

import base64
import json

import numpy as np
import pandas
import pytest
import torch
from stored_files import BOTH, table, whole

from repgeom.data.files import open_source

N, D = 12, 5
E = np.random.default_rng(0).standard_normal((N, D)).round(4)
BESIDE = {"n_tokens": np.arange(N) % 5, "score": E[:, 0]}

READ = {
    "JSON": lambda row: json.dumps(row.tolist()),
    "NumPy": str,
    "NumPy, of lines": lambda row: str(row).replace(" ", "\n ", 2),
    "repr": repr,
    "repr with dtype": lambda row: repr(row.astype(np.float32)),
    "tuple": lambda row: str(tuple(row.tolist())),
    "np.float64": lambda row: str(list(row)),
    "np.float32": lambda row: str([np.float32(v) for v in row]),
    "tensor": lambda row: str(torch.tensor(row)),
    "tensor with dtype": lambda row: repr(torch.tensor(row, dtype=torch.float64)),
    "tensor with gradient": lambda row: str(torch.tensor(row, requires_grad=True)),
    "spaces": lambda row: " ".join(map(str, row)),
    "bars": lambda row: "|".join(map(str, row)),
    "semicolons": lambda row: ";".join(map(str, row)),
}


@BOTH
@pytest.mark.parametrize("form", READ)
def test_written_vectors_are_read(tmp_path, extension, form):
    path = table(tmp_path / f"x{extension}", BESIDE | {"emb": [READ[form](row) for row in E]})
    source = open_source(path)
    np.testing.assert_allclose(whole(source), E, atol=1e-4)
    assert source.columns.used == ("emb",)
    assert source.columns.left_out == dict.fromkeys(BESIDE, "beside the column of vectors")


REFUSED = {
    "elided": (lambda row: str(np.linspace(0, 1, 2000)), r"'\.\.\.' stands for"),
    "elided tensor": (lambda row: str(torch.linspace(0, 1, 2000)), r"'\.\.\.' stands for"),
    "nested": (lambda row: str(row[None].tolist()), r"shape \(1, 5\)"),
    "nested, as NumPy prints": (lambda row: str(np.stack([row, row])), "nested"),
    "cut off": (lambda row: json.dumps(row.tolist())[:-6], "look like vectors"),
    "words in it": (lambda row: "[0.1, oops, 0.3]", "look like vectors"),
    "braces": (lambda row: "{" + ",".join(map(str, row)) + "}", "may be vectors"),
    "a dict": (lambda row: str({"values": row.tolist()}), "may be vectors"),
    "decimal commas": (lambda row: ";".join(map(str, row)).replace(".", ","), "may be vectors"),
    "places and values": (lambda row: " ".join(f"{i}:{v}" for i, v in enumerate(row)), "may be vectors"),
    "underscores": (lambda row: "_".join(map(str, row)), "may be vectors"),
    "quotes": (lambda row: f"'{row.tolist()}'", "may be vectors"),
    "DenseVector": (lambda row: f"DenseVector({row.tolist()})", "may be vectors"),
    "whole numbers": (lambda row: " ".join(map(str, (1000 * np.tile(row, 2)).astype(int))), "may be vectors"),
    "bytes": (lambda row: str(row.tobytes()), "may be vectors"),
    "base64": (lambda row: base64.b64encode(row.tobytes() * 4).decode(), "may be vectors"),
    "hex": (lambda row: row.tobytes().hex() * 3, "may be vectors"),
}


@BOTH
@pytest.mark.parametrize("form", REFUSED)
def test_vectors_that_cannot_be_read_are_refused(tmp_path, extension, form):
    write, why = REFUSED[form]
    path = table(tmp_path / f"x{extension}", BESIDE | {"emb": [write(row) for row in E]})
    with pytest.raises(ValueError, match=rf"(?s)column 'emb' cannot be read: .*{why}"):
        open_source(path)


@pytest.mark.parametrize("kind", ["bytes", "struct", "nested lists", "decimals"])
def test_objects_that_may_be_vectors_are_refused(tmp_path, kind):
    import decimal

    cells = {
        "bytes": [row.tobytes() for row in E],
        "struct": [{"a": float(row[0]), "b": 2.0} for row in E],
        "nested lists": [[row.tolist(), row.tolist()] for row in E],
        "decimals": [decimal.Decimal(str(v)) for v in E[:, 1]],
    }
    path = table(tmp_path / "x.parquet", BESIDE | {"emb": cells[kind]})
    with pytest.raises(ValueError, match="column 'emb' cannot be read"):
        open_source(path)


def test_beside_a_column_of_vectors_bytes_are_an_image(tmp_path):
    path = table(tmp_path / "x.parquet", {"image": [b"png"] * N, "emb": list(E), "tags": [["a", "b"]] * N})
    assert open_source(path).columns.used == ("emb",)
    # Vectors that cannot be read may be what was meant, whatever stands beside them.
    path = table(tmp_path / "y.parquet", {"emb": ["[0.1 0.2 ... 0.3]"] * N, "keywords": list(E)})
    with pytest.raises(ValueError, match="column 'emb' cannot be read"):
        open_source(path)


@BOTH
def test_nan_in_one_written_vector_is_a_row_that_holds_nan(tmp_path, extension):
    rows = E.tolist()
    rows[3][2] = float("nan")
    path = table(tmp_path / f"x{extension}", {"emb": [str(row) for row in rows]})
    values = whole(open_source(path))
    assert np.argwhere(np.isnan(values)).tolist() == [[3, 2]]


@BOTH
@pytest.mark.parametrize("cell", ["[1.0, 2.0", "none", "[0.1 0.2 ... 0.5]", "[1.0, 2.0, 3.0]"])
def test_one_bad_vector_is_named(tmp_path, extension, cell):
    cells = [json.dumps(row.tolist()) for row in E]
    cells[7] = cell
    path = table(tmp_path / f"x{extension}", {"emb": cells})
    with pytest.raises(ValueError, match=r"column 'emb' has .* in row 7, 5 in row 0"):
        open_source(path)


@pytest.mark.parametrize(
    "text",
    [
        "[see note 3]",
        "(a) first",
        "1.5 or 2",
        "10.0.0.1 host",
        "12:30",
        "a, b, c",
        base64.b64encode(b"some bytes").decode(),
        "2020-01-05 12:00:00.123456+00:00",
        "550e8400-e29b-41d4-a716-446655440000",
        "9f86d081884c7d65" * 8,
        "b'a word'",
        "scored 0.5, 0.6, 0.7 and 0.8",
        "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEV" * 9,
        "(555) 123 4567",
        "v1.0.2-rc.3",
    ],
)
def test_text_that_only_begins_like_a_vector_is_text(tmp_path, text):
    frame = pandas.DataFrame({f"f{i}": E[:, i] for i in range(D)} | {"note": text})
    frame.to_csv(tmp_path / "x.csv", index=False)
    assert open_source(tmp_path / "x.csv").columns.left_out == {"note": "text"}
