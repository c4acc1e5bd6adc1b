"""What was given to `audit`, opened and checked: the rows, and what stands beside them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from repgeom.data import files
from repgeom.data.frames import is_table
from repgeom.data.labels import as_labels
from repgeom.data.row_names import require_same_columns
from repgeom.data.sources import Source, as_source, is_stream, table_source
from repgeom.measures.class_tally import refuse_sample_ids
from repgeom.measures.pair_sums import check_pair
from repgeom.reading.batches import pieces_of
from repgeom.reading.dask_arrays import is_dask
from repgeom.reading.pieces import PairedRows, StreamedRows
from repgeom.reading.tally import Piece

IN_STREAM = "in_stream"


def paired_rows(
    features: Any, reference: Any, corrupted: Any, labels: Any, groups: Any, *, part: bool = False
) -> PairedRows:
    """Everything that belongs to the rows, checked, where the rows can be read again. `part`: others hold more of them.

    Rows and what stands beside them stay on a GPU if all lie on one; else they are read onto the CPU.
    """
    source = _open(features, "features")
    beside = _open_beside(reference, corrupted)
    require_same_columns(source, **beside)
    for name, second in beside.items():
        mine, theirs = ((s.n_samples, s.n_features) for s in (source, second))
        check_pair(mine, theirs, True, name == "corrupted", ("features", name))
    values = _values_beside(labels, groups, source.n_samples, part=part)
    if len({second.device for second in (source, *beside.values())}) > 1:
        source, beside = source.on_cpu(), {name: second.on_cpu() for name, second in beside.items()}
    return PairedRows(
        source, values.get("labels"), values.get("groups"), beside.get("reference"), beside.get("corrupted")
    )


def chosen_by_key(features: Any, key: str | None) -> Any:
    """What a key names of features: an array of a file or mapping, columns of a table. Unchanged without a key."""
    if key is None:
        return features
    if isinstance(features, (str, os.PathLike)):
        return files.open_source(features, key=key)
    if is_table(features):
        return table_source(features, "features", key)
    if isinstance(features, Mapping):
        if key not in features:
            raise ValueError(f"`features` has no {key!r}; it has {', '.join(map(str, features))}.")
        return features[key]
    if hasattr(features, "iter") and type(features).__module__.startswith("datasets"):
        return (np.asarray(batch[key]) for batch in features.iter(batch_size=1024))
    raise TypeError(
        f"`key` names an array of a file or mapping, or columns of a table; `features` is a {type(features).__name__}."
    )


def _open_beside(reference: Any, corrupted: Any) -> dict[str, Source]:
    given = {"reference": reference, "corrupted": corrupted}
    return {name: _open(values, name) for name, values in given.items() if values is not None}


def _values_beside(
    labels: Any = None, groups: Any = None, n_samples: int | None = None, *, part: bool = False
) -> dict[str, np.ndarray]:
    found = {}
    for name, values in (("labels", labels), ("groups", groups)):
        if values is None:
            continue
        if isinstance(values, (str, os.PathLike)):
            values = files.read_labels(values)
        codes, different = as_labels(values, len(values) if n_samples is None else n_samples, name)
        # Of a part of the rows, every one may have a class of its own.
        if name == "labels" and not part:
            refuse_sample_ids(len(different), len(codes))
        found[name] = different[codes]
    return found


def beside_dask(features: Any, reference: Any, corrupted: Any, labels: Any, groups: Any) -> dict[str, Any]:
    """What stands beside a Dask array, checked where it lies in memory; Dask arrays are checked block by block."""
    n = None if np.isnan(features.shape[0]) else int(features.shape[0])
    beside: dict[str, Any] = {}
    for name, values in (("labels", labels), ("groups", groups)):
        if values is not None:
            beside[name] = values if is_dask(values) else _values_beside(**{name: values}, n_samples=n)[name]
    for name, values in (("reference", reference), ("corrupted", corrupted)):
        if values is None or is_dask(values):
            beside[name] = values
            continue
        if isinstance(values, (str, os.PathLike)):
            raise TypeError(f"`{name}` is a path, and `features` a Dask array: give it as a Dask or NumPy array.")
        source = as_source(values, name).on_cpu()
        rows = source.read(0, source.n_samples)
        beside[name] = (rows.float() if rows.element_size() == 2 else rows).numpy()
    return beside


def streamed_rows(
    batches: Iterable[Any],
    reference: Any,
    corrupted: Any,
    labels: Any,
    groups: Any,
    keep_nonfinite: bool,
    progress: bool,
) -> StreamedRows:
    """The same where the rows come as batches that can be read once."""
    labelled = isinstance(labels, str) and labels == IN_STREAM
    pieces = pieces_of(batches, "features", labelled=labelled, keep_nonfinite=keep_nonfinite, progress=progress)
    # One batch is read ahead: what it holds shows what was given twice, before hours are spent on the rest.
    first = next(pieces)
    values = _values_beside(None if labelled else labels, groups, None)
    # Batches are brought to the CPU, as nobody holds them for longer.
    opened = {name: source.on_cpu() for name, source in _open_beside(reference, corrupted).items()}
    beside: dict[str, Any] = {**values, **opened}
    for name in beside:
        if getattr(first, name) is not None:
            raise ValueError(f"`{name}` is given twice: in the batches of the stream, and as an argument.")

    def once() -> Iterator[Piece]:
        yield first
        yield from pieces

    return StreamedRows("features", once, frozenset({*first.columns(), *beside}), **beside)


def refuse_of(kind: str, **asked: Any) -> None:
    """Raises ValueError for what cannot be asked of features of this kind."""
    refused = [name for name, value in asked.items() if value is not None]
    if refused:
        names = ", ".join(f"`{name}`" for name in refused)
        raise ValueError(
            f"`features` is {kind}; {names} need{'s' * (len(refused) == 1)} rows that can be read again by their number. Save "
            "them and pass the path."
        )


def _open(features: Any, name: str) -> Source:
    if isinstance(features, (str, os.PathLike)):
        return files.open_source(features)
    if is_table(features):
        return table_source(features, name)
    if name != "features" and is_stream(features):
        raise ValueError(
            f"`{name}` is a stream of batches and `features` is read beside it; give both in one stream of dicts with "
            f"'features' and '{name}', or `{name}` as an array or a path."
        )
    return as_source(features, name)
