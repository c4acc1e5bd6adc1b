"""Batches of a stream as pieces: checked, of one width and type, and large enough to be worth a product."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, chunk_rows
from repgeom.data.labels import as_values
from repgeom.data.row_names import require_same_columns, require_same_order
from repgeom.data.settings import from_caller
from repgeom.reading.tally import Piece

# What a batch that is a dictionary may hold.
COLUMNS = ("features", "labels", "groups", "reference", "corrupted")


def pieces_of(
    batches: Iterable[Any], name: str, *, labelled: bool = False, keep_nonfinite: bool = False, progress: bool = False
) -> Iterator[Piece]:
    """Pieces of a stream; the first one holds two rows per feature if the stream has so many.

    Args:
        batches: features (n, d); with `labelled` pairs (features, labels); or dictionaries with "features" and any of
            "labels", "groups", "reference" and "corrupted". Of other tuples the first item is read.
        name: what errors call the stream.
        keep_nonfinite: let NaN and infinity through, to be dropped behind.
        progress: show a bar of batches on standard error.

    Raises:
        ValueError, TypeError: batches of another kind, width or type than the first; a stream without rows.
    """
    from tqdm import tqdm

    held: list[Piece] = []
    first: Piece | None = None
    count = seen = 0
    total = len(batches) if isinstance(batches, Sized) else None
    given = from_caller(batches)
    bar = tqdm(given, name, total=total, leave=False, delay=1.0, unit=" batches", disable=None if progress else True)
    for number, batch in enumerate(bar):
        piece = _piece_of(batch, f"{name}, batch {number}", seen, labelled)
        if first is None:
            first = piece
        _check_alike(piece, first, f"batch {number} of `{name}`")
        if not keep_nonfinite:
            _refuse_nonfinite(piece.rows, f"batch {number} of `{name}`", seen)
        held.append(piece)
        count, seen = count + len(piece), seen + len(piece)
        width = piece.rows.shape[1]
        # The first piece waits for two rows per feature, because it decides how all are added up.
        if count >= chunk_rows(width) and (count < seen or count >= 2 * width):
            yield from _joined(held).split(max(2 * width, chunk_rows(width)))
            held, count = [], 0
    if held and count:
        yield _joined(held)
    elif not seen:
        raise ValueError(f"`{name}` gave no rows. A generator can be read once: make it anew.")


def _piece_of(batch: Any, name: str, start: int, labelled: bool) -> Piece:
    """A copy of one batch, whose memory may be used for the next."""
    columns: dict[str, Any] = {"features": batch}
    if isinstance(batch, Mapping):
        columns = dict(batch)
        if "features" not in columns or set(columns) - set(COLUMNS):
            raise TypeError(
                f"`{name}` is a dict with {', '.join(map(repr, batch))}; give the features alone: `(batch[key] for batch in "
                f"loader)`, or a dict with 'features' and any of {', '.join(map(repr, COLUMNS[1:]))}."
            )
    elif isinstance(batch, (tuple, list)) and len(batch) and getattr(batch[0], "ndim", 0) >= 2:
        columns = {"features": batch[0]}
        if labelled and len(batch) > 1:
            columns["labels"] = batch[1]
    if labelled and "labels" not in columns:
        raise ValueError(f'`{name}` has no labels; with `labels="in_stream"` each batch is a pair (features, labels).')
    _require_one_order(columns)
    rows = _rows_of(columns["features"], name)
    beside: dict[str, Any] = {}
    for column in ("reference", "corrupted"):
        if column in columns:
            beside[column] = _rows_of(columns[column], f"{name}, {column}")
    for column in ("labels", "groups"):
        if column in columns:
            beside[column] = as_values(columns[column], len(rows), column).copy()
    for column, values in beside.items():
        if len(values) != len(rows):
            raise ValueError(f"`{name}` has {len(rows)} rows of features and {len(values)} of `{column}`.")
    return Piece(rows, np.arange(start, start + len(rows)), **beside)


def _require_one_order(columns: Mapping[str, Any]) -> None:
    """Raises ValueError where the index of what stands beside a batch, or its columns, are in another order."""
    features = columns["features"]
    require_same_order(features, **{name: values for name, values in columns.items() if name != "features"})
    require_same_columns(features, **{name: columns[name] for name in ("reference", "corrupted") if name in columns})


def _rows_of(features: Any, name: str) -> Tensor:
    shape = getattr(features, "shape", None)
    if shape is not None and len(shape) != 2:
        raise ValueError(
            f"`{name}` must be features, n_samples x n_features, and has shape {tuple(shape)}. If these are inputs of a model, "
            "encode them first: `(model(x) for x, _ in loader)`; if one row, `row[None]`."
        )
    return as_features(features, name, min_rows=0).detach().to("cpu", copy=True)


def _check_alike(piece: Piece, first: Piece, name: str) -> None:
    """Raises ValueError for a batch of another width, type or kind than the first."""
    if piece.rows.shape[1] != first.rows.shape[1]:
        raise ValueError(f"{name} has {piece.rows.shape[1]} features and those before it {first.rows.shape[1]}.")
    if piece.rows.dtype != first.rows.dtype:
        raise ValueError(f"{name} is {piece.rows.dtype} and those before it {first.rows.dtype}: give all in one type.")
    for column in ("reference", "corrupted"):
        these, before = getattr(piece, column), getattr(first, column)
        if (
            these is not None
            and before is not None
            and (these.shape[1], these.dtype) != (before.shape[1], before.dtype)
        ):
            raise ValueError(
                f"{name} has a `{column}` of {these.shape[1]} features, {these.dtype}, and those before it of "
                f"{before.shape[1]} features, {before.dtype}: give all in one width and type."
            )
    if piece.columns().keys() != first.columns().keys():
        raise ValueError(
            f"{name} holds {', '.join(piece.columns())} and the first batch {', '.join(first.columns())}: give the same in all."
        )


def _refuse_nonfinite(rows: Tensor, name: str, seen: int) -> None:
    bad = ~torch.isfinite(rows)
    if not bad.any():
        return
    row, column = bad.nonzero()[0].tolist()
    raise ValueError(
        f"{name} has {int(bad.sum()):,} non-finite values; the first is {rows[row, column].item()} at row {row}, column "
        f"{column} of the batch (row {seen + row:,} of the stream). Leave such rows out: `batch[isfinite(batch).all(1)]`, or "
        "`drop_nonfinite=True`."
    )


def _joined(pieces: list[Piece]) -> Piece:
    """One piece of several that follow each other."""
    if len(pieces) == 1:
        return pieces[0]
    columns: dict[str, Any] = {}
    for name, values in pieces[0].columns().items():
        parts = [piece.columns()[name] for piece in pieces]
        columns[name] = torch.cat(parts) if isinstance(values, Tensor) else np.concatenate(parts)
    return Piece(places=np.concatenate([piece.places for piece in pieces]), **columns)
