"""The spectrum and directions that an audit reads, from files, arrays or a stream that can be read once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from repgeom.auditing.collecting import Checkpoint, Collected, Passes, RowSample
from repgeom.data.arrays import Source, as_features, chunk_rows, unit_rows
from repgeom.data.processes import Team
from repgeom.inference.influence import Directions, few_directions
from repgeom.measures.cloud import CloudAccumulator
from repgeom.spectral.accumulator import SpectrumAccumulator
from repgeom.spectral.decompose import Wanted, begun, cheapest, climb_all, dense_spectrum, exact_spectra
from repgeom.spectral.spectrum import Spectrum

# A stream cannot be read again by a more exact method, so its first rows must show a spectrum that is far from needing one.
_STREAM_MARGIN = 100.0


@dataclasses.dataclass
class Decomposition:
    """Spectrum and directions of one source, from products where rows are many and from the rows where they are few.

    `spectrum` is in the audit's convention, `raw` neither centred nor normalised. `collected` holds the cloud and the
    sample of the rows.
    """

    spectrum: Spectrum
    raw: Spectrum
    collected: Collected
    sums: SpectrumAccumulator | None = None
    rows: Tensor | None = None  # centred, where there are no more of them than features

    def __post_init__(self) -> None:
        self.spectrum, self.raw = (_numpy(s) for s in (self.spectrum, self.raw))

    @functools.cached_property
    def mean(self) -> Tensor:
        return torch.as_tensor(self.spectrum.mean)

    @functools.cached_property
    def total(self) -> Tensor:
        return torch.as_tensor(self.spectrum.singular_values).square().sum()

    @functools.cached_property
    def directions(self) -> Tensor:
        """Principal directions as columns, leading first."""
        if self.sums is None:
            assert self.rows is not None
            return torch.linalg.svd(self.rows, full_matrices=False).Vh.mT[:, : len(self.rows) - 1]
        unit = float(self.spectrum.singular_values[0]) or 1.0  # so that no square leaves the range of floats
        return torch.linalg.eigh(self.sums.scatter(unit)).eigenvectors.flip(-1)

    def as_directions(self) -> Directions:
        """What `scored` reads rows along."""
        s = self.spectrum
        sigma = torch.as_tensor(s.singular_values)
        vectors = few_directions(self.rows, len(self.rows) - 1) if self.rows is not None else self.directions
        return Directions(dataclasses.replace(s, singular_values=sigma, mean=self.mean), self.mean, vectors)

    def energy(self, directions: Tensor) -> Tensor:
        """Sum of squares of the centred rows along each direction."""
        if self.sums is None:
            assert self.rows is not None
            return (self.rows @ directions).square().sum(0)
        return (directions * (self.sums.scatter() @ directions)).sum(0)

    def scatter(self) -> Tensor | None:
        return None if self.sums is None else self.sums.scatter()


def decomposed(
    source: Source,
    normalize: str | None,
    name: str,
    *,
    whole: bool = True,
    team: Team,
    most: int,
    seed: int,
    progress: bool = False,
    checkpoint: Checkpoint | None = None,
) -> Decomposition:
    """Of rows that can be read again: passes by ever more exact methods. `most`: rows of the sample.

    `whole` adds what is asked of the features but not of a reference: the cloud and the raw spectrum.
    """
    if source.n_samples <= source.n_features:
        return team.agreed(lambda: _of_few(torch.cat(list(source.chunks())), normalize, name, most, seed))
    wanted = _wanted(normalize) if whole else {"spectrum": Wanted(normalize)}
    passes = Passes(
        source, wanted, name, cloud=whole,
        team=team, most=most, seed=seed, progress=progress, checkpoint=checkpoint,
    )  # fmt: skip
    found = climb_all(passes, wanted, cheapest(source), True, source, name)
    assert passes.first is not None
    return _of_sums(
        {key: sums for key, (sums, _) in found.items()}, {k: s for k, (_, s) in found.items()}, passes.first
    )


def streamed(
    batches: Iterable[Any], normalize: str | None, name: str, most: int, seed: int, progress: bool
) -> tuple[Source, Decomposition]:
    """Of rows that can be read once, and what to call them by; their `Source` refuses to be read."""
    rows = _pieces(batches, name, progress)
    first, wanted = next(rows), _wanted(normalize)
    second = next(rows, None)
    if second is None:  # few rows, which can be held
        source = Source(name, len(first), first.shape[1], first.dtype, lambda start, stop: first[start:stop])
        return source, decomposed(source, normalize, name, team=Team(), most=most, seed=seed)
    found = Collected(CloudAccumulator(), RowSample(most, seed))
    found.sums = begun(dict.fromkeys(wanted, "float64"), wanted, True, _STREAM_MARGIN)(first)
    found.note(first, 0)
    while second is not None:
        found.update(second, found.rows)
        second = next(rows, None)
    spectra = {key: exact_spectra(acc, wanted[key].centers, True) for key, acc in found.sums.items()}
    if not all(spectra.values()):
        raise ValueError(
            f"`{name}` turned out steeper than its first {len(first):,} rows, and a stream cannot be read again by a more exact "
            "method. Save the rows and audit the file."
        )
    acc = found.sums["spectrum"]
    source = Source(
        name, found.rows, first.shape[1], acc.dtype, _read_once, ("The rows came as a stream and were read once.",)
    )
    return source, _of_sums(found.sums, spectra, found)


def _read_once(start: int, stop: int) -> Tensor:
    raise ValueError("a stream can be read once; save its rows to a file to read them again.")


def _wanted(normalize: str | None) -> dict[str, Wanted]:
    """The audit's spectrum, and that of the rows as they are, which RankMe is defined on."""
    if normalize is None:
        return {"spectrum": Wanted(None, (True, False))}
    return {"spectrum": Wanted(normalize, (True,)), "raw": Wanted(None, (False,))}


