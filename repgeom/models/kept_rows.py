"""Which rows of each layer are kept to be compared, and are those of two profiles the same samples?"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.auditing.row_identity import fingerprint
from repgeom.data.arrays import finite_matrix
from repgeom.data.numbers import whole_number
from repgeom.data.row_names import require_one_order
from repgeom.measures.nearest_rows import group_codes
from repgeom.reading.sample import Drawn

FEWEST_ROWS = 4
SAMPLES_KEPT = 1024  # of each layer for comparisons: CKA is then known to about 0.02


@dataclasses.dataclass(frozen=True)
class KeptRows:
    """The same samples in each layer.

    Attributes:
        name: of the model.
        rows: (n_used, width) of each layer by its path.
        places: (n_used,) which of all rows these are.
        n_samples: all rows.
        groups: (n_used,) codes of what rows belong together (tokens of a text); None where all are samples of their own.
        marks: fingerprints of what stood beside the rows, by its name.
        shuffled: whether they came from a loader that draws another order each time.
    """

    name: str
    rows: Mapping[str, Tensor]
    places: np.ndarray
    n_samples: int
    groups: Tensor | None = None
    marks: Mapping[str, str] = dataclasses.field(default_factory=dict)
    shuffled: bool = False

    @property
    def n_used(self) -> int:
        return len(self.places)

    def first(self, most: int) -> KeptRows:
        """At most so many of the rows, spread evenly."""
        if most >= self.n_used:
            return self
        chosen = np.unique(np.linspace(0, self.n_used - 1, most).round().astype(np.int64))
        at = torch.from_numpy(chosen)
        return dataclasses.replace(
            self,
            rows={layer: x[at.to(x.device)] for layer, x in self.rows.items()},
            places=self.places[chosen],
            groups=None if self.groups is None else self.groups[at],
        )


def kept_of(given: Any, name: str, max_rows: int, seed: int) -> KeptRows:
    """The rows of a profile, or of features by their name."""
    most = whole_number(max_rows)
    if most is None or most < FEWEST_ROWS:
        raise ValueError(f"`max_rows` must be a whole number of at least {FEWEST_ROWS}, got {max_rows!r}.")
    if hasattr(given, "samples"):  # a LayerProfile, which imports this module
        n_samples = next(iter(given.values())).n_samples
        return kept_of_layers(given.name, given.samples, n_samples, given.shuffled).first(most)
    if not isinstance(given, Mapping):
        raise TypeError(
            f"`{name}` must be a LayerProfile or a mapping from names to features, got {type(given).__name__}."
        )
    if not given:
        raise ValueError(f"`{name}` holds no layers.")
    rows = {str(layer): finite_matrix(x, f"{name}[{layer!r}]") for layer, x in given.items()}
    sizes = {layer: len(x) for layer, x in rows.items()}
    n = next(iter(sizes.values()))
    odd = [layer for layer, size in sizes.items() if size != n]
    if odd:
        raise ValueError(
            f"`{name}` has {n:,} rows in {next(iter(sizes))!r} and {sizes[odd[0]]:,} in {odd[0]!r}: row i of all must be one sample."
        )
    if n < FEWEST_ROWS:
        raise ValueError(f"`{name}` has {n} rows; layers are compared from at least {FEWEST_ROWS}.")
    require_one_order({f"{name}[{layer!r}]": x for layer, x in given.items()})
    places = np.arange(n)
    if n > most:
        places = np.sort(np.random.default_rng(seed).choice(n, most, replace=False))
        rows = {layer: x[torch.as_tensor(places, device=x.device)] for layer, x in rows.items()}
    return KeptRows(name, rows, places, n)


def kept_of_layers(name: str, layers: Mapping[str, Drawn], n_samples: int, shuffled: bool) -> KeptRows:
    """From the sample of each layer of a profile."""
    if not layers:
        raise ValueError(
            f"{name!r} kept no rows to compare: make the profile with `samples_kept` of at least {FEWEST_ROWS}."
        )
    first, drawn = next(iter(layers.items()))
    for layer, one in layers.items():
        if not np.array_equal(one.places, drawn.places):
            raise ValueError(
                f"{name!r} has another number of rows in layer {layer!r} than in {first!r}, as where some layers give tokens and others "
                "samples: make the profile of layers of one kind, `layers=`."
            )
    if len(drawn) < FEWEST_ROWS:
        raise ValueError(f"{name!r} kept {len(drawn)} rows; layers are compared from at least {FEWEST_ROWS}.")
    marks = {kind: fingerprint(drawn.column(kind)) for kind in ("labels", "groups") if drawn.column(kind) is not None}
    groups = None
    if drawn.column("groups") is not None:
        groups = group_codes(drawn.column("groups"), len(drawn))
    rows = {layer: one.rows for layer, one in layers.items()}
    return KeptRows(name, rows, drawn.places, n_samples, groups, marks, shuffled)


def require_same_samples(a: KeptRows, b: KeptRows) -> None:
    """Raises ValueError where row i of both is known not to be one sample, or cannot be."""
    if a is b:
        return
    if a.n_samples != b.n_samples:
        raise ValueError(
            f"{a.name!r} has {a.n_samples:,} rows and {b.name!r} {b.n_samples:,}: row i of both must be one sample. Were other data "
            "passed, a last batch dropped, or tokens of other tokenizers?"
        )
    if not np.array_equal(a.places, b.places):
        raise ValueError(
            f"{a.name!r} and {b.name!r} kept other rows of the same number: make both with the same `seed` and `samples_kept`."
        )
    both = sorted(set(a.marks) & set(b.marks))
    for kind in both:
        if a.marks[kind] != b.marks[kind]:
            raise ValueError(
                f"{a.name!r} and {b.name!r} have other {kind}, row by row: their samples are not the same, or not in one order."
            )
    if (a.shuffled or b.shuffled) and not both:
        which = a.name if a.shuffled else b.name
        raise ValueError(
            f"{which!r} was made with a loader that shuffles, so that row i of both is another sample. Use `shuffle=False` for both; "
            "where labels stand beside the samples, equal ones prove the order."
        )
