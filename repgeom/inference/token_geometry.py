"""How do the tokens of texts lie: within a text, between texts, along the sequence, and which are far too long?"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from repgeom.data.arrays import as_features, refuse_nonfinite, row_norms
from repgeom.data.kinds import Features, Groups, Values
from repgeom.data.labels import as_labels
from repgeom.data.masks import as_mask
from repgeom.data.notebook import ShownInNotebook
from repgeom.data.row_names import require_same_order
from repgeom.data.settings import own_settings, warn_caller
from repgeom.inference.estimate import Estimate, estimate_or_reason
from repgeom.inference.intervals import check_confidence, quantile
from repgeom.measures.classes import isotropic_ranks, ranks_of_stack
from repgeom.measures.cloud_tally import EXTREME_NORM
from repgeom.measures.measure import CLOUD, Measure, register
from repgeom.measures.shares import entropy_of

if TYPE_CHECKING:
    import pandas as pd

_FEWEST_TEXTS = 20  # whose spread says how sure their mean is
_STACK_VALUES = 1 << 22  # values of texts of one length that are worked out together


@own_settings
@dataclasses.dataclass(frozen=True, repr=False)
class TokenGeometry(ShownInNotebook):
    """What `token_geometry` returns. Means are over texts, each counting the same; so are their intervals. A value is NaN where no text
    has one: too short, all its tokens equal, or no step that moves.

    Attributes:
        within_rank: effective rank of a text's tokens about their own mean. It cannot exceed their number less one.
        within_isotropic: what isotropic tokens of the same texts' lengths read.
        between_rank: effective rank of the texts' means, in the population of texts.
        between_share: share of the variance of all tokens that lies between texts.
        matrix_entropy: entropy, in nats, of the eigenvalues of a text's products of tokens Z Zᵀ / tr, tokens as they are.
        curvature: mean angle in radians between one step and the next along a text. Tokens without order read 2π/3, a random walk π/2,
            a straight line 0.
        n_still: pairs of steps that were left out because one of them has length 0.
        high_norm: tokens whose norm lies more than 10 robust standard deviations above the median, longest first: row, text, position,
            norm, times_median.
        per_text: text, n_tokens, within_rank, matrix_entropy, curvature; NaN where a text is too short.
        n_texts, n_tokens: how many there are.
    """

    within_rank: Estimate
    within_isotropic: float
    between_rank: Estimate
    between_share: float
    matrix_entropy: Estimate
    curvature: Estimate
    n_still: int
    high_norm: pd.DataFrame
    per_text: pd.DataFrame
    n_texts: int
    n_tokens: int

    def __repr__(self) -> str:
        return (
            f"<TokenGeometry of {self.n_tokens:,} tokens in {self.n_texts:,} texts: rank {self.within_rank.value:.3g} within, "
            f"{self.between_rank.value:.3g} between, curvature {self.curvature.value:.3g}, {len(self.high_norm):,} of high norm>"
        )


@own_settings
def token_geometry(
    tokens: Features, texts: Groups = None, *, mask: Values = None, confidence: float = 0.95
) -> TokenGeometry:
    """Rank of tokens within and between texts, entropy of their products, curvature along the sequence, and tokens of high norm.

    Curvature (Hosseini & Fedorenko 2023): with steps δ_t = z_{t+1} − z_t the angle arccos(⟨δ_t, δ_{t+1}⟩ / (‖δ_t‖ ‖δ_{t+1}‖)) in [0, π],
    mean over a text, then over texts. Matrix entropy (Skean et al. 2025, order 1): −Σ p ln p of the eigenvalues of Z Zᵀ / tr(Z Zᵀ), the tokens
    of a text as they are, neither centred nor scaled; divide by ln of the length for their normalised form. High norms: Darcet et al. 2024.

    Args:
        tokens: (n_texts, length, n_features), or (n_tokens, n_features) with `texts`; within a text in the order of the sequence.
        texts: (n_tokens,), whole numbers or text: which text each row belongs to.
        mask: (n_texts, length), bools or 0 and 1: true where a position is no padding. Texts without one are left out, with a warning.
        confidence: of the intervals.

    Returns:
        `TokenGeometry`. Intervals are Student's over texts, from 20 on. Nothing here has a gradient.

    Raises:
        ValueError: neither a stack nor `texts`, a mask of another shape or with other values than 0 and 1, fewer than two texts, NaN or infinity in a token that counts.

    Two texts: one walks straight on, the other turns round at each step:

    >>> import numpy as np
    >>> there_and_back = token_geometry([[[0.0], [1.0], [2.0], [3.0]], [[0.0], [1.0], [0.0], [1.0]]])
    >>> there_and_back.per_text.curvature.round(6).tolist()
    [0.0, 3.141593]
    """
    import pandas as pd

    check_confidence(confidence)
    require_same_order(tokens, "tokens", texts=texts)
    x, codes, names = _flat(tokens, texts, mask)
    sizes = np.bincount(codes)
    found = {name: np.full(len(names), np.nan) for name in ("within_rank", "matrix_entropy", "curvature")}
    still = 0
    for which, stack in _stacks(x, codes, sizes):
        if stack.shape[1] > 1:
            found["within_rank"][which] = ranks_of_stack(stack, None)
        found["matrix_entropy"][which] = _matrix_entropy(stack)
        angles, n_still = _curvature(stack)
        found["curvature"][which] = angles
        still += n_still
    means = _text_means(x, codes, sizes)
    isotropic = isotropic_ranks(sizes, x.shape[1])
    limits = {"within_rank": math.inf, "matrix_entropy": math.inf, "curvature": math.pi}
    over_texts = {name: _mean_of(values, limits[name], confidence) for name, values in found.items()}
    return TokenGeometry(
        within_rank=over_texts["within_rank"],
        within_isotropic=_mean_known(isotropic),
        between_rank=estimate_or_reason(means, confidence=confidence),
        between_share=_between_share(x, means, sizes),
        matrix_entropy=over_texts["matrix_entropy"],
        curvature=over_texts["curvature"],
        n_still=still,
        high_norm=_high_norms(x, codes, names),
        per_text=pd.DataFrame({"text": names, "n_tokens": sizes, **found}),
        n_texts=len(names),
        n_tokens=len(x),
    )


@own_settings
def token_geometry_by_layer(
    layers: Mapping[str, Any], texts: Groups = None, *, mask: Values = None, confidence: float = 0.95
) -> pd.DataFrame:
    """`token_geometry` of several layers of the same texts, a row for each.

    Args:
        layers: {name: tokens} in the order in which layers run, as `token_geometry` takes them; for instance
            `dict(zip(names, output.hidden_states))` of a transformers model.
        texts, mask, confidence: as `token_geometry`.

    Returns:
        A data frame indexed by layer: within_rank, between_rank, matrix_entropy and curvature, each with _low and _high; within_isotropic,
        between_share, n_high_norm. A value is NaN where no text has one, an interval where none is known.

    Raises:
        ValueError: no layers; else as `token_geometry`, with the layer's name.

    >>> layers = {"first": [[[0.0], [1.0], [2.0]], [[0.0], [1.0], [0.0]]], "last": [[[0.0], [1.0], [2.0]], [[5.0], [6.0], [7.0]]]}
    >>> token_geometry_by_layer(layers).curvature.round(3).tolist()
    [1.571, 0.0]
    """
    import pandas as pd

    if not isinstance(layers, Mapping) or not layers:
        raise ValueError("`layers` must be a dict of tokens by the name of the layer, with one or more of them.")
    rows = {}
    for name, tokens in layers.items():
        try:
            found = token_geometry(tokens, texts, mask=mask, confidence=confidence)
        except ValueError as error:
            raise ValueError(f"layer {name!r}: {error}") from None
        row: dict[str, float] = {}
        for measure in ("within_rank", "between_rank", "matrix_entropy", "curvature"):
            e: Estimate = getattr(found, measure)
            row |= {measure: e.value, f"{measure}_low": _or_nan(e.low), f"{measure}_high": _or_nan(e.high)}
        row |= {"within_isotropic": found.within_isotropic, "between_share": found.between_share}
        rows[name] = row | {"n_high_norm": len(found.high_norm)}
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.rename_axis("layer")


def _or_nan(end: float | None) -> float:
    return math.nan if end is None else end


def _flat(tokens: Any, texts: Any, mask: Any) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Tokens (n, d) that are no padding, the code of each one's text, and the texts' names."""
    x = as_features(tokens, "tokens", min_rows=1).detach()
    if x.ndim == 3 and texts is None:
        n_texts, length = x.shape[:2]
        kept = torch.ones(n_texts, length, dtype=torch.bool, device=x.device)
        if mask is not None:
            kept = as_mask(mask).to(x.device)
            if tuple(kept.shape) != (n_texts, length):
                raise ValueError(
                    f"`mask` must have shape {(n_texts, length)}, as `tokens` says, got {tuple(kept.shape)}."
                )
            _warn_of_empty(kept)
        codes = np.repeat(np.arange(n_texts), length)[kept.flatten().cpu().numpy()]
        x = x[kept]
    elif x.ndim == 2 and texts is not None:
        if mask is not None:
            raise ValueError(
                "`mask` goes with a stack (n_texts, length, n_features); rows with `texts` have no padding."
            )
        codes = as_labels(texts, len(x), "texts")[0]
    else:
        raise ValueError(
            f"`tokens` must be a stack (n_texts, length, n_features), or rows (n_tokens, n_features) with `texts`; got shape "
            f"{tuple(x.shape)} {'without' if texts is None else 'with'} `texts`."
        )
    refuse_nonfinite(x, "tokens")
    names, codes = (np.unique(codes), codes) if texts is None else (as_labels(texts, len(x), "texts")[1], codes)
    codes = np.unique(codes, return_inverse=True)[1]
    if len(names) < 2:
        raise ValueError(f"`tokens` are of {len(names)} text; what lies within and between texts takes two or more.")
    return x, codes, names