def _of_sums(
    sums: Mapping[str, SpectrumAccumulator], spectra: Mapping[str, list[Spectrum]], collected: Collected
) -> Decomposition:
    centred = spectra["spectrum"]
    raw = spectra["raw"][0] if "raw" in spectra else centred[-1]
    return Decomposition(centred[0], raw, collected, sums=sums["spectrum"])


def _of_few(rows: Tensor, normalize: str | None, name: str, most: int, seed: int) -> Decomposition:
    spectrum = dense_spectrum(rows, True, normalize, True, name)
    raw = dense_spectrum(rows, False, None, True, name)
    collected = Collected(CloudAccumulator(), RowSample(most, seed))
    collected.note(rows, 0)
    units = unit_rows(rows.double()) if normalize else rows.double()
    return Decomposition(spectrum, raw, collected, rows=units - units.mean(0))


def _pieces(batches: Iterable[Any], name: str, progress: bool) -> Iterator[Tensor]:
    """Rows of a stream, checked, in pieces that are worth a product; the first one holds two rows per feature if it can."""
    from tqdm import tqdm

    held: list[Tensor] = []
    first: Tensor | None = None
    count = seen = 0
    bar = tqdm(batches, name, leave=False, delay=1.0, unit=" batches", disable=None if progress else True)
    for i, batch in enumerate(bar):
        rows = _rows_of(batch, f"{name}, batch {i}")
        first = rows if first is None else first
        _check_alike(rows, first, f"batch {i} of `{name}`", seen)
        held.append(rows)
        count, seen = count + len(rows), seen + len(rows)
        width = rows.shape[1]
        if count >= chunk_rows(width) and (count < seen or count >= 2 * width):
            yield from torch.cat(held).split(max(2 * width, chunk_rows(width)))
            held, count = [], 0
    if held and count:
        yield torch.cat(held)
    elif not seen:
        raise ValueError(f"`{name}` gave no rows. A generator can be read once: make it anew.")


def _rows_of(batch: Any, name: str) -> Tensor:
    """A copy of the rows of one batch, whose memory may be used for the next; of features with labels, the features."""
    if isinstance(batch, Mapping):
        raise TypeError(
            f"`{name}` is a dict with {', '.join(map(repr, batch))}; give the features alone: `(batch[key] for batch in loader)`."
        )
    if isinstance(batch, (tuple, list)) and len(batch) and getattr(batch[0], "ndim", 0) >= 2:
        batch = batch[0]
    shape = getattr(batch, "shape", None)
    if shape is not None and len(shape) != 2:
        raise ValueError(
            f"`{name}` must be features, n_samples x n_features, and has shape {tuple(shape)}. If these are inputs of a model, "
            "encode them first: `(model(x) for x, _ in loader)`; if one row, `row[None]`."
        )
    return as_features(batch, name, min_rows=0).detach().to("cpu", copy=True)


def _check_alike(rows: Tensor, first: Tensor, name: str, seen: int) -> None:
    if rows.shape[1] != first.shape[1]:
        raise ValueError(f"{name} has {rows.shape[1]} features and those before it {first.shape[1]}.")
    if rows.dtype != first.dtype:
        raise ValueError(f"{name} is {rows.dtype} and those before it {first.dtype}: give all in one type.")
    bad = ~torch.isfinite(rows)
    if bad.any():
        row, column = bad.nonzero()[0].tolist()
        raise ValueError(
            f"{name} has {int(bad.sum()):,} non-finite values; the first is {rows[row, column].item()} at row {row}, column "
            f"{column} of the batch (row {seen + row:,} of the stream). Leave such rows out: `batch[isfinite(batch).all(1)]`."
        )


def _numpy(s: Spectrum) -> Spectrum:
    return dataclasses.replace(s, singular_values=s.singular_values.cpu().numpy(), mean=s.mean.cpu().numpy())
