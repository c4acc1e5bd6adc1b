"""Have classes become points, and do their means lie as a simplex? Neural collapse, NC1 to NC4 (Papyan et al. 2020)."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, refuse_nonfinite, too_large_error, unit_rows
from repgeom.data.kinds import Features, Labels
from repgeom.data.labels import as_labels
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_class_order, require_same_columns, require_same_order
from repgeom.data.settings import own_settings, warn_caller
from repgeom.data.sources import as_source, nonfinite_error_of
from repgeom.measures.class_tally import ClassTally, refuse_sample_ids
from repgeom.measures.cloud_tally import CloudTally
from repgeom.measures.measure import LABELS, Measure, register
from repgeom.reading.pieces import PairedRows
from repgeom.reading.reader import read
from repgeom.reading.tally import Tallies

__all__ = ["neural_collapse"]

# Whose squares, added up over rows and features, are floats with all their digits.
_SMALLEST, _LARGEST = 1e-140, 1e140
_TOLD_APART = 0.9  # of rows whose nearest class mean is their own
_NO_INTERVAL = "class means of few rows hold noise, which moves it by more than rows spread; no correction is known"


@own_settings
@dataclasses.dataclass(frozen=True)
class NeuralCollapse(ShownInNotebook):
    """What `neural_collapse` returns. Each goes to 0 as a classifier collapses, but for the last two, which go to 1.

    Attributes:
        nc1: tr(S_W S_B⁺) / C, how far rows spread within classes, along the directions in which class means differ.
        nc1_quotient: tr S_W / tr S_B, the same over all directions.
        nc2_lengths: standard deviation over mean of the class means' distances from their centre.
        nc2_angles: mean of |cos + 1 / (C − 1)| over pairs of centred class means: 0 where they lie as a simplex.
        nc2_lengths_of_weights, nc2_angles_of_weights: the same of the classifier's weights; None without.
        nc3: ‖Wᵀ/‖W‖ − M/‖M‖‖²_F of the weights W and the centred class means M; None without weights.
        nc4: share of rows that the classifier gives to the class whose mean is nearest; None without weights.
        nearest_centre_accuracy: share of rows whose nearest class mean is that of their own class; None in an audit.
        classes: (C,) the labels in sorted order.
    """

    nc1: float
    nc1_quotient: float
    nc2_lengths: float
    nc2_angles: float
    nc2_lengths_of_weights: float | None
    nc2_angles_of_weights: float | None
    nc3: float | None
    nc4: float | None
    nearest_centre_accuracy: float | None
    classes: np.ndarray


@own_settings
def neural_collapse(
    features: Features,
    labels: Labels,
    *,
    weights: Features = None,
    bias: Features = None,
    normalize: str | None = None,
) -> NeuralCollapse:
    """How far a classifier's last features have collapsed to class means that lie as a simplex (Papyan, Han & Donoho 2020).

    S_W = Σ (x − μ_c)(x − μ_c)ᵀ / n over all rows, S_B = Σ_c (μ_c − μ)(μ_c − μ)ᵀ / C with μ the mean of the class means, as their
    code has it: classes count alike in S_B, rows in S_W. S_B has rank C − 1 at most, and directions of rounding are left out of
    its inverse. Rows are read twice, in pieces; memory is O(C d).

    Class means of few rows lie apart by chance, so that all of it depends on how many rows a class has. No interval is given.

    Args:
        features: (n_samples, n_features), what the last layer of a classifier is given.
        labels: (n_samples,), whole numbers or text, of at least two classes, each of two rows or more.
        weights: (C, n_features) of the classifier, a row for each class in sorted order, as `torch.nn.Linear.weight`. Text is sorted
            as text: "10" stands before "2".
        bias: (C,) of the classifier, in the same order; 0 by default. A warning says where classes are told apart and weights do
            not fit them.
        normalize: "l2" scales rows to unit length first.

    Returns:
        A `NeuralCollapse`; all of it unchanged by rotation (of the weights too), translation and scale of the features, but
        for what is of weights, which move with translation.

    Raises:
        ValueError: one class, a class of one row, class means that are all equal, weights of another shape, or whose index has
            the classes in another order; else as `effective_rank`.

    Two classes at −5 and 5, whose rows lie one step to either side: S_W = 1, S_B = 25.

    >>> found = neural_collapse([[-6.0], [-4.0], [4.0], [6.0]], ["a", "a", "b", "b"])
    >>> round(found.nc1, 9), round(found.nc1_quotient, 9), found.nearest_centre_accuracy
    (0.02, 0.04, 1.0)
    """
    require_same_order(features, labels=labels)
    require_same_columns(features, weights=weights)
    source = as_source(features)
    codes, names = as_labels(labels, source.n_samples)
    refuse_sample_ids(len(names), source.n_samples)
    tallies = Tallies({"health": CloudTally(), "classes": ClassTally(normalize)})
    tallies = read(PairedRows(source, labels=names[codes]), tallies)
    if tallies["health"].nonfinite_rows:
        raise nonfinite_error_of(source, "features") or AssertionError("unreachable: a value is not finite")
    classes: ClassTally = tallies["classes"]
    _refuse_few(classes.sizes(), names)
    means = means_of(classes)
    require_class_order(names, weights=weights, bias=bias)
    w, b = _classifier(weights, bias, means)
    directions = between(means)[1]
    along, nearest, agreed, start = directions.new_zeros(directions.shape[1]), 0, 0, 0
    for piece in source.chunks():
        x = piece.to("cpu", torch.float64)
        if normalize:
            x = unit_rows(x)
        own = torch.from_numpy(codes[start : start + len(x)])
        along = along + ((x - means[own]) @ directions).square().sum(0)
        centre = _nearest(x, means)
        nearest += int((centre == own).sum())
        if w is not None:
            agreed += int(((x @ w.mT + b).argmax(1) == centre).sum())
        start += len(x)
    found = collapse_of(classes, lambda _: along / start)
    if w is not None:
        found = _with_weights(found, w, means, agreed / start)
        _warn_of_order(agreed / start, nearest / start, names)
    return dataclasses.replace(found, nearest_centre_accuracy=nearest / start)


def means_of(classes: ClassTally) -> Tensor:
    """Class means (C, d) in sorted order of the classes."""
    _, order = classes.classes()
    return classes.means[torch.from_numpy(order)]


def between(means: Tensor) -> tuple[Tensor, Tensor]:
    """Singular values (r,) of the class means about their mean, and their directions (d, r), without those of rounding."""
    if not bool((means.abs() < _LARGEST).all()):
        raise too_large_error("features")
    centred = means - means.mean(0)
    _, sigma, directions = torch.linalg.svd(centred, full_matrices=False)
    # Rounding of the means themselves, which may lie far from the origin.
    rounding = max(means.shape) * torch.finfo(means.dtype).eps * max(float(sigma[0]), float(means.abs().max()))
    kept = min(int((sigma > rounding).sum()), len(means) - 1)
    return sigma[:kept], directions[:kept].mT


def collapse_of(classes: ClassTally, within_along: Callable[[Tensor], Tensor]) -> NeuralCollapse:
    """From class sums. `within_along`: from directions (d, r) to the variance within classes along each, (r,).

    Raises ValueError for one class, and where all class means are equal.
    """
    names, _ = classes.classes()
    _refuse_few(classes.sizes(), names)
    means = means_of(classes)
    n_classes = len(means)
    sigma, directions = between(means)
    if not math.isfinite(classes.within):
        raise too_large_error("features")
    if not len(sigma):
        raise ValueError(
            "`features` has the same mean in every class, so there is nothing for a collapse to be measured by."
        )
    if float(sigma[-1]) < _SMALLEST:
        raise ValueError("`features` holds values too small to be squared in float64; divide them by their largest.")
    # S_B = Σ σ² v vᵀ / C, so that tr(S_W S_B⁺) / C = Σ vᵀ S_W v / σ².
    nc1 = float((within_along(directions) / sigma.square()).sum())
    quotient = classes.within / classes.n_samples / (float(sigma.square().sum()) / n_classes)
    lengths, angles = _simplex(means - means.mean(0))
    return NeuralCollapse(nc1, quotient, lengths, angles, None, None, None, None, None, names)


def _refuse_few(sizes: np.ndarray, names: np.ndarray) -> None:
    if len(sizes) < 2:
        raise ValueError(
            "`labels` holds one class: a collapse is of the spread within classes against that between them."
        )
    if int(sizes.min()) < 2:
        single = names[sizes < 2]
        raise ValueError(
            f"`labels` has {len(single):,} classes of one row, {single.tolist()[0]!r} first, whose spread within is not known. Leave their "
            "rows out."
        )


def _simplex(centred: Tensor) -> tuple[float, float]:
    """How far rows are from the corners of a simplex: variation of their lengths, and mean error of their cosines."""
    norms = torch.linalg.vector_norm(centred, dim=1)
    variation = float(norms.std(correction=0) / norms.mean())
    units, n = unit_rows(centred), len(centred)
    off = ~torch.eye(n, dtype=torch.bool, device=units.device)
    cosines = (units @ units.mT)[off]
    return variation, float((cosines + 1 / (n - 1)).abs().mean())


def _nearest(x: Tensor, means: Tensor) -> Tensor:
    """The class whose mean is nearest, (n,)."""
    centre = means.mean(0)
    x, means = x - centre, means - centre
    return (means.square().sum(1) - 2 * x @ means.mT).argmin(1)


def _classifier(weights: Any, bias: Any, means: Tensor) -> tuple[Tensor | None, Tensor]:
    """Weights (C, d) and bias (C,) in float64. Raises ValueError for others."""
    zero = means.new_zeros(len(means))
    if weights is None:
        if bias is not None:
            raise ValueError("`bias` stands beside `weights`, which are not given.")
        return None, zero
    w = as_features(weights, "weights", min_rows=1).detach().to("cpu", torch.float64)
    refuse_nonfinite(w, "weights")
    if w.shape != means.shape:
        raise ValueError(
            f"`weights` has shape {tuple(w.shape)}; {len(means)} classes of {means.shape[1]} features need {tuple(means.shape)}: a "
            "row for each class, in sorted order."
        )
    if not bool(w.any()):
        raise ValueError("`weights` are all zero, so they have no direction.")
    if bias is None:
        return w, zero
    b = torch.as_tensor(np.asarray(bias.detach().cpu() if isinstance(bias, Tensor) else bias, dtype=np.float64))
    if b.shape != zero.shape or not bool(torch.isfinite(b).all()):
        raise ValueError(
            f"`bias` must hold {len(means)} finite numbers, one for each class; got shape {tuple(b.shape)}."
        )
    return w, b


def _warn_of_order(agreement: float, accuracy: float, names: np.ndarray) -> None:
    """Warn where rows lie at the means of their own classes and the classifier gives them to others."""
    if accuracy < _TOLD_APART or agreement > accuracy / 2:
        return
    order = ", ".join(repr(name) for name in names[:4].tolist())
    warn_caller(
        f"the nearest class mean is right for {accuracy:.0%} of the rows, and `weights` agree with it for {agreement:.0%}: are their rows "
        f"in the order of the sorted labels ({order}{', ...' if len(names) > 4 else ''})?"
    )


def _with_weights(found: NeuralCollapse, w: Tensor, means: Tensor, agreement: float) -> NeuralCollapse:
    """The same with what is read of the classifier's weights and of how they stand to the class means."""
    m = means - means.mean(0)
    distance = w / torch.linalg.matrix_norm(w) - m / torch.linalg.matrix_norm(m)
    lengths, angles = _simplex(w - w.mean(0))
    return dataclasses.replace(
        found,
        nc2_lengths_of_weights=lengths,
        nc2_angles_of_weights=angles,
        nc3=float(distance.square().sum()),
        nc4=agreement,
    )