def _warn_of_empty(kept: Tensor) -> None:
    """Warn of texts of which a mask keeps no position."""
    empty = torch.nonzero(~kept.any(1))[:, 0].tolist()
    if not empty:
        return
    some = "1 text has" if len(empty) == 1 else f"{len(empty):,} texts have"
    warn_caller(f"{some} no position left by `mask`, text {empty[0]} first, and count nowhere.")


def _stacks(x: Tensor, codes: np.ndarray, sizes: np.ndarray) -> Iterator[tuple[np.ndarray, Tensor]]:
    """Texts of one length as float64 stacks (g, length, d), and which texts they are."""
    order = np.argsort(codes, kind="stable")  # tokens of a text keep their order
    starts = np.cumsum(sizes) - sizes
    for length in np.unique(sizes):
        texts = np.flatnonzero(sizes == length)
        together = max(1, _STACK_VALUES // (int(length) * x.shape[1]))
        for some in np.split(texts, range(together, len(texts), together)):
            rows = order[(starts[some][:, None] + np.arange(length)).ravel()]
            yield some, x[torch.as_tensor(rows, device=x.device)].double().reshape(len(some), int(length), -1)


def _matrix_entropy(stack: Tensor) -> np.ndarray:
    """Entropy of the eigenvalues of each text's products of tokens; NaN where all its tokens are 0."""
    largest = stack.abs().amax((1, 2))
    found = np.full(len(stack), np.nan)
    some = largest > 0
    if bool(some.any()):
        scaled = stack[some] / largest[some][:, None, None]
        sigma = torch.linalg.svdvals(scaled)
        p = sigma.square() / sigma.square().sum(-1, keepdim=True)
        found[some.cpu().numpy()] = entropy_of(p).cpu().numpy()
    return found


def _curvature(stack: Tensor) -> tuple[np.ndarray, int]:
    """Mean angle between steps of each text (g,), NaN for fewer than two steps that move; pairs of steps left out."""
    if stack.shape[1] < 3:
        return np.full(len(stack), np.nan), 0
    steps = stack[:, 1:] - stack[:, :-1]
    lengths = row_norms(steps)
    moves = (lengths[:, 1:] > 0) & (lengths[:, :-1] > 0)
    units = steps / torch.where(lengths > 0, lengths, 1)[..., None]
    # The angle from the chord and its complement is exact near 0 and π, where an arccos loses half of the digits.
    apart, along = row_norms(units[:, 1:] - units[:, :-1]), row_norms(units[:, 1:] + units[:, :-1])
    angles = torch.where(moves, 2 * torch.atan2(apart, along), 0)
    n_moves = moves.sum(1)
    means = torch.where(n_moves > 0, angles.sum(1) / n_moves.clamp(min=1), torch.nan)
    return means.cpu().numpy(), int((~moves).sum())


def _text_means(x: Tensor, codes: np.ndarray, sizes: np.ndarray) -> Tensor:
    sums = torch.zeros(len(sizes), x.shape[1], dtype=torch.float64, device=x.device)
    own = torch.as_tensor(codes, device=x.device)
    for rows, some in zip(x.split(1 << 14), own.split(1 << 14), strict=True):
        sums.index_add_(0, some, rows.double())
    return sums / torch.as_tensor(sizes, dtype=torch.float64, device=x.device)[:, None]


def _between_share(x: Tensor, means: Tensor, sizes: np.ndarray) -> float:
    """As `between_class_variance`, from means that are known; NaN where all tokens are equal."""
    weights = torch.as_tensor(sizes, dtype=torch.float64, device=x.device)
    centre = (weights[:, None] * means).sum(0) / weights.sum()
    largest = float(max(x.max().abs(), x.min().abs()).double()) or 1.0  # squares stay in range
    total = sum(float(((rows.double() - centre) / largest).square().sum()) for rows in x.split(1 << 14))
    between = float((weights * ((means - centre) / largest).square().sum(1)).sum())
    # What is left of rounding is no variance.
    if total <= len(x) * (torch.finfo(torch.float64).eps * float(centre.abs().max()) / largest) ** 2:
        return math.nan
    return min(1.0, between / total)


def _mean_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _mean_of(values: np.ndarray, most: float, confidence: float) -> Estimate:
    """The mean over texts that have a value, with Student's interval."""
    known = values[~np.isnan(values)]
    mean, n = _mean_known(values), len(known)
    if n < _FEWEST_TEXTS:
        reason = f"no interval: {n} texts have a value, fewer than {_FEWEST_TEXTS}"
        return Estimate(mean, mean, None, None, None, n, "these texts", (reason,))
    error = float(known.std(ddof=1)) / math.sqrt(n)
    half = quantile(confidence, n - 1) * error
    return Estimate(
        mean, mean, max(0.0, mean - half), min(most, mean + half), error, n, "spread of texts", degrees=n - 1.0
    )


def _high_norms(x: Tensor, codes: np.ndarray, names: np.ndarray) -> pd.DataFrame:
    """Tokens far longer than the median token, longest first."""
    import pandas as pd

    norms = np.concatenate([row_norms(rows.double()).cpu().numpy() for rows in x.split(1 << 14)])
    median = float(np.median(norms))
    spread = max(1.4826 * float(np.median(np.abs(norms - median))), 1e-3 * median)
    rows = np.flatnonzero(norms > median + EXTREME_NORM * spread)
    rows = rows[np.argsort(-norms[rows], kind="stable")]
    order = np.argsort(codes, kind="stable")
    sizes = np.bincount(codes)
    position = np.empty(len(codes), np.int64)
    position[order] = np.arange(len(codes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    found = {"row": rows, "text": names[codes[rows]], "position": position[rows], "norm": norms[rows]}
    return pd.DataFrame({**found, "times_median": norms[rows] / median if median > 0 else np.inf})


register(
    Measure(
        "token_geometry", "token geometry", CLOUD, token_geometry, (),
        formula="rank within and between texts, matrix entropy, mean angle between steps, tokens of high norm",
        source="Skean et al. 2025; Hosseini & Fedorenko 2023; Darcet et al. 2024",
        question="How do the tokens of a text lie, and which are far too long?",
        cannot_tell="anything of a text shorter than three tokens; ranks within a text are bounded by its length",
        rows_needed="20 texts for intervals, 2 per feature for the rank between them",
        convention="tokens about their text's mean; entropy of order 1 in nats, not centred; angles in [0, π]",
        baseline=None,
        invariances=("rotation", "scale"),
        no_interval="each number has its own, over texts",
    )
)  # fmt: skip