register(
    Measure(
        "neural_collapse_within", "spread in classes (NC1)", LABELS, neural_collapse, ("class_collapse",),
        formula="tr(S_W S_B⁺) / C",
        source="Papyan et al. 2020",
        question="Have classes become points?",
        cannot_tell="how well new rows are classified: it goes on falling after the error has stopped",
        rows_needed="20 per class; class means of few rows lie apart by chance",
        convention="classes count alike in S_B, rows in S_W; their code leaves out 1 / C",
        range=lambda size: (0, math.inf),
        baseline=None,
        read=lambda found: found.nc1,
        missing="needs two classes or more, each of two rows or more, with means that differ",
        no_interval=_NO_INTERVAL,
    )
)  # fmt: skip
register(
    Measure(
        "neural_collapse_angles", "means off simplex (NC2)", LABELS, neural_collapse, ("class_collapse",),
        formula="mean |cos + 1/(C − 1)| over pairs of centred class means",
        source="Papyan et al. 2020",
        question="Do class means lie as far apart as they can?",
        cannot_tell="whether rows lie near their means: that is NC1",
        rows_needed="20 per class",
        convention="about the mean of the class means; others give the standard deviation of the cosines",
        range=lambda size: (0, 2),
        baseline=None,
        read=lambda found: found.nc2_angles,
        missing="needs two classes or more, each of two rows or more, with means that differ",
        no_interval=_NO_INTERVAL,
    )
)  # fmt: skip
